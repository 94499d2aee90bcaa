"""The backend of a test: it takes every enqueue of the process, and keeps the jobs in memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from ..definition import AnyDefinition
from ..domain import lifecycle
from ..domain.clock import Clock, SystemClock
from ..domain.interfaces import Store
from ..domain.record import Claim, Inserted, JobRecord, JobStatus, NewJob
from ..engine.attempts.attempt import Attempt
from ..engine.backend import Backend
from ..engine.direct_runs import DirectRuns
from ..engine.execution import Execution
from ..errors import InvalidOptionError, JobFailedError
from ..hooks import Hooks
from ..job import DEFAULT_WORKER_TIMEOUT
from ..memory import InMemoryBackend
from ..middleware import NO_HEADERS, Middleware, RunningAttempt, enqueuing
from ..redirection import OnRollback
from ..registry import JobRegistry
from ..result import JobResult
from ..stores.memory import MemoryStore
from .calling_thread import run_from_here

T = TypeVar("T")


class RecordingStore(MemoryStore):
    """A store in memory that knows which jobs were enqueued, in order. Any thread may add jobs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._enqueued: list[str] = []
        self._adding = threading.Lock()

    def add(self, job: NewJob) -> Inserted:
        with self._adding:
            inserted = super().add(job)
            if inserted.created:
                self._enqueued.append(inserted.id)
            return inserted

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        claim = await super().start(job, lease)
        self._enqueued.remove(claim.id)  # `now` runs a job and enqueues none
        return claim

    def enqueued(self) -> list[JobRecord]:
        """Return the jobs in the order of their enqueues, including finished ones."""
        return [self._records[job_id] for job_id in self._enqueued if job_id in self._records]

    def due(self) -> list[JobRecord]:
        """Return the pending jobs that are due."""
        now = self._clock.now()
        return [one for one in self._records.values() if one.status is JobStatus.PENDING and lifecycle.is_due(one, now)]

    def withdraw(self, job_id: str) -> None:
        """Forget an enqueued job, whose transaction was rolled back."""
        record = self._records.get(job_id)
        if record is None or job_id not in self._enqueued:
            return
        self._enqueued.remove(job_id)
        if record.status is JobStatus.PENDING:
            self._put(lifecycle.cancel(record, self._clock.now()))
            self._remove(job_id)


class RecordingBackend:
    """Stores jobs for `later`, `later_in` and the other calls, and runs them when a test asks for it.

    With `at_once`, each job runs when it is enqueued. With `raise_errors`, a failure raises the error of the handler.
    """

    def __init__(
        self,
        registry: JobRegistry,
        store: RecordingStore,
        *,
        clock: Clock | None = None,
        at_once: bool = False,
        raise_errors: bool = True,
        database: object = None,
        resources: Sequence[object] | None = None,
        withdrawn: Callable[[str], None] | None = None,
    ) -> None:
        self.registry = registry
        self.store = store
        self.at_once = at_once
        self._raise_errors = raise_errors
        self._clock = clock or SystemClock()
        self._database = database
        self._resources = resources
        self._withdrawn = withdrawn

    @property
    def hooks(self) -> Hooks:
        return self.registry.hooks

    async def initialize(self) -> None:
        """Do nothing."""

    async def shutdown(self) -> None:
        """Do nothing."""

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        return run_from_here(call)

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        inserted = self.add(jobs, request_trace)
        if self.at_once:
            await self._run_at_once(jobs, inserted)
        return inserted

    def insert_within(
        self, on_rollback: OnRollback, jobs: Sequence[NewJob], *, is_async: bool
    ) -> Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]:
        if is_async:
            return self._insert_within(on_rollback, jobs)
        inserted = self.add(jobs, NO_HEADERS)
        on_rollback(lambda: self.withdraw(inserted))
        if self.at_once:
            run_from_here(lambda: self._run_at_once(jobs, inserted))
        return inserted

    async def _insert_within(self, on_rollback: OnRollback, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        inserted = self.add(jobs, NO_HEADERS)
        watching = on_rollback(lambda: self.withdraw(inserted))
        if watching is not None:
            await watching
        if self.at_once:
            await self._run_at_once(jobs, inserted)
        return inserted

    def add(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str]) -> Sequence[Inserted]:
        """Store the jobs, within the middleware of the registry."""
        with enqueuing(self.hooks.middleware, jobs, request_trace) as new:
            return [self.store.add(job) for job in new]

    def withdraw(self, inserted: Sequence[Inserted]) -> None:
        """Forget the new jobs of a transaction that was rolled back."""
        for one in inserted:
            if one.created:
                self.store.withdraw(one.id)
                if self._withdrawn is not None:
                    self._withdrawn(one.id)

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        return await self.store.end_batches(batch_ids)

    @asynccontextmanager
    async def direct_runs(self) -> AsyncIterator[DirectRuns]:
        async with self._run() as run, run.direct_runs() as runs:
            yield runs

    async def run_due(self, *, raise_errors: bool) -> list[JobResult[Any]]:
        """Cancel expired jobs, then run due jobs, one after another, until none is left. Return their outcomes.

        A due job without a handler raises `InvalidOptionError`.
        """
        results: list[JobResult[Any]] = []
        async with self._run() as run:
            await run.execution.chores.cancel_late()
            while attempts := await self._next(run):
                results.append(await run.finish(attempts[0], raise_errors=raise_errors))
        for record in self.store.due():
            if (reason := self._unrunnable_reason(record)) is not None:
                raise InvalidOptionError(f"{record.job_name} is due and cannot run here: {reason}")
        return results

    async def _next(self, run: _OneLoop) -> Sequence[Attempt]:
        """Claim the next due job. End batches if there is none."""
        attempts = await run.execution.take(1)
        return await run.execution.take(1) if not attempts and await self.end_batches() else attempts

    def _unrunnable_reason(self, record: JobRecord) -> str | None:
        if (reason := self.registry.waiting_reason(record.job_name, record.spec_version)) is not None:
            return reason
        is_runnable = self.registry.find(record.job_name).is_runnable
        return None if is_runnable else "its handler is missing, or still the generated stub"

    async def _run_at_once(self, jobs: Sequence[NewJob], inserted: Sequence[Inserted]) -> None:
        stored = {job.id: job for job in jobs}
        async with self._run() as run:
            for one in inserted:
                if one.created and self._is_here(stored[one.id]):
                    job = self.registry.find(stored[one.id].job_name).job
                    await run.run_stored(job, one.id)
                    if self._raise_errors:
                        run.raise_error_of(one.id)

    def _is_here(self, new: NewJob) -> bool:
        """Whether the job is not the completion job of a batch of a fake, which knows only its own job."""
        return new.id != new.batch_id or self.registry.has(new.job_name)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[_OneLoop]:
        run = _OneLoop(self.registry, self.store, self._clock, self._database, self._resources)
        try:
            yield run
        finally:
            await run.shutdown()


class _OneLoop(InMemoryBackend):
    """Runs jobs of the test in the event loop that uses it. Handlers run in this process."""

    def __init__(
        self,
        registry: JobRegistry,
        store: RecordingStore,
        clock: Clock,
        database: object,
        resources: Sequence[object] | None,
    ) -> None:
        super().__init__(job_registry=registry, database=database, clock=clock, resources=resources, store=store)
        self._errors = _Errors()

    def new_execution(self, store: Store) -> Execution:
        execution = super().new_execution(store)
        execution.attempt_factory.outermost = (self._errors,)
        return execution

    async def initialize(self) -> None:
        await Backend.initialize(self)  # schedules are declared by those who fire them

    async def run_stored(self, job: AnyDefinition, job_id: str) -> None:
        """Run a stored job to its end."""
        async with self.direct_runs() as runs:
            await runs.run_stored(job, job_id, DEFAULT_WORKER_TIMEOUT)

    async def finish(self, attempt: Attempt, *, raise_errors: bool) -> JobResult[Any]:
        """Run an attempt to its end. Return its outcome, or raise the error of its handler."""
        outcome, reason = await self.execution.run(attempt)
        claim = attempt.claim
        if outcome.is_failure and raise_errors:
            self.raise_error_of(claim.id)
            raise JobFailedError(claim.job_name, claim.id, JobStatus.FAILED, reason)
        record = await self.store.get(claim.id)
        assert record is not None  # noqa: S101  only workers prune
        return attempt.job.result_of(record)

    def raise_error_of(self, job_id: str) -> None:
        """Raise the error of the last attempt of this job, if it had one."""
        if (error := self._errors.by_job.get(job_id)) is not None:
            raise error


class _Errors(Middleware):
    """Keeps the error of the last attempt of each job."""

    def __init__(self) -> None:
        self.by_job: dict[str | None, BaseException] = {}

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        self.by_job.pop(attempt.job_id, None)
        try:
            yield
        except BaseException as error:
            error.add_note(
                f"in {attempt.job_name} {attempt.job_id}, attempt {attempt.attempt} of {attempt.max_attempts}"
            )
            self.by_job[attempt.job_id] = error
            raise
