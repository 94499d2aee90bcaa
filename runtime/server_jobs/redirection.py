"""The seam for tests: `server_jobs.testing` sets `current` to redirect enqueues, handlers and stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .binding import JobBackend
from .domain.record import Inserted, NewJob

if TYPE_CHECKING:
    from .definition import AnyHandler
    from .engine.backend import Backend, StoreInUse


OnRollback = Callable[[Callable[[], None]], Awaitable[None] | None]
"""Call a function once the caller's transaction is rolled back. Return an awaitable if the transaction is async."""


class StandInBackend(JobBackend, Protocol):
    """A backend that takes the place of all others."""

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = ...) -> Sequence[Inserted]:
        """As in `JobBackend`, with the headers of the request that enqueues."""
        ...

    def insert_within(
        self, on_rollback: OnRollback, jobs: Sequence[NewJob], *, is_async: bool
    ) -> Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]:
        """Store the jobs, until the caller's transaction is rolled back. Await the answer if `is_async`."""
        ...


class StandIn(NamedTuple):
    """The backend of calls of a job, and the handler that replaces the registered one; None: that one runs."""

    backend: StandInBackend
    handler: AnyHandler | None


class Redirection(Protocol):
    """What the running test puts in the place of backends, handlers and stores."""

    def stand_in_for(self, job_name: str) -> StandIn | None:
        """Return the stand-in for jobs of this name, which then run in this process; None: there is none."""
        ...

    async def insert(
        self, own: Backend, jobs: Sequence[NewJob], request_trace: Mapping[str, str]
    ) -> Sequence[Inserted] | None:
        """Store each job in its stand-in, or else in its own backend. Return None if no job has a stand-in."""
        ...

    def store_in_use(self, own: StoreInUse) -> StoreInUse:
        """Return the store that a backend uses now in the place of its own one."""
        ...


current: Redirection | None = None
"""None in production."""


def stand_in_for(job_name: str) -> StandIn | None:
    """Return the stand-in for jobs of this name; None: there is none, as in production."""
    return None if current is None else current.stand_in_for(job_name)
