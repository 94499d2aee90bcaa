"""A registry and a store, ready to run jobs: claims, executes, settles. Every worker and every job class uses one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel

from .clock import Clock, SystemClock
from .context import JobContext
from .databases.url import open_database
from .documents import write_result
from .errors import (
    InvalidOptionError,
    JobNotFoundError,
    JobUnavailableError,
    ServerJobsError,
    StaleClaimError,
)
from .executor import PASSED_ON, Attempt, HandlerCall, Stop, describe
from .job import AnyJob
from .options import check_range
from .outcomes import Cancel, Snooze
from .ports import Database, Store
from .record import (
    Claim,
    ClaimRequest,
    Expired,
    Inserted,
    JobRecord,
    JobStatus,
    KnownJob,
    NewJob,
    Released,
)
from .registry import JobRegistry
from .result import JobMetadata
from .runner import Runner
from .scheduler import Scheduler
from .stores.sql import SqlStore

DEFAULT_CONCURRENCY = 5
DEFAULT_LOCK_TIMEOUT = timedelta(minutes=5)
DEFAULT_POLL_INTERVAL = timedelta(seconds=1)
EXPIRY_JITTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerBackendConfig:
    """What a backend was made of. `lock_timeout` is the lease of a claim, renewed while the handler runs."""

    database: object
    job_registry: JobRegistry
    max_concurrency: int = DEFAULT_CONCURRENCY
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT
    poll_interval: timedelta = DEFAULT_POLL_INTERVAL


@dataclass(frozen=True, slots=True)
class PollResult:
    """The jobs claimed by one poll, and how many more are due."""

    claimed_jobs: tuple[Claim, ...]
    available_count: int


@dataclass(frozen=True, slots=True)
class WorkerExecutionResult:
    """What came of one attempt. `success` means completed and stored; otherwise `error` says why not."""

    job_id: str
    success: bool
    duration: timedelta
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the store answers, and what it said if not."""

    ok: bool
    detail: str


class WorkerBackend(Protocol):
    """The interface of every backend."""

    @property
    def name(self) -> str:
        """What kind of backend it is."""
        ...

    @property
    def config(self) -> WorkerBackendConfig:
        """What it was made of."""
        ...

    async def initialize(self) -> None:
        """Open the store. Harmless when it is open."""
        ...

    async def shutdown(self) -> None:
        """Give running jobs back and close the store."""
        ...

    async def poll_and_claim(self, limit: int | None = None) -> PollResult:
        """Claim due jobs: `limit`, or as many as may run besides those that are claimed or running here."""
        ...

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        """Run a claimed job and settle it. A claim that this backend does not hold (any more) is not run."""
        ...

    async def release_lock(self, job_id: str) -> bool:
        """Give a claimed job back without counting the attempt; False if this backend does not hold it."""
        ...

    async def handle_expired_locks(self) -> Sequence[Expired]:
        """Take jobs away from workers whose lease ran out."""
        ...

    async def health_check(self) -> Health:
        """Ask the store."""
        ...


class Backend:
    """The backend over any store.

    `database` is a store, a database, or a URL. Opens at the first use; `initialize` does it earlier, to fail early.
    `clock` is for tests.
    """

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
        self.store = _store_of(database)
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
        self.inserted: list[Callable[[], None]] = []
        """Called after every insert of this process: workers here need not wait for their next poll."""
        self.runner = Runner(self.store, self.clock)
        self._claims: dict[str, Claim] = {}
        self._is_open = False

    @property
    def registry(self) -> JobRegistry:
        """The jobs this backend knows."""
        return self.config.job_registry

    async def initialize(self) -> None:
        """As in `WorkerBackend`. Raises `DatabaseError`, or `SchemaMissingError` when migrations have not run."""
        if not self._is_open:
            try:
                await self.store.open()
            except BaseException:
                await self.store.close()
                raise
            self._is_open = True

    async def shutdown(self) -> None:
        await self.runner.stop(self.runner.attempts())
        await self.runner.release(list(self._claims.values()))
        self._claims.clear()
        self._is_open = False
        await self.store.close()

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
        return PollResult(tuple(claims), await self.store.count_due(self.request(limit=1)))

    async def claim(self, limit: int, *, queues: tuple[str, ...] | None = None) -> Sequence[Claim]:
        """Claim at most `limit` due jobs whose handlers are implemented here."""
        if limit < 0:
            raise InvalidOptionError(f"limit must be at least 0, not {limit}")
        await self.initialize()
        claims = await self._held(self.store.claim(self.request(limit=limit, queues=queues)))
        self._claims.update((claim.token, claim) for claim in claims)
        return claims

    async def execute(self, job: Claim) -> WorkerExecutionResult:
        self.registry.find(job.job_name)
        if job.token not in self._claims:
            return WorkerExecutionResult(
                job.id, success=False, duration=timedelta(0), error=str(StaleClaimError(job.id))
            )
        began = self.clock.monotonic()
        attempt = self._attempt(self.registry.find(job.job_name).job, job, self.config.lock_timeout)
        self._claims.pop(job.token, None)
        status, error = await self.runner.run(attempt, self)
        duration = timedelta(seconds=self.clock.monotonic() - began)
        return WorkerExecutionResult(job.id, status is JobStatus.COMPLETED, duration, error)

    async def take(
        self, limit: int, *, queues: tuple[str, ...] | None = None, retried_limit: int | None = None
    ) -> Sequence[Attempt]:
        """As `claim`, for a worker that begins its attempts by and by: their leases are renewed from now on."""
        await self.initialize()
        request = self.request(limit=limit, queues=queues, retried_limit=retried_limit)
        attempts: list[Attempt] = []
        for claim in await self._held(self.store.claim(request)):
            attempt = self._attempt(self.registry.find(claim.job_name).job, claim, self.config.lock_timeout)
            self.runner.hold(attempt)
            attempts.append(attempt)
        return attempts

    async def release_lock(self, job_id: str) -> bool:
        for attempt in self.runner.attempts():
            if attempt.claim.id == job_id:
                attempt.stop(Stop.SHUTDOWN)
                return True
        claim = next((claim for claim in self._claims.values() if claim.id == job_id), None)
        if claim is None:
            return False
        del self._claims[claim.token]
        (status,) = await self.store.settle([Released(id=claim.id, token=claim.token)])
        return status is not None

    async def handle_expired_locks(self) -> Sequence[Expired]:
        await self.initialize()
        # After a pause (a suspended machine, a blocked event loop) this may come before what runs here is renewed.
        held = [attempt.claim.token for attempt in self.runner.held()]
        expired = await self.store.expire(jitter=EXPIRY_JITTER, except_for=held)
        gone = {job.id for job in expired}
        self._claims = {token: claim for token, claim in self._claims.items() if claim.id not in gone}
        return expired

    def request(
        self, *, limit: int, queues: tuple[str, ...] | None = None, retried_limit: int | None = None
    ) -> ClaimRequest:
        """What this backend can run: the names and versions of its registry whose handlers are implemented."""
        return ClaimRequest(
            known=self.registry.known_jobs(),
            limit=limit,
            lease=self.config.lock_timeout,
            queues=queues,
            retried_limit=retried_limit,
        )

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        await self.initialize()
        inserted = await self.store.insert(jobs)
        for notify in self.inserted:
            notify()
        return inserted

    async def run_new(self, job: AnyJob, new: NewJob, worker_timeout: timedelta) -> JobRecord:
        _check_positive("worker_timeout", worker_timeout)
        self.registry.handler_of(job)
        await self.initialize()
        (claim,) = await self._held(self._start(new, worker_timeout))
        return await self._run(job, claim, worker_timeout)

    async def run_stored(self, job: AnyJob, job_id: str, worker_timeout: timedelta) -> JobRecord:
        _check_positive("worker_timeout", worker_timeout)
        self.registry.handler_of(job)
        await self.initialize()
        known = (KnownJob(job.job_name, job.options.version),)
        claims = await self._held(self._claim_one(job_id, ClaimRequest(known=known, limit=1, lease=worker_timeout)))
        if not claims:
            raise await self._why_unavailable(job, job_id)
        return await self._run(job, claims[0], worker_timeout)

    async def run_unstored(
        self, job: AnyJob, params: BaseModel, correlation_id: str | None
    ) -> tuple[JobMetadata, BaseModel | None]:
        context = JobContext(job_name=job.job_name, correlation_id=correlation_id, database=self.config.database)
        call = HandlerCall(job, self.registry.handler_of(job), context)
        began = self.clock.now()
        value, error, status = None, None, JobStatus.COMPLETED
        try:
            outcome = await call.run(self, params)
            match outcome:
                case Snooze(delay=delay):
                    status, error = JobStatus.FAILED, f"put off by its handler for {delay}, and nothing is stored"
                case Cancel(reason=reason):
                    status, error = JobStatus.CANCELLED, reason
                case _:
                    value, _ = write_result(job.job_name, job.result_model, outcome)
        except PASSED_ON:
            raise
        except BaseException as raised:  # noqa: BLE001  whatever else a handler raises is its outcome
            status, error = JobStatus.FAILED, describe(raised)
        metadata = JobMetadata(
            job_id=None,
            job_name=job.job_name,
            status=status,
            attempt_count=1,
            enqueued_at=began,
            started_at=began,
            completed_at=self.clock.now(),
            error=error,
        )
        return metadata, value

    async def _start(self, new: NewJob, lease: timedelta) -> Sequence[Claim]:
        return [await self.store.start(new, lease)]

    async def _claim_one(self, job_id: str, request: ClaimRequest) -> Sequence[Claim]:
        claim = await self.store.claim_one(job_id, request)
        return [] if claim is None else [claim]

    async def _held(self, claiming: Coroutine[None, None, Sequence[Claim]]) -> Sequence[Claim]:
        """The claims made. When the caller is cancelled they are made all the same, and given back."""
        task = asyncio.ensure_future(claiming)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with suppress(ServerJobsError):
                await self.runner.release(await task)
            raise

    async def _run(self, job: AnyJob, claim: Claim, lease: timedelta) -> JobRecord:
        status, _ = await self.runner.run(self._attempt(job, claim, lease), self)
        record = await self.store.get(claim.id)
        if status is None or record is None:
            raise StaleClaimError(claim.id)
        return record

    def _attempt(self, job: AnyJob, claim: Claim, lease: timedelta) -> Attempt:
        context = JobContext(
            job_name=claim.job_name,
            job_id=claim.id,
            attempt=claim.record.attempt_count,
            correlation_id=claim.record.correlation_id,
            database=self.config.database,
            jobs=self.store,
        )
        handler = self.registry.handler_of(job)
        return Attempt(claim=claim, job=job, handler=handler, context=context, lease=lease)

    async def _why_unavailable(self, job: AnyJob, job_id: str) -> ServerJobsError:
        record = await self.store.get(job_id)
        if record is None:
            return JobNotFoundError(job_id)
        if record.job_name != job.job_name:
            return JobUnavailableError(job_id, f"it is a job of {record.job_name}, not of {job.job_name}")
        if record.spec_version != job.options.version:
            return JobUnavailableError(
                job_id, f"it is of version {record.spec_version}; here is version {job.options.version}"
            )
        return JobUnavailableError(job_id, f"it is {record.status}, and only a pending job can be claimed")


def _store_of(database: Store | Database | str) -> Store:
    if isinstance(database, str):
        return SqlStore(open_database(database))
    if isinstance(database, Store):
        return database
    if isinstance(database, Database):
        return SqlStore(database)
    raise InvalidOptionError(
        f"database must be a store, a database or a URL such as 'sqlite:///jobs.sqlite3', "
        f"not a {type(database).__name__}"
    )


def _check_positive(name: str, duration: timedelta) -> None:
    if duration <= timedelta(0):
        raise InvalidOptionError(f"{name} must be longer than zero, not {duration}")
