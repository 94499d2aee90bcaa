"""What runs the jobs of a backend in this process: claim, run, settle. `chores` has the work around it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from ..binding import Binding
from ..concurrency.tasks import shielded, start_task
from ..domain.clock import Clock
from ..domain.interfaces import Store
from ..domain.record import (
    Cancelled,
    Claim,
    ClaimRequest,
    Completed,
    Failed,
    JobStatus,
    Outcome,
    Released,
    Settlement,
)
from ..errors import DatabaseError, InvalidOptionError, ServerJobsError, StaleClaimError
from .attempts.attempt import Attempt, SettledElsewhere, Stop
from .attempts.factory import HAS_PROCESSES, AttemptFactory
from .attempts.failure_log import log_failure, log_refused, log_unstored
from .attempts.leases import LeaseKeeper
from .attempts.settler import OutcomeCounts, Settler, release
from .chores import Chores
from .pruner import Pruner
from .scheduler import Scheduler

if TYPE_CHECKING:
    from .backend import Backend

_logger = logging.getLogger("server_jobs")

_GRACE = timedelta(seconds=0.3)

Settled = Callable[[Attempt, Outcome, str | None], None]
"""Called with the attempt, its outcome, and the error if it did not complete."""


class Execution:
    """Runs the jobs of a backend on one store.

    `take` claims jobs, and `run` or `runner.perform` runs each of them and stores its outcome.
    """

    def __init__(self, backend: Backend, store: Store) -> None:
        self.backend = backend
        self.store = store
        self.registry = backend.registry
        self.config = backend.config
        self.clock = backend.clock
        self.binding: Binding = backend.for_handlers or backend
        """The binding of job classes inside the handlers."""
        self.attempt_factory = AttemptFactory(self.config, has_processes=HAS_PROCESSES and not backend.runs_all_here)
        self.runner = Runner(store, self.clock)
        self.scheduler = Scheduler(store, self.registry)
        self.pruner = Pruner(store, self.registry, self.clock)
        self.chores = Chores(self)

    def check_handlers(self) -> None:
        """Raise `InvalidOptionError` for a handler that its process could not import."""
        self.attempt_factory.check_handlers()

    async def prepare(self) -> None:
        """Open the store and the lifespans.

        Everything that runs a handler calls this first. Raises `DatabaseError`, and `SetupError` if a lifespan does not
        open.
        """
        await self.backend.initialize()
        await self.open_resources()

    async def open_resources(self) -> None:
        """Open the lifespans of the registry. Does nothing if they are open. Raises `SetupError`."""
        if self.backend.hooks.lifespans:
            self.attempt_factory.resources = await self.backend.lifespans.open()

    async def stop(self) -> None:
        """Release running jobs, and end the handler processes."""
        await self.runner.stop(self.runner.attempts())
        await self.attempt_factory.close()

    def request(
        self,
        *,
        limit: int,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> ClaimRequest:
        """Return a claim request for the jobs with a handler in this registry, and with an installed place."""
        known = self.registry.known_jobs()
        if unplaced := self.attempt_factory.unplaced:
            known = tuple(job for job in known if job.name not in unplaced)
        return ClaimRequest(
            known=known,
            limit=limit,
            lease=self.config.lease,
            queues=queues,
            slots=slots,
            limited=limited,
            worker_id=worker_id,
        )

    async def take(
        self,
        limit: int,
        *,
        queues: tuple[str, ...] | None = None,
        slots: int | None = None,
        limited: int | None = None,
        worker_id: str | None = None,
    ) -> Sequence[Attempt]:
        """Claim up to `limit` due jobs with a handler in this registry, and renew their leases from now on.

        If the caller is cancelled, finish the claim and release the jobs. Raises `DependencyError` for a handler with a
        parameter that no resource fills.
        """
        attempts = await self.claim(
            self.request(limit=limit, queues=queues, slots=slots, limited=limited, worker_id=worker_id)
        )
        self.runner.leases.add(attempts)
        return attempts

    async def claim(self, request: ClaimRequest) -> Sequence[Attempt]:
        """Like `take`, but nobody renews the leases before the attempts run."""
        check_limit(request.limit)
        if unready := self.attempt_factory.unready:
            request = replace(request, known=tuple(job for job in request.known if job.name not in unready))
        await self.prepare()
        self.attempt_factory.check_dependencies()
        claimed = self.clock.monotonic()
        claims = await self.runner.claim(self.store.claim(request))
        return self.attempt_factory.attempts_of(claims, self.store, claimed, request.lease)

    async def run(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        """Run an attempt, store its outcome, and return the outcome and the error.

        If the caller is cancelled, release the job.
        """
        return await self.runner.run(attempt, self.binding)

    async def release(self, attempts: Sequence[Attempt]) -> None:
        """Release the jobs of attempts that did not start; they keep the attempt."""
        for attempt in attempts:
            self.runner.leases.remove(attempt)
        await self.runner.release([attempt.claim for attempt in attempts])


class Runner:
    """Run the attempts of all workers of a backend against one store, so that writes form batches."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.leases = LeaseKeeper(store, clock)
        """Renews the leases of attempts that wait, run, or are not stored yet."""
        self._settler = Settler(store, clock)
        self.counts = OutcomeCounts()
        self.batches: set[str] = set()
        """The batches of jobs that finished here since somebody looked whether the batches have ended."""
        self._attempts: dict[str, Attempt] = {}
        self._releasing: set[Attempt] = set()
        """Attempts without an outcome, whose release is not stored yet."""
        self._left: set[asyncio.Event] = set()
        """Set whenever an attempt leaves."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_failing(self) -> bool:
        """True while outcomes cannot be stored; nothing should start then."""
        return self._settler.is_failing

    def attempts(self) -> list[Attempt]:
        """The attempts that run, or whose outcome is not stored yet."""
        return list(self._attempts.values())

    async def remove_worker(self, worker_id: str) -> None:
        """Store the counts and forget a worker that stops. While the database is away, it counts as dead later."""
        self.leases.stop_reporting(worker_id)
        with suppress(DatabaseError):
            await self.counts.store(self._store)
            await self.leases.remove_worker(worker_id)

    async def claim(self, claiming: Coroutine[None, None, Sequence[Claim]]) -> Sequence[Claim]:
        """Claim jobs. If the caller is cancelled, finish the claim and release the jobs."""
        task = start_task(claiming)
        try:
            return await shielded(task)
        except asyncio.CancelledError:
            await self._in_background(self._release_answer(task))
            raise

    async def run(self, attempt: Attempt, backend: Binding) -> tuple[Outcome, str | None]:
        """Run an attempt, store its outcome, and return the outcome and the error.

        If the caller is cancelled, release the job: the caller went away, not the job.
        """
        self.leases.add((attempt,))
        self.leases.check(attempt, self._clock.monotonic())
        answer: asyncio.Future[tuple[Outcome, str | None]] = asyncio.get_running_loop().create_future()

        def settled(_: Attempt, outcome: Outcome, error: str | None) -> None:
            if not answer.done():
                answer.set_result((outcome, error))

        await self.perform(attempt, backend, settled, failed=answer)
        return await answer

    async def perform(
        self,
        attempt: Attempt,
        backend: Binding,
        settled: Settled,
        failed: asyncio.Future[tuple[Outcome, str | None]] | None = None,
    ) -> None:
        """Run an attempt and return when its handler is over. Call `settled` once the outcome is stored, or lost.

        The lease of the attempt is renewed already.

        If the caller is cancelled, release the job. Set a store error other than `DatabaseError` on `failed`; log it
        if there is no `failed`.
        """
        self._attempts[attempt.claim.token] = attempt
        attempt.began = attempt.began or self._clock.monotonic()
        try:
            end = await attempt.run(backend, self.leases)
        except BaseException as error:
            is_leased = self.leases.renews(attempt)
            self._leave(attempt)
            if isinstance(error, asyncio.CancelledError) and is_leased:
                self._releasing.add(attempt)
                await self._in_background(self._release(attempt))
            raise
        attempt.is_over = True
        if isinstance(end, SettledElsewhere):
            self._leave(attempt)
            self._log_failure(attempt)
            settled(attempt, end.outcome, end.error)
            return
        self._settler.put(
            end,
            deadline=partial(self.leases.expires_at, attempt),
            stored=partial(self._note_stored, attempt, end, settled, failed),
        )

    def _note_stored(
        self,
        attempt: Attempt,
        settlement: Settlement,
        settled: Settled,
        failed: asyncio.Future[tuple[Outcome, str | None]] | None,
        status: JobStatus | None,
        error: BaseException | None,
    ) -> None:
        """Forget the attempt, count its outcome, and pass it to `settled`; see `perform`."""
        self._leave(attempt)
        if error is not None:
            self._log_failure(attempt)
            if failed is not None and not failed.done():
                failed.set_exception(error)
            else:
                log_refused(attempt, "settled", error)
            settled(attempt, Outcome.LOST, str(error))
            return
        claim = attempt.claim
        self.counts.note(claim.queue, claim.job_name, settlement, status)
        is_completed = status is JobStatus.COMPLETED
        if claim.batch_id is not None and (is_completed or (status is not None and status.is_finished)):
            self.batches.add(claim.batch_id)
        if is_completed:
            settled(attempt, Outcome.COMPLETED, None)
            return
        outcome, reason = _ended(attempt, settlement, status)
        self._log_failure(attempt, settlement, status, reason)
        settled(attempt, outcome, reason)

    def _log_failure(
        self,
        attempt: Attempt,
        settlement: Settlement | None = None,
        status: JobStatus | None = None,
        reason: str | None = None,
    ) -> None:
        log_failure(attempt, settlement, status, reason, self._clock.monotonic() - attempt.began)

    async def stop(self, attempts: Sequence[Attempt]) -> None:
        """End these attempts and release their jobs, which keep the attempt.

        Wait a moment for handlers and releases. The store refuses later writes of a handler that does not end as stale.
        """
        for attempt in attempts:
            attempt.stop(Stop.SHUTDOWN)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE.total_seconds()):
                await self._until_left(attempts)
        unfinished: list[Attempt] = []
        for attempt in attempts:
            claim = attempt.claim
            if claim.token not in self._attempts:
                continue
            if attempt.is_over:
                # Its handler has ended, and a release would run it twice: retry the outcome until the lease expires.
                log_unstored(attempt)
            elif self.leases.renews(attempt):  # else its place has taken the claim over
                unfinished.append(attempt)
        unfinished += self._releasing  # a second time: the store refuses a second release
        for attempt in unfinished:
            self._leave(attempt)
        await self.release([attempt.claim for attempt in unfinished])

    async def release(self, claims: Sequence[Claim]) -> None:
        """Release claimed jobs at the end; they keep the attempt.

        If the database stays away, or does not answer for a while, their leases expire.
        """
        await release(self._store, claims)

    def release_waiting(self, attempts: Sequence[Attempt]) -> None:
        """Release the jobs of attempts that did not start, as if they had not been claimed.

        Renew their leases until the release is stored, even while the database is away.
        """
        for attempt in attempts:
            self._releasing.add(attempt)
            self._settler.put(
                Released(id=attempt.claim.id, token=attempt.claim.token),
                deadline=partial(self.leases.expires_at, attempt),
                stored=partial(self._note_released, attempt),
            )

    def _note_released(self, attempt: Attempt, _: JobStatus | None, error: BaseException | None) -> None:
        if error is not None:
            log_refused(attempt, "released", error)
        self._releasing.discard(attempt)
        self._leave(attempt)

    async def _release(self, attempt: Attempt) -> None:
        try:
            await self.release([attempt.claim])
        finally:
            self._releasing.discard(attempt)
            self._leave(attempt)

    async def _release_answer(self, claiming: asyncio.Future[Sequence[Claim]]) -> None:
        with suppress(ServerJobsError):
            await self.release(await claiming)

    async def _in_background(self, work: Coroutine[None, None, None]) -> None:
        """Do the work outside of the context of every handler, and wait. It goes on if the caller is cancelled."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _until_left(self, attempts: Sequence[Attempt]) -> None:
        left = asyncio.Event()
        self._left.add(left)
        try:
            while self._releasing or any(attempt.claim.token in self._attempts for attempt in attempts):
                left.clear()
                await left.wait()
        finally:
            self._left.discard(left)

    def _leave(self, attempt: Attempt) -> None:
        """Forget an attempt."""
        self.leases.remove(attempt)
        self._attempts.pop(attempt.claim.token, None)
        for left in self._left:
            left.set()


def _failure(settlement: Settlement) -> Outcome:
    return settlement.ended.outcome if isinstance(settlement, Failed) else Outcome.FAILED


def _ended(attempt: Attempt, settlement: Settlement, status: JobStatus | None) -> tuple[Outcome, str | None]:
    """Return how the attempt ended and why it did not complete. `status` is None if the claim was lost."""
    if status is JobStatus.COMPLETED:
        return Outcome.COMPLETED, None
    if status is None:
        return Outcome.LOST, str(StaleClaimError(attempt.claim.id))
    failure = Outcome.CANCELLED if status is JobStatus.CANCELLED else _failure(settlement)
    match settlement:
        case Released(delay=None):
            return (Outcome.RELEASED if status is JobStatus.PENDING else failure), None
        case Released(delay=delay):
            return (Outcome.SNOOZED if status is JobStatus.PENDING else failure), f"snoozed by its handler for {delay}"
        case Failed(error=error):
            return failure, error
        case Cancelled(reason=reason):
            return failure, f"cancelled by its handler: {reason}"
        case Completed():
            return failure, "its result could not be stored"


def check_limit(limit: int) -> None:
    """Raise `InvalidOptionError` for a negative number of jobs."""
    if limit < 0:
        raise InvalidOptionError(f"limit must be at least 0, not {limit}")
