"""The visit of a page: its request, its backend, and the rights of the caller."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast
from urllib.parse import quote, urlencode

from server_jobs.domain.audit import enqueuing_as
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import JobOptions
from server_jobs.domain.record import Inserted, JobRecord, NewJob
from server_jobs.engine.backend import Backend
from server_jobs.errors import JobNotFoundError
from server_jobs.inspection.why import Reason, why
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Caller, Scope
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..access import check_enqueues
from ..problem_document import RefusedError
from ..request_trace import request_trace

T = TypeVar("T")

_SLOW = 0.05
_REUSE = 10

NO_STORE = {"cache-control": "no-store"}
"""Headers of answers without a page, which no cache may keep."""

Form = Mapping[str, Sequence[str]]
"""The fields of a sent form by name, each with all its values."""


class Recent:
    """Answers of the store that pages use again, for ten times as long as the database took.

    So all viewers together keep the database busy for a tenth of the time at most, and fast answers are always new.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, object]] = {}

    async def get(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return the recent answer with this name, or read it."""
        began = time.monotonic()
        until, answer = self._answers.get(name, (began, None))
        if began < until:
            return cast("T", answer)
        fresh = await read()
        ended = time.monotonic()
        self._answers = {key: one for key, one in self._answers.items() if one[0] > ended}
        if ended - began >= _SLOW:
            self._answers[name] = (ended + _REUSE * (ended - began), fresh)
        return fresh

    def forget(self) -> None:
        """Read everything anew, because somebody changed something."""
        self._answers.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of an admitted caller. `actor` is the name for the audit log.

    With `follows_changes`, an open page updates itself. `databases` has the dashboard of each of several databases.
    """

    request: Request
    backend: Backend
    caller: Caller
    actor: str
    csrf: str
    has_cookie: bool
    follows_changes: bool
    databases: Mapping[str, str]
    recent: Recent
    form: Form = field(default_factory=dict)

    @property
    def store(self) -> Store:
        """The store of the jobs."""
        return self.backend.store

    @property
    def registry(self) -> JobRegistry:
        """The registry of the jobs."""
        return self.backend.registry

    @property
    def now(self) -> datetime:
        """The current time, in UTC."""
        return self.backend.clock.now()

    @property
    def queues(self) -> tuple[str, ...] | None:
        """The queues that the caller may read; None: all."""
        return self.queues_for(Scope.READ)

    def queues_for(self, scope: Scope) -> tuple[str, ...] | None:
        """Return the queues that the caller may read and for which it has the scope; None: all."""
        given = [self.caller.rights.get(one, frozenset()) for one in (Scope.READ, scope)]
        limited = [queues for queues in given if queues is not None]
        return tuple(sorted(frozenset.intersection(*limited))) if limited else None

    def reads(self, queue: str) -> bool:
        """Whether the caller may see the jobs of this queue."""
        return self.caller.may(Scope.READ, queue)

    def operates(self, queue: str) -> bool:
        """Whether the caller may change the jobs of this queue, and the queue."""
        return self.caller.may(Scope.ADMIN, queue) and self.reads(queue)

    def enqueues(self, queue: str) -> bool:
        """Whether the caller may enqueue jobs into this queue."""
        return self.caller.may(Scope.ENQUEUE, queue)

    @property
    def reads_everything(self) -> bool:
        """Whether the caller may read every queue, and so the list of workers."""
        return self.caller.may(Scope.READ)

    @property
    def enqueues_something(self) -> bool:
        """Whether the caller may enqueue jobs into some queue."""
        return Scope.ENQUEUE in self.caller.rights

    @property
    def operates_something(self) -> bool:
        """Whether the caller may change jobs of some queue."""
        return Scope.ADMIN in self.caller.rights

    def url(self, *path: str, **query: str | None) -> str:
        """Return the address of a page. Each part of the path and each value is quoted; None leaves out a value."""
        given = {name: value for name, value in query.items() if value is not None}
        place = "/".join(quote(part, safe="") for part in path)
        return f"{self.request.scope['root_path']}/{place}" + (f"?{urlencode(given)}" if given else "")

    def value(self, name: str) -> str:
        """Return the last value of a field of the sent form, or an empty text."""
        return self.form.get(name, ("",))[-1]

    def query(self, name: str) -> str:
        """Return a value of the query of the address without spaces at its ends, or an empty text."""
        return self.request.query_params.get(name, "").strip()

    def go(self, *path: str, **query: str | None) -> Response:
        """Send the browser to another page, after a form."""
        return RedirectResponse(self.url(*path, **query), 303, NO_STORE)

    def check_operates(self, queue: str) -> None:
        """Raise `RefusedError` unless the caller may change the jobs of this queue."""
        if not self.operates(queue):
            raise RefusedError(403, f"your token lacks the scope admin for the queue {queue!r}")

    def check_enqueues(self, options: JobOptions) -> None:
        """Raise `RefusedError` unless the caller may enqueue jobs with these options."""
        check_enqueues(self.caller, options)

    async def insert(self, job: NewJob) -> Inserted:
        """Store a pending job, in the trace of this request."""
        with enqueuing_as(self.actor):
            (inserted,) = await self.backend.insert([job], request_trace(self.request))
        return inserted

    async def why(self, job_id: str) -> tuple[JobRecord, Sequence[Reason]]:
        """Return a job and the reasons why it waits, runs or has ended."""
        return await why(self.store, self.registry, job_id, reads_everything=self.reads_everything)

    async def check_reads_job(self, job_id: str) -> None:
        """Raise `JobNotFoundError` unless the job exists and the caller may see it."""
        summary = await self.store.summary(job_id)
        if summary is None or not self.reads(summary.queue):
            raise JobNotFoundError(job_id)


Page = Callable[[Visit], Awaitable[Response]]
