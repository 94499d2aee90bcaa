"""How one job is queued, beyond what its spec says: checked where it is given."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TypedDict

from .errors import InvalidOptionError


class EnqueueOptions(TypedDict, total=False):
    """How one job is queued; what is left out is as the spec says."""

    scheduled_for: datetime | None
    """When it becomes due (aware); now by default."""
    delay: timedelta | None
    """Or how long from now, by the store's clock."""
    priority: int | None
    """-100 to 100, higher first."""
    max_attempts: int | None
    """How often it is tried at most."""
    correlation_id: str | None
    """Carried to log lines and to jobs enqueued by the handler; inside a handler, that of the running job."""
    unique_key: str | None
    """At most one unfinished job of this name has it."""


def refuse_unknown(names: Iterable[str]) -> None:
    """Raise `InvalidOptionError` for the first name that is no option, with the nearest one that is."""
    known = sorted(EnqueueOptions.__annotations__)
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            raise InvalidOptionError(f"there is no option {name!r}; {hint}")


def check_due(scheduled_for: datetime | None, delay: timedelta | None) -> None:
    """Raise `InvalidOptionError` unless at most one is given, the moment with a zone, the delay not negative."""
    if scheduled_for is not None and delay is not None:
        raise InvalidOptionError("give either scheduled_for or delay, not both")
    if scheduled_for is not None and scheduled_for.tzinfo is None:
        raise InvalidOptionError(
            f"scheduled_for must have a time zone, and {scheduled_for.isoformat()} has none; add tzinfo, such as UTC"
        )
    if delay is not None and delay < timedelta(0):
        raise InvalidOptionError(f"delay must not be negative, and is {delay}")
