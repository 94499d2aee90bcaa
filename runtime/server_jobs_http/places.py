"""How many requests and streams of events one caller may have open at a time, so that it leaves room for the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from starlette.types import Scope

from .http_options import HttpOptions
from .problem_document import RETRY_AFTER, RefusedError

CALLER_IS_KNOWN = "server_jobs.caller_is_known"
"""The key in a scope of a function, which a server sets and the routes call when they know the caller.

`server-jobs serve` closes connections of unknown callers first.
"""

_PLACE = "server_jobs.place"


@dataclass(slots=True)
class _Place:
    """The place of one request. `is_stream` after its answer turned out to be a stream."""

    places: Places
    caller: str
    is_link: bool
    is_stream: bool = False


class Places:
    """Counts the open requests and streams of each caller, within the limits of `HttpOptions`."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._requests: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._searches: Counter[str] = Counter()
        self._turns = asyncio.Semaphore(options.most_searches)

    def enter(self, scope: Scope, caller: str, *, is_link: bool = False) -> None:
        """Give the request of this known caller a place, unless it has one. Raises `RefusedError` (429)."""
        if _PLACE in scope:
            return
        most = self._options.most_requests_per_caller
        if self._requests[caller] >= most:
            raise _too_many(429, f"this caller has {most} open requests, which is the limit")
        self._requests[caller] += 1
        scope[_PLACE] = _Place(self, caller, is_link)
        known: Callable[[], None] = scope.get(CALLER_IS_KNOWN, _nobody_asks)
        known()

    def leave(self, scope: Scope) -> None:
        """Release the place of a request that has ended, if it has one."""
        place: _Place | None = scope.pop(_PLACE, None)
        if place is not None:
            _release(self._streams if place.is_stream else self._requests, place.caller)

    def become_stream(self, place: _Place) -> None:
        """Count a request as a stream from now on. Raises `RefusedError`."""
        options = self._options
        most = options.most_streams_per_link if place.is_link else options.most_streams_per_caller
        if self._streams[place.caller] >= most:
            raise _too_many(429, f"this {'link' if place.is_link else 'caller'} has {most} open streams of events")
        if self._streams.total() >= options.most_streams:
            raise _too_many(503, f"this server has {options.most_streams} open streams of events")
        _release(self._requests, place.caller)
        self._streams[place.caller] += 1
        place.is_stream = True

    @contextmanager
    def search(self, place: _Place) -> Iterator[asyncio.Semaphore]:
        """Count a search. Yields the turns of all searches. Raises `RefusedError` (429)."""
        most = self._options.most_searches_per_caller
        if self._searches[place.caller] >= most:
            raise _too_many(429, f"this caller has {most} searches that run or wait")
        self._searches[place.caller] += 1
        try:
            yield self._turns
        finally:
            _release(self._searches, place.caller)


def place_for_search(scope: Scope) -> AbstractContextManager[asyncio.Semaphore]:
    """Count a search by the caller of this scope, and yield the turns of all searches. Raises `RefusedError` (429)."""
    place: _Place = scope[_PLACE]
    return place.places.search(place)


def become_stream(scope: Scope) -> None:
    """Count the request of this scope as a stream. Raises `RefusedError`: 429 for its caller, 503 for all of them."""
    place: _Place = scope[_PLACE]
    place.places.become_stream(place)


def _release(counts: Counter[str], caller: str) -> None:
    counts[caller] -= 1
    if not counts[caller]:
        del counts[caller]


def _too_many(status: int, title: str) -> RefusedError:
    return RefusedError(status, f"{title}; try again when one has ended", headers=RETRY_AFTER)


def _nobody_asks() -> None:
    """Do nothing: this server does not ask whether a caller is known."""
