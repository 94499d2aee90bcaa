"""The long-lived worker, and the single tick for cron triggers: both claim, execute and settle through a backend."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from .backend import Backend, WorkerExecutionResult
from .errors import DatabaseError, InvalidOptionError
from .executor import Attempt
from .record import Claim

_logger = logging.getLogger("server_jobs")

DEFAULT_DRAIN_TIMEOUT = timedelta(seconds=30)
HOUSEKEEPING_INTERVAL = timedelta(seconds=1)
NEARLY_DUE = timedelta(minutes=1)
_LONGEST_PAUSE = 10.0

Listener = Callable[[Claim, "WorkerExecutionResult | None"], None]


class Worker:
    """Runs the jobs of one backend until it is told to stop.

    At most `concurrency` at a time (the backend's `max_concurrency` by default), from `queues` only if given. With
    `until_empty` it ends when nothing runs and nothing is due, or due within a minute. `listener` is called with each
    claim when it starts (and None), and with its result when it is over.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        concurrency: int | None = None,
        queues: tuple[str, ...] | None = None,
        drain_timeout: timedelta = DEFAULT_DRAIN_TIMEOUT,
        until_empty: bool = False,
        listener: Listener | None = None,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise InvalidOptionError(f"concurrency must be at least 1, not {concurrency}")
        self.backend = backend
        self.queues = queues
        self._concurrency = concurrency or backend.config.max_concurrency
        self._drain_timeout = drain_timeout
        self._until_empty = until_empty
        self._listener = listener or _ignore
        self._running: dict[asyncio.Task[None], Claim] = {}
        self._wake = asyncio.Event()
        self._stops = 0
        self._last_housekeeping = float("-inf")
        self._pause = 0.0

    def stop(self) -> None:
        """Stop claiming, let running jobs finish within the drain timeout, give the rest back. Twice: give back now."""
        self._stops += 1
        self._wake.set()

    def attempts(self) -> list[Attempt]:
        """What this worker runs now, with its progress."""
        tokens = {claim.token for claim in self._running.values()}
        return [attempt for attempt in self.backend.runner.attempts() if attempt.claim.token in tokens]

    async def run(self) -> None:
        """Work until `stop` is called, or until the queue is empty if so asked. No attempt is burnt by stopping.

        A database that is away is waited for, with growing pauses. Raises `DatabaseError` only at the start.
        """
        await self.backend.initialize()
        self._report_stubs()
        self._wake = asyncio.Event()
        wake = _from_any_thread(self._wake.set)
        self.backend.inserted.append(wake)
        unwatch = self.backend.store.watch(self._wake.set)
        try:
            while not self._stops and not await self._step():
                await self._wait()
        finally:
            unwatch()
            self.backend.inserted.remove(wake)
            await self._drain()

    def _report_stubs(self) -> None:
        for name in self.backend.registry.stub_names():
            _logger.warning("the handler of %s is still a stub; its jobs are not claimed", name)

    async def _step(self) -> bool:
        """Housekeeping, then claim what there is room for; whether the work is done."""
        self._wake.clear()
        try:
            await self._keep_house()
            claims = await self._claim()
            for claim in claims:
                self._begin(claim)
            await asyncio.sleep(0)  # so that they have begun before anybody asks what runs
            is_finished = not claims and await self._is_finished()
        except DatabaseError as error:
            self._note_failure(error)
            return False
        if self._pause:
            _logger.warning("the database is back")
            self._pause = 0.0
        return is_finished

    async def _keep_house(self) -> None:
        now = self.backend.clock.monotonic()
        if now - self._last_housekeeping >= HOUSEKEEPING_INTERVAL.total_seconds():
            self._last_housekeeping = now
            for expired in await self.backend.handle_expired_locks():
                _logger.warning("%s %s: lease expired, now %s", expired.job_name, expired.id, expired.status)
            await self.backend.scheduler.tick()

    async def _claim(self) -> list[Claim]:
        room = self._concurrency - len(self._running)
        if room <= 0:
            return []
        return list(await self.backend.claim(room, queues=self.queues))

    def _begin(self, claim: Claim) -> None:
        task = asyncio.get_running_loop().create_task(self._execute(claim))
        self._running[task] = claim
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("a job ended with an unexpected error", exc_info=error)

    async def _execute(self, claim: Claim) -> None:
        self._tell(claim, None)
        result, attempt = await self.backend.execute_attempt(claim)
        self._tell(claim, result)
        if attempt.call.lingering is not None and not attempt.call.lingering.done():
            _logger.warning("%s %s: its handler still runs in a thread", claim.job_name, claim.id)
            await asyncio.wait([attempt.call.lingering])

    def _tell(self, claim: Claim, result: WorkerExecutionResult | None) -> None:
        try:
            self._listener(claim, result)
        except Exception:
            _logger.exception("the listener of this worker failed")

    async def _is_finished(self) -> bool:
        if not self._until_empty or self.attempts():
            return False
        wait = await self.backend.store.next_due(self.backend.request(limit=1, queues=self.queues))
        return wait is None or wait > NEARLY_DUE

    async def _wait(self) -> None:
        """Until a job ends, one is enqueued in this process, somebody stops us, or it is time to poll again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause or self.backend.config.poll_interval.total_seconds()):
                await self._wake.wait()

    def _note_failure(self, error: DatabaseError) -> None:
        if not self._pause:
            _logger.error("the database cannot be used, trying again: %s", error)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or 0.1)

    async def _drain(self) -> None:
        """Let jobs finish; then give back those that did not, without counting their attempt."""
        await asyncio.sleep(0)  # jobs that were claimed just now begin
        await self._wait_for_jobs()
        await self.backend.runner.stop(self.attempts())
        for task in list(self._running):
            task.cancel()
        await asyncio.sleep(0)

    async def _wait_for_jobs(self) -> None:
        deadline = self.backend.clock.monotonic() + self._drain_timeout.total_seconds()
        while self.attempts() and self._stops < 2:
            left = deadline - self.backend.clock.monotonic()
            if left <= 0:
                return
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did: leases that had run out, jobs made by schedules, and how the jobs it ran ended."""

    expired: int
    scheduled: int
    completed: int
    failed: int


async def tick(backend: Backend, *, limit: int | None = None, budget: timedelta | None = None) -> Tick:
    """One round for a cron trigger: expire, schedule, then claim and run until nothing is due.

    Ends early after `limit` jobs; once `budget` is used up no more are claimed, and what is left waits for the next
    tick. Jobs that were begun are finished.
    """
    clock = backend.clock
    began = clock.monotonic()
    expired = await backend.handle_expired_locks()
    scheduled = await backend.scheduler.tick()
    results: list[WorkerExecutionResult] = []
    while budget is None or clock.monotonic() - began < budget.total_seconds():
        room = backend.config.max_concurrency
        claims = await backend.claim(room if limit is None else min(room, limit - len(results)))
        if not claims:
            break
        results += await asyncio.gather(*(backend.execute(claim) for claim in claims))
    completed = sum(result.success for result in results)
    return Tick(len(expired), len(scheduled), completed, len(results) - completed)


def _from_any_thread(call: Callable[[], None]) -> Callable[[], None]:
    """The call, made by this event loop whoever asks for it: a plain handler enqueues in a thread of its own."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            loop.call_soon_threadsafe(call)

    return ask


def _ignore(claim: Claim, result: WorkerExecutionResult | None) -> None:
    del claim, result
