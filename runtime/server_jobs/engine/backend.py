"""A registry and a store, ready to run jobs. Every worker and every job class uses a backend."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel

from ..binding import Binding, handler_without_backend, hooks_without_backend, stand_ins
from ..concurrency.blocking import run_in_loop_of
from ..context import JobContext
from ..definition import AnyDefinition
from ..domain.clock import Clock, SystemClock
from ..domain.interfaces import Database, Store
from ..domain.options import check_duration, check_range
from ..domain.record import (
    MOST_LATE,
    Claim,
    ClaimRequest,
    Expired,
    Inserted,
    JobRecord,
    NewJob,
    Outcome,
    Released,
)
from ..errors import (
    DatabaseError,
    InvalidOptionError,
    ServerJobsError,
    StaleClaimError,
)
from ..hooks import Hooks
from ..middleware import NO_HEADERS, enqueuing
from ..registry import JobRegistry, known_jobs
from ..resources import NO_RESOURCES, OpenLifespans
from ..result import JobMetadata
from .attempts.attempt import Attempt, Stop
from .attempts.direct_run import run_unstored, unavailable_reason
from .attempts.factory import AttemptFactory
from .attempts.failure_log import log_late
from .attempts.handler_call import call_of
from .attempts.runner import Runner
from .pruner import Pruner
from .scheduler import Scheduler
from .stand_ins import backends, insert_through_stand_ins, store_for
from .worker_backend import (
    DEFAULT_CONCURRENCY,
    DEFAULT_LOCK_TIMEOUT,
    DEFAULT_POLL_INTERVAL,
    Health,
    PollResult,
    WorkerBackend,
    WorkerBackendConfig,
    WorkerExecutionResult,
)

__all__ = [
    "DEFAULT_CONCURRENCY",
    "DEFAULT_LOCK_TIMEOUT",
    "DEFAULT_POLL_INTERVAL",
    "Backend",
    "Health",
    "PollResult",
    "WorkerBackend",
    "WorkerBackendConfig",
    "WorkerExecutionResult",
]

T = TypeVar("T")

EXPIRY_JITTER = timedelta(seconds=1)


class Backend:
    """A backend over any store.

    `database` is a store, a database, or a URL. The backend opens it at the first use, or in `initialize`. `clock` is
    for tests. Handlers in their own processes can enqueue only if `database` is a URL.

        backend = Backend(database="sqlite:///server-jobs.sqlite3", job_registry=registry)
        registry.bind(backend)
        await SendEmail.later({"to": "ada@example.com", "subject": "Hello"})
        await backend.shutdown()
    """

    for_handlers: Binding | None = None
    """The binding of job classes inside the handlers that this backend runs; None: this backend."""

    def __init__(
        self,
        *,
        database: Store | Database | str,
        job_registry: JobRegistry,
        max_concurrency: int = DEFAULT_CONCURRENCY,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
        clock: Clock | None = None,
    ) -> None:
        check_range("max_concurrency", max_concurrency, 1, 10_000)
        _check_positive("lock_timeout", lock_timeout)
        _check_positive("poll_interval", poll_interval)
        self.config = WorkerBackendConfig(
            database=database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        )
        self.clock = clock or SystemClock()
        self._database = database
        self.use_own_store()
        self.name = self.store.name
        self.inserted: list[Callable[[], None]] = []
        """Called after every insert and every end of a batch in this process, so that its workers claim at once."""
        self.attempt_factory = AttemptFactory(self.config)
        self._inherited: list[Store] = []
        self.lifespans = OpenLifespans(lambda: self.hooks.lifespans)
        """The lifespans of the registry, open or not."""
        backends.add(self)

    def use_own_store(self) -> None:
        """Start over with the store of the database that this backend was made with."""
        self.use_store(store_for(self._database, self.registry.database_schema))

    def use_store(self, store: Store) -> None:
        """Start over with this store, which is not opened yet."""
        self.store = store
        self.scheduler = Scheduler(store, self.registry)
        self.pruner = Pruner(store, self.registry, self.clock)
        self.runner = Runner(store, self.clock)
        self._unstarted: dict[str, Attempt] = {}
        """Attempts of `claim` that `execute` did not start yet, by token."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened_by: int | None = None
        self._opening = 0
        """The number of calls that are opening the store."""

    @contextmanager
    def working_on(self, store: Store) -> Iterator[None]:
        """Use this store until the block ends. Afterwards the backend is as it was before."""
        before = dict(vars(self))
        self.use_store(store)
        try:
            yield
        finally:
            vars(self).update(before)

    @property
    def database_name(self) -> str | None:
        """The name of its database in a project with several ones, or else None."""
        return None

    @property
    def registry(self) -> JobRegistry:
        """The jobs of this backend."""
        return self.config.job_registry

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of the registry."""
        return self.config.job_registry.hooks

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which this process opened the backend; None while it is closed."""
        is_here = self._opened_by == os.getpid() and self._loop is not None and not self._loop.is_closed()
        return self._loop if is_here else None

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        return run_in_loop_of(self, call)

    async def initialize(self) -> None:
        """As in `WorkerBackend`. Raises `DatabaseError`, or `SchemaMissingError` when migrations have not run.

        A forked child opens its own connections, which needs a URL as database.
        """
        if self._opened_by == os.getpid() and self._loop is asyncio.get_running_loop():
            return  # as for almost every job
        if self._opened_by not in (None, os.getpid()):
            self._start_over()
        if self.loop is None:
            self._opening += 1
            try:
                await self.store.open()
                self._loop, self._opened_by = asyncio.get_running_loop(), os.getpid()
            except BaseException:
                if self._opening == 1 and self.loop is None:
                    await self.store.close()
                raise
            finally:
                self._opening -= 1

    def _start_over(self) -> None:
        """Start over in a forked child, which must neither use nor close the connections of its parent."""
        if not isinstance(self._database, str):
            raise DatabaseError(
                "this backend was opened before the process was forked, and its connections belong to the parent; "
                "give it the URL of its database, or make it in the forked process"
            )
        self._inherited.append(self.store)  # keep it alive: garbage collection would close it
        self.use_own_store()
        self.lifespans.forget()

    async def open_resources(self) -> None:
        """Open the lifespans of the registry. Does nothing if they are open. Raises `SetupError`.

        Everything that runs a handler calls this first. `shutdown` closes them.
        """
        if self.hooks.lifespans:
            self.attempt_factory.resources = await self.lifespans.open()

    async def close_resources(self) -> None:
        """Close the lifespans of the registry. The next run of a handler opens them again."""
        self.attempt_factory.resources = NO_RESOURCES
        await self.lifespans.close()

    async def shutdown(self) -> None:
        await self.runner.stop(self.runner.attempts())
        await self.release([attempt.claim for attempt in self._unstarted.values()])
        await self.attempt_factory.close()
        await self.close_resources()
        self._loop = self._opened_by = None
        await self.store.close()
        self.runner = Runner(self.store, self.clock)  # forget an outage of the time before

    async def health_check(self) -> Health:
        try:
            await self.initialize()
            await self.store.ping()
        except ServerJobsError as error:
            return Health(ok=False, detail=str(error))
        return Health(ok=True, detail=f"{self.name} answers")

    async def poll_and_claim(self, limit: int | None = None) -> PollResult:
        room = self.config.max_concurrency - len(self._unstarted) - len(self.runner.attempts())
        claims = await self.claim(max(0, room) if limit is None else limit)
        try:
            return PollResult(tuple(claims), await self.store.count_due(self.request(limit=1)))
        except BaseException:
            await asyncio.shield(self.release(claims))
            raise

    async def release(self, claims: Sequence[Claim]) -> None:
        """Release the claims that did not start; their jobs keep the attempt."""
        await self.runner.release([claim for claim in claims if self._unstarted.pop(claim.token, None) is not None])

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        self.attempt_factory.check_handlers()

    async def claim(self, limit: int, *, queues: tuple[str, ...] | None = None) -> Sequence[Claim]:
        """Claim up to `limit` due jobs with a handler in this registry."""
        check_limit(limit)
        attempts = await self._claim(self.request(limit=limit, queues=queues))
        self._unstarted.update((attempt.claim.token, attempt) for attempt in attempts)
        return [attempt.claim for attempt in attempts]

    async def take(
        self,
        limit: int,
        *,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> Sequence[Attempt]:
        """Like `claim`, but return attempts for `runner.perform`, and renew their leases until they start."""
        request = self.request(limit=limit, queues=queues, slots=slots, limited=limited, worker_id=worker_id)
        if unready := self.attempt_factory.unready:
            request = replace(request, known=tuple(job for job in request.known if job.name not in unready))
        attempts = await self._claim(request)
        self.runner.leases.add(attempts)
        return attempts

    async def _claim(self, request: ClaimRequest) -> Sequence[Attempt]:
        await self.initialize()
        await self.open_resources()
        self.attempt_factory.check_dependencies()
        claimed = self.clock.monotonic()
        claims = await self.runner.claim(self.store.claim(request))
        return self.attempt_factory.attempts_of(claims, self.store, claimed, request.lease)

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        self.registry.find(job.job_name)
        attempt = self._unstarted.get(job.token)
        if attempt is None:
            return WorkerExecutionResult(job.id, Outcome.LOST, timedelta(0), str(StaleClaimError(job.id)))
        began = self.clock.monotonic()
        outcome, error = await self._run(attempt)
        return WorkerExecutionResult(job.id, outcome, timedelta(seconds=self.clock.monotonic() - began), error)

    async def _run(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        """Run an attempt of `claim`, and return its outcome and its error."""
        self._unstarted.pop(attempt.claim.token, None)
        return await self.runner.run(attempt, self.for_handlers or self)

    async def release_lock(self, job_id: str) -> bool:
        for attempt in self.runner.leases.leased():
            if attempt.claim.id == job_id and not attempt.is_over:
                attempt.stop(Stop.SHUTDOWN)
                return True
        token = next((token for token, attempt in self._unstarted.items() if attempt.claim.id == job_id), None)
        if token is None:
            return False
        del self._unstarted[token]
        (status,) = await self.store.settle([Released(id=job_id, token=token)])
        return status is not None

    async def handle_expired_locks(self) -> Sequence[Expired]:
        await self.initialize()
        # After a pause (a suspended machine, a blocked event loop) this may run before the next renewal.
        leased = [attempt.claim.token for attempt in self.runner.leases.leased()]
        expired = await self.store.expire(jitter=EXPIRY_JITTER, except_for=leased)
        for one in expired:
            if self.registry.get(one.job_name) is not None:
                self.runner.counts.note_failure(one.queue, one.job_name, one.status)
        gone = {job.id for job in expired}
        self._unstarted = {token: one for token, one in self._unstarted.items() if one.claim.id not in gone}
        return expired

    async def cancel_late(self) -> int:
        """Cancel the jobs that may not start any more, in small steps, and return their number. Log each of them."""
        await self.initialize()
        count = 0
        while self.allowance() != 0:
            late = await self.store.cancel_late()
            log_late(late)
            count += len(late)
            if len(late) < MOST_LATE:
                break
        return count

    def allowance(self) -> int | None:
        """How many more jobs a tick may run, schedules it may fire, or reads a stream may make; None: unlimited."""
        return None

    def request(
        self,
        *,
        limit: int,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> ClaimRequest:
        """Return a claim request for the jobs with a handler in this registry."""
        return ClaimRequest(
            known=self.registry.known_jobs(),
            limit=limit,
            lease=self.config.lock_timeout,
            queues=queues,
            slots=slots,
            limited=limited,
            worker_id=worker_id,
        )

    async def insert(self, jobs: Sequence[NewJob], request_trace: Mapping[str, str] = NO_HEADERS) -> Sequence[Inserted]:
        if stand_ins and (inserted := await insert_through_stand_ins(self, jobs, request_trace)) is not None:
            return inserted
        await self.initialize()
        if middleware := self.hooks.middleware:
            with enqueuing(middleware, jobs, request_trace) as new:
                inserted = await self.store.insert(new)
        else:
            inserted = await self.store.insert(jobs)
        for notify in self.inserted:
            notify()
        return inserted

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        await self.initialize()
        ended = await self.store.end_batches(batch_ids)
        if ended:
            for notify in self.inserted:
                notify()
        return ended

    async def run_new(self, job: AnyDefinition, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        await self._ready_to_run(job, worker_timeout)
        claimed = self.clock.monotonic()
        with enqueuing(self.hooks.middleware, (new,)) as (stored,):
            (claim,) = await self.runner.claim(_listed(self.store.start(stored, worker_timeout)))
        return await self._run_here(job, claim, claimed, worker_timeout)

    async def run_stored(self, job: AnyDefinition, job_id: str, worker_timeout: timedelta) -> JobRecord:
        await self._ready_to_run(job, worker_timeout)
        versions = self.registry.versions_of(job)
        request = ClaimRequest(known=known_jobs(versions), limit=1, lease=worker_timeout)
        claimed = self.clock.monotonic()
        claims = await self.runner.claim(_listed(self.store.claim_one(job_id, request)))
        if not claims:
            raise unavailable_reason(versions, job_id, await self.store.get(job_id))
        return await self._run_here(job, claims[0], claimed, worker_timeout)

    async def run_unstored(
        self, job: AnyDefinition, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        handler, factory = self.registry.handler_of(job), self.attempt_factory
        await self.open_resources()
        context = JobContext(
            job_name=job.job_name,
            correlation_id=correlation_id,
            database=self.config.database,
            resources=factory.resources,
        )
        return await run_unstored(
            call_of(job, handler, context),
            job,
            params,
            self.for_handlers or self,
            factory.processes_for(job),
            self.clock,
            self.hooks.middleware,
            correlation_id,
        )

    async def _ready_to_run(self, job: AnyDefinition, worker_timeout: timedelta) -> None:
        _check_positive("worker_timeout", worker_timeout)
        self.registry.handler_of(job)
        await self.initialize()
        await self.open_resources()

    async def _run_here(self, job: AnyDefinition, claim: Claim, claimed: float, lease: timedelta) -> JobRecord:
        attempt = self.attempt_factory.attempt_of(job, claim, self.store, claimed, lease)
        outcome, _ = await self.runner.run(attempt, self.for_handlers or self)
        record = await self.store.get(claim.id)
        if outcome is Outcome.LOST or record is None:
            raise StaleClaimError(claim.id)
        return record


async def _listed(claiming: Awaitable[Claim | None]) -> Sequence[Claim]:
    claim = await claiming
    return [] if claim is None else [claim]


async def run_unbound(
    job: AnyDefinition, params: BaseModel, correlation_id: str | None
) -> tuple[JobMetadata, BaseModel | None]:
    """Run a job without a backend, and store nothing. Open the lifespans for this run. Raises `HandlerMissingError`."""
    handler, hooks = handler_without_backend(job), hooks_without_backend(job)
    lifespans = OpenLifespans(lambda: hooks.lifespans)
    resources = await lifespans.open() if hooks.lifespans else NO_RESOURCES
    try:
        context = JobContext(job_name=job.job_name, correlation_id=correlation_id, resources=resources)
        call = call_of(job, handler, context)
        return await run_unstored(call, job, params, None, None, SystemClock(), hooks.middleware, correlation_id)
    finally:
        await lifespans.close()


def check_limit(limit: int) -> None:
    """Raise `InvalidOptionError` for a negative number of jobs."""
    if limit < 0:
        raise InvalidOptionError(f"limit must be at least 0, not {limit}")


def _check_positive(name: str, duration: timedelta) -> None:
    if isinstance(duration, timedelta) and duration <= timedelta(0):
        raise InvalidOptionError(f"{name} must be longer than zero, not {duration}")
    check_duration(name, duration)
