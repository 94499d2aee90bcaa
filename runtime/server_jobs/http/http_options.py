"""Settings of the routes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..domain.options import check_duration
from ..errors import InvalidOptionError
from .origins import check_host, check_origin


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
