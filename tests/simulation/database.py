"""The store that all machines of a simulation share: each call is one step, and the witness checks each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TypeVar

from server_jobs import DatabaseError, ServerJobsError
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Expired,
    Failed,
    Firing,
    Heartbeat,
    Inserted,
    JobQuery,
    NewJob,
    Released,
)

from .machine import Machine, StoreClock
from .moves import Call
from .stores import OpenedStore
from .trace import Trace
from .witness import Witness

T = TypeVar("T")

READS = {
    "open", "ping", "get", "list_jobs", "summary", "list_summaries", "count_batch", "batch_jobs", "count_jobs",
    "count_due", "upcoming_work", "list_schedules", "find_schedule", "due_schedules",
}  # fmt: skip
EVERY_JOB = JobQuery(limit=1000)


class SharedStore:
    """A store, its clock and its observers. Once `is_closed`, no call may reach it any more."""

    def __init__(self, opened: OpenedStore, clock: StoreClock, witness: Witness, trace: Trace) -> None:
        self.store = opened.store
        self._changes = opened.changes
        self.end = opened.end
        self.clock = clock
        self.is_closed = False
        self._witness = witness
        self._trace = trace
        self._watchers: list[Callable[[], None]] = []

    def apply(
        self, machine: Machine, method: str, subject: object, call: Callable[[Store], Coroutine[object, object, T]]
    ) -> T:
        """Commit one call. Raises the store's errors."""
        if self.is_closed:
            raise DatabaseError(f"the simulation is over ({method})")
        if isinstance(subject, list | tuple) and not isinstance(subject, NewJob):
            subject = list(subject)  # its current items
        about = Call(method, subject, self.clock.now())
        changes = self._changes()
        answer: T | None = None
        error: ServerJobsError | None = None
        try:
            answer = in_one_step(call(self.store))
        except ServerJobsError as raised:
            error = raised
        if method not in READS:
            is_unchanged = changes is not None and self._changes() == changes
            stored = self._witness.records.values() if is_unchanged else in_one_step(self.store.list_jobs(EVERY_JOB))
            self._witness.see(machine, about, answer, list(stored))
            self._note(machine, about, answer if error is None else error)
        if method == "insert":
            for hear in list(self._watchers):
                hear()
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]  # None only where the store answers None

    def watch(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Call `hear` after each insert by any machine. Return a function that ends this."""
        self._watchers.append(hear)
        return lambda: self._watchers.remove(hear)

    def note_failure(self, machine: Machine, method: str, what: str) -> None:
        """Record a call that failed in its caller's view."""
        self._trace.note(machine.name, f"{method}: {what}")

    def _note(self, machine: Machine, call: Call, answer: object) -> None:
        if isinstance(answer, list | tuple) and not answer:
            return  # no job was claimed, and none had expired
        self._trace.note(machine.name, f"{call.method} {_shown(call.subject)} -> {_shown(answer)}")


def in_one_step(coro: Coroutine[object, object, T]) -> T:
    """Return the result of a coroutine that never waits."""
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coro.close()
    raise TypeError(f"{coro} waits for something, and in a simulation no store does")


def _shown(value: object) -> str:
    """Return a short form of a value for a trace."""
    match value:
        case Claim(id=job_id, attempt=attempt, token=token):
            return f"{_shown(job_id)}#{attempt} by {token[:6]}"
        case Heartbeat(id=job_id, token=token, progress=progress):
            return f"{_shown(job_id)} {progress}% by {token[:6]}"
        case Completed() | Failed() | Released() | Cancelled():
            return f"{type(value).__name__} {_shown(value.id)} by {value.token[:6]}"
        case Inserted(id=job_id, created=created):
            return _shown(job_id) if created else f"{_shown(job_id)} (held)"
        case Expired(id=job_id, status=status):
            return f"{_shown(job_id)} {status}"
        case NewJob():
            return f"{value.job_name} {_shown(value.id)}"
        case [*items]:  # after the named tuples
            return "[" + ", ".join(_shown(item) for item in items) + "]"
        case ClaimRequest(limit=limit):
            return str(limit)
        case Firing(slots=slots, next_run_at=following):
            return f"{[f'{slot:%H:%M}' for slot, _ in slots]} next {following:%H:%M}"
        case str():
            return "…" + value[-6:] if len(value) == 36 else value
        case _:
            return str(value)
