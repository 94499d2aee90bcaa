"""How the routes behave, wherever they are served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ..domain.options import check_duration
from ..errors import InvalidOptionError
from .origins import check_host, check_origin


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Settings of the application. Raises `InvalidOptionError` for those that cannot be used."""

    allowed_hosts: tuple[str, ...] | None = None
    """The names of hosts, without ports, under which requests that write are taken; None: whatever leads here."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages besides that of the host itself, such as `https://admin.example.com`: what these send is
    taken, and browsers let them read what is answered (CORS)."""
    trigger_budget: timedelta = timedelta(seconds=25)
    """After that time a trigger begins no more jobs; those that were begun are finished."""
    longest_stream: timedelta = timedelta(minutes=5)
    """After that time a stream of events ends; its reader connects again."""
    body_timeout: timedelta = timedelta(seconds=30)
    """The time in which the body of a request must arrive; after it, the answer is 408."""
    needs_length: bool = False
    """Whether a body without a `Content-Length` is refused, for hosts that read all of it before they ask."""

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
