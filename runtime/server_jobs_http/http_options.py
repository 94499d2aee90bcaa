"""Settings of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from server_jobs.domain.option_kinds import check_duration, check_range
from server_jobs.errors import InvalidOptionError

from .origins import check_host, check_origin

UNLIMITED = 100_000
_COUNTS = (
    *("most_requests_per_caller", "most_streams_per_caller", "most_streams_per_link", "most_streams"),
    *("most_searches_per_caller", "most_searches"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Settings of the application. Raises `InvalidOptionError` for invalid ones."""

    allowed_hosts: tuple[str, ...] | None = None
    """Host names, without ports, that accept writes; None: any host."""
    allowed_origins: tuple[str, ...] = ()
    """Additional origins of web pages, such as `https://admin.example.com`, that may send requests and read responses
    (CORS)."""
    trigger_budget: timedelta = timedelta(seconds=25)
    """Time after which a trigger starts no more jobs. Running jobs finish."""
    longest_stream: timedelta = timedelta(minutes=5)
    """Time after which a stream of events ends. The reader connects again."""
    body_timeout: timedelta = timedelta(seconds=30)
    """Time for the body of a request. After it, the response is 408."""
    most_requests_per_caller: int = 100
    """Requests of one token, or of one person with `dashboard_access`, at a time. Further ones get 429."""
    most_streams_per_caller: int = 100
    """Streams of events of one token or person at a time. Further ones get 429."""
    most_streams_per_link: int = 10
    """Streams of one job or batch through signed links at a time. Further ones get 429."""
    most_streams: int = 500
    """Streams of events at a time. Further ones get 503."""
    most_searches_per_caller: int = 5
    """Requests of one token or person that search documents, at a time. Further ones get 429."""
    most_searches: int = 1
    """Requests that search documents, at a time. Further ones wait for their turn."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """The path or URL of the dashboard of each of several databases, by name, for links between them."""
    needs_length: bool = False
    """Whether to refuse a body without `Content-Length`, for hosts that read the body first."""

    def __post_init__(self) -> None:
        for name in ("allowed_hosts", "allowed_origins"):
            if isinstance(getattr(self, name), str):
                raise InvalidOptionError(f"{name} must be a tuple of texts, not {getattr(self, name)!r}")
        for host in self.allowed_hosts or ():
            check_host(host)
        for origin in self.allowed_origins:
            check_origin(origin)
        check_duration("trigger_budget", self.trigger_budget)
        check_duration("longest_stream", self.longest_stream)
        check_duration("body_timeout", self.body_timeout)
        for name in _COUNTS:
            check_range(name, getattr(self, name), 1, UNLIMITED)
