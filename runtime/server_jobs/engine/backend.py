"""A registry and a store, ready to run jobs. Every worker and every job class uses a backend."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel

from ..binding import handler_without_backend
from ..concurrency.tasks import begun, shielded
from ..context import JobContext
from ..contract.upcasts import Versions
from ..databases.opening import open_database
from ..definition import AnyDefinition, AnyHandler
from ..domain.clock import Clock, SystemClock
from ..domain.interfaces import Database, Store
from ..domain.options import RunIn, check_duration, check_range
from ..domain.record import (
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
from ..registry import JobRegistry, known_jobs
from ..result import JobMetadata
from ..stores.sql import SqlStore
from .attempt import Attempt, HandlerCall, Stop
from .direct_run import run_unstored, unavailable_reason
from .pruner import Pruner
from .runner import Runner
from .scheduler import Scheduler
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

if TYPE_CHECKING:
    from ..isolation.pool import HandlerProcesses

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

EXPIRY_JITTER = timedelta(seconds=1)


class _Means(NamedTuple):
    """A job with its handler, its processes and its versions."""

    job: AnyDefinition
    handler: AnyHandler
    processes: HandlerProcesses | None
    versions: Versions


class Backend:
    """A backend over any store.

    `database` is a store, a database, or a URL. The backend opens it at the first use, or in `initialize`. `clock` is
    for tests. Handlers in their own processes can enqueue only if `database` is a URL.
    """

    has_processes = sys.platform not in ("emscripten", "wasi")
    """True if handlers run in their own processes where the spec says so; else all handlers run in this process."""

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
        self.store = _store_of(database, job_registry.database_schema)
        self.name = self.store.name
        self.config = WorkerBackendConfig(
            database=database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        )
        self.clock = clock or SystemClock()
        self.scheduler = Scheduler(self.store, job_registry)
        self.pruner = Pruner(self.store, job_registry, self.clock)
        self.inserted: list[Callable[[], None]] = []
        """Called after every insert of this process, so that its workers claim at once."""
        self.runner = Runner(self.store, self.clock)
        self._claims: dict[str, tuple[Claim, float]] = {}
        """Claims that did not start yet, by token, each with a monotonic time before the claim."""
        self._processes: HandlerProcesses | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened_by: int | None = None
        self._inherited: list[Store] = []
        self._undoing: set[asyncio.Future[None]] = set()

    @property
    def registry(self) -> JobRegistry:
        """The jobs of this backend."""
        return self.config.job_registry

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which this process opened the backend; None while it is closed."""
        is_here = self._opened_by == os.getpid() and self._loop is not None and not self._loop.is_closed()
        return self._loop if is_here else None

    async def initialize(self) -> None:
        """As in `WorkerBackend`. Raises `DatabaseError`, or `SchemaMissingError` when migrations have not run.

        A forked child opens its own connections, which needs a URL as database.
        """
        if self._opened_by not in (None, os.getpid()):
            self._begin_anew()
        if self.loop is None:
            try:
                await self.store.open()
            except BaseException:
                await self.store.close()
                raise
            self._loop, self._opened_by = asyncio.get_running_loop(), os.getpid()

    def _begin_anew(self) -> None:
        """Start over in a forked child, which must neither use nor close the connections of its parent."""
        if not isinstance(self.config.database, str):
            raise DatabaseError(
                "this backend was opened before the process was forked, and its connections belong to the parent; "
                "give it the URL of its database, or make it in the forked process"
            )
        self._inherited.append(self.store)  # keep it alive: garbage collection would close it
        self.store = _store_of(self.config.database, self.registry.database_schema)
        self.scheduler = Scheduler(self.store, self.registry)
        self.pruner = Pruner(self.store, self.registry, self.clock)
        self.runner = Runner(self.store, self.clock)
        self._claims.clear()
        self._loop = self._opened_by = None

    async def shutdown(self) -> None:
        await self.runner.stop(self.runner.attempts())
        await self.runner.release([claim for claim, _ in self._claims.values()])
        self._claims.clear()
        if self._processes is not None:
            await self._processes.close()
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
        room = self.config.max_concurrency - len(self._claims) - len(self.runner.attempts())
        claims = await self.claim(max(0, room) if limit is None else limit)
        try:
            return PollResult(tuple(claims), await self.store.count_due(self.request(limit=1)))
        except BaseException:
            await asyncio.shield(self.give_back(claims))
            raise

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Release the claims that did not start; their jobs keep the attempt."""
        await self.runner.release([claim for claim in claims if self._claims.pop(claim.token, None) is not None])

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        for registration in self.registry.registrations():
            if registration.handler is not None and (processes := self._processes_for(registration.job)):
                processes.check(registration.job, registration.handler)

    async def claim(self, limit: int, *, queues: tuple[str, ...] | None = None) -> Sequence[Claim]:
        """Claim up to `limit` due jobs with a handler in this registry."""
        check_limit(limit)
        await self.initialize()
        began = self.clock.monotonic()
        claims = await self._held(self.store.claim(self.request(limit=limit, queues=queues)))
        self._claims.update((claim.token, (claim, began)) for claim in claims)
        return claims

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        self.registry.find(job.job_name)
        _, claimed = self._claims.get(job.token, (job, None))
        if claimed is None:
            return WorkerExecutionResult(job.id, Outcome.LOST, timedelta(0), str(StaleClaimError(job.id)))
        began = self.clock.monotonic()
        means = self._means_of(self.registry.find(job.job_name).job)
        attempt = self._attempt(means, job, self.config.lock_timeout)
        self.runner.hold(attempt, claimed)
        outcome, error = await self._run_held(attempt)
        duration = timedelta(seconds=self.clock.monotonic() - began)
        return WorkerExecutionResult(job.id, outcome, duration, error)

    async def _run_held(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        """Start an attempt of a claim of this backend; otherwise like `Runner.run`."""
        self._claims.pop(attempt.claim.token, None)
        return await self.runner.run(attempt, self)

    async def take(
        self,
        limit: int,
        *,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
    ) -> Sequence[Attempt]:
        """Like `claim`, but renew the leases until each attempt starts."""
        await self.initialize()
        began = self.clock.monotonic()
        request = self.request(limit=limit, queues=queues, slots=slots, limited=limited)
        attempts: list[Attempt] = []
        means: dict[str, _Means] = {}  # one entry per job name, for hundreds of claims
        for claim in await self._held(self.store.claim(request)):
            if claim.job_name not in means:
                means[claim.job_name] = self._means_of(self.registry.find(claim.job_name).job)
            attempt = self._attempt(means[claim.job_name], claim, self.config.lock_timeout)
            self.runner.hold(attempt, began)
            attempts.append(attempt)
        return attempts

    async def release_lock(self, job_id: str) -> bool:
        for attempt in self.runner.held():
            if attempt.claim.id == job_id and not attempt.is_over:
                attempt.stop(Stop.SHUTDOWN)
                return True
        claim = next((claim for claim, _ in self._claims.values() if claim.id == job_id), None)
        if claim is None:
            return False
        del self._claims[claim.token]
        (status,) = await self.store.settle([Released(id=claim.id, token=claim.token)])
        return status is not None

    async def handle_expired_locks(self) -> Sequence[Expired]:
        await self.initialize()
        # After a pause (a suspended machine, a blocked event loop) this may run before the next renewal.
        held = [attempt.claim.token for attempt in self.runner.held()]
        expired = await self.store.expire(jitter=EXPIRY_JITTER, except_for=held)
        gone = {job.id for job in expired}
        self._claims = {token: held for token, held in self._claims.items() if held[0].id not in gone}
        return expired

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
    ) -> ClaimRequest:
        """Return a claim request for the jobs with a handler in this registry."""
        return ClaimRequest(
            known=self.registry.known_jobs(),
            limit=limit,
            lease=self.config.lock_timeout,
            queues=queues,
            slots=slots,
            limited=limited,
        )

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        await self.initialize()
        inserted = await self.store.insert(jobs)
        for notify in self.inserted:
            notify()
        return inserted

    async def run_new(self, job: AnyDefinition, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        await self._ready_to_run(job, worker_timeout)
        began = self.clock.monotonic()
        (claim,) = await self._held(self._start(new, worker_timeout))
        return await self._run(job, claim, worker_timeout, began)

    async def run_stored(self, job: AnyDefinition, job_id: str, worker_timeout: timedelta) -> JobRecord:
        await self._ready_to_run(job, worker_timeout)
        versions = self.registry.versions_of(job)
        request = ClaimRequest(known=known_jobs(versions), limit=1, lease=worker_timeout)
        began = self.clock.monotonic()
        claims = await self._held(self._claim_one(job_id, request))
        if not claims:
            raise unavailable_reason(versions, job_id, await self.store.get(job_id))
        return await self._run(job, claims[0], worker_timeout, began)

    async def run_unstored(
        self, job: AnyDefinition, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        context = JobContext(job_name=job.job_name, correlation_id=correlation_id, database=self.config.database)
        call = HandlerCall(job, self.registry.handler_of(job), context)
        return await run_unstored(call, job, params, self, self._processes_for(job), self.clock)

    async def _ready_to_run(self, job: AnyDefinition, worker_timeout: timedelta) -> None:
        _check_positive("worker_timeout", worker_timeout)
        self.registry.handler_of(job)
        await self.initialize()

    async def _start(self, new: NewJob, lease: timedelta) -> Sequence[Claim]:
        return [await self.store.start(new, lease)]

    async def _claim_one(self, job_id: str, request: ClaimRequest) -> Sequence[Claim]:
        claim = await self.store.claim_one(job_id, request)
        return [] if claim is None else [claim]

    async def _held(self, claiming: Coroutine[None, None, Sequence[Claim]]) -> Sequence[Claim]:
        """Claim jobs. If the caller is cancelled, finish the claim and release the jobs."""
        task = begun(claiming)
        try:
            return await shielded(task)
        except asyncio.CancelledError:
            undoing = asyncio.get_running_loop().create_task(self._undo(task), context=Context())
            self._undoing.add(undoing)
            undoing.add_done_callback(self._undoing.discard)
            await asyncio.shield(undoing)  # continues if the caller is cancelled again
            raise

    async def _undo(self, claiming: asyncio.Future[Sequence[Claim]]) -> None:
        with suppress(ServerJobsError):
            await self.runner.release(await claiming)

    async def _run(self, job: AnyDefinition, claim: Claim, lease: timedelta, claimed: float) -> JobRecord:
        attempt = self._attempt(self._means_of(job), claim, lease)
        self.runner.hold(attempt, claimed)
        outcome, _ = await self.runner.run(attempt, self)
        record = await self.store.get(claim.id)
        if outcome is Outcome.LOST or record is None:
            raise StaleClaimError(claim.id)
        return record

    def _means_of(self, job: AnyDefinition) -> _Means:
        """Find the handler, processes and versions of a job. Raises `HandlerMissingError`."""
        return _Means(
            job=job,
            handler=self.registry.handler_of(job),
            processes=self._processes_for(job),
            versions=self.registry.versions_of(job),
        )

    def _attempt(self, means: _Means, claim: Claim, lease: timedelta) -> Attempt:
        context = JobContext(
            job_name=claim.job_name,
            job_id=claim.id,
            attempt=claim.attempt,
            correlation_id=claim.correlation_id,
            database=self.config.database,
            jobs=self.store,
        )
        return Attempt(
            claim=claim,
            job=means.job,
            handler=means.handler,
            context=context,
            lease=lease,
            processes=means.processes,
            versions=means.versions,
        )

    def _processes_for(self, job: AnyDefinition) -> HandlerProcesses | None:
        """Return the processes that run the handler of this job; None: it runs in this process."""
        if job.options.run_in is not RunIn.PROCESS or not self.has_processes:
            return None
        if self._processes is None:
            from ..isolation.pool import HandlerProcesses  # loaded only if a job needs it

            database = self.config.database
            url = database if isinstance(database, str) else None
            self._processes = HandlerProcesses(self.registry, database_url=url)
        return self._processes


def _store_of(database: Store | Database | str, schema: str | None) -> Store:
    if isinstance(database, str):
        return SqlStore(open_database(database, schema=schema))
    if isinstance(database, Store):
        return database
    if isinstance(database, Database):
        return SqlStore(database)
    raise InvalidOptionError(
        f"database must be a store, a database or a URL such as 'sqlite:///jobs.sqlite3', "
        f"not a {type(database).__name__}"
    )


async def run_unbound(
    job: AnyDefinition, params: BaseModel, correlation_id: str | None
) -> tuple[JobMetadata, BaseModel | None]:
    """Run a job without a backend, and store nothing. Raises `HandlerMissingError`."""
    context = JobContext(job_name=job.job_name, correlation_id=correlation_id)
    call = HandlerCall(job, handler_without_backend(job), context)
    return await run_unstored(call, job, params, None, None, SystemClock())


def check_limit(limit: int) -> None:
    """Raise `InvalidOptionError` for a negative number of jobs."""
    if limit < 0:
        raise InvalidOptionError(f"limit must be at least 0, not {limit}")


def _check_positive(name: str, duration: timedelta) -> None:
    if isinstance(duration, timedelta) and duration <= timedelta(0):
        raise InvalidOptionError(f"{name} must be longer than zero, not {duration}")
    check_duration(name, duration)
