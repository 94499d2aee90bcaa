"""The long-lived worker: claims jobs, runs them and stores their outcomes until `stop` is called."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import timedelta
from typing import Protocol

from ..concurrency.tasks import begun
from ..domain.options import check_duration, check_range
from ..domain.record import Claim, Outcome
from ..errors import DatabaseError, InvalidOptionError
from .attempt import Attempt
from .backend import Backend
from .maintenance import MAINTENANCE_INTERVAL, Maintenance
from .prefetch import Prefetch

_logger = logging.getLogger("server_jobs")

DEFAULT_DRAIN_TIMEOUT = timedelta(seconds=30)
NEARLY_DUE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(seconds=1)
"""Time that a claim may wait for a slot. Then the worker releases it, so that another worker can take it."""
_LONGEST_TURN = 0.0005
_MOST_UNSETTLED = 1000
_LONGEST_PAUSE = 2.0


class Listener(Protocol):
    """Callbacks for every attempt of a worker. They run in its event loop and delay every job, so keep them fast."""

    def started(self, claim: Claim) -> None:
        """Called before the handler is called."""
        ...

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Called when the outcome is stored or lost, with the time since the start."""
        ...


class Worker:
    """Run the jobs of one backend until `stop` is called.

    Runs at most `concurrency` jobs at a time (default: the backend's `max_concurrency`), from `queues` if given. With
    `until_empty`, the worker ends when no job runs and none is due now or within a minute. It calls `listener` for
    every attempt.

    While jobs are short, the worker prefetches: it claims more jobs than it can run at once. It renews the leases of
    waiting claims, and releases a claim that waited longer than a second.
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
        if concurrency is not None:
            check_range("concurrency", concurrency, 1, 10_000)
        check_duration("drain_timeout", drain_timeout)
        if isinstance(queues, str):
            raise InvalidOptionError(f"queues must be a tuple of names such as ({queues!r},), not {queues!r}")
        backend.request(limit=1, queues=queues)  # raises for a bad name here instead of at the first claim
        self.backend = backend
        self.queues = queues
        self._concurrency = concurrency or backend.config.max_concurrency
        self._drain_timeout = drain_timeout
        self._until_empty = until_empty
        self._listener = listener
        self._waiting: deque[tuple[float, Attempt]] = deque()
        self._running: dict[Attempt, asyncio.Task[None] | None] = {}
        self._is_beginning = self._is_turn_over = False
        self._unsettled: set[Attempt] = set()
        self._prefetch = Prefetch()
        self._was_full = False
        self._may_be_more = True
        self._asked = float("-inf")
        self._wake = asyncio.Event()
        self._variables = Context()
        self._is_stuck = False
        self._stops = 0
        self._maintenance = Maintenance(backend, self._look_again)
        self._pause = 0.0

    def stop(self) -> None:
        """Stop claiming, let running jobs finish within the drain timeout, and release the rest.

        A second call releases them now.
        """
        self._stops += 1
        self._wake.set()

    def attempts(self) -> list[Attempt]:
        """The running attempts of this worker, with their progress."""
        return [attempt for attempt in self._running if not attempt.is_over]

    async def run(self) -> None:
        """Work until `stop` is called or, with `until_empty`, until the queue is empty. Stopping uses up no attempt.

        If the database goes away later, the worker waits for it with growing pauses. Raises `DatabaseError` at the
        start only.
        """
        await self.backend.initialize()
        self.backend.check_handlers()
        self._report_stubs()
        self._wake = asyncio.Event()
        self._variables = copy_context()
        self._is_turn_over = False
        self._may_be_more = True
        wake = _from_any_thread(self._look_again)
        self.backend.inserted.append(wake)
        unwatch = self.backend.store.watch(self._look_again)
        try:
            while not self._stops and not await self._step():
                await self._wait()
        finally:
            unwatch()
            self.backend.inserted.remove(wake)
            await self._maintenance.stop()
            await self._drain()

    def _report_stubs(self) -> None:
        for name in self.backend.registry.stub_names():
            _logger.warning("the handler of %s is still a stub; its jobs are not claimed", name)
        for name, version in self.backend.registry.stub_upcasts():
            _logger.warning(
                "the upcaster of %s from version %d is still a stub; its jobs of that version, and of those before, "
                "are not claimed",
                name,
                version,
            )

    def _report_stuck(self) -> None:
        """Log once when stuck threads occupy every slot. Python cannot stop a thread, so the operator must restart."""
        is_stuck = len(self._running) == self._concurrency and all(attempt.is_over for attempt in self._running)
        if is_stuck and not self._is_stuck:
            _logger.error(
                "all %d slots are held by handlers that did not return in time; restart this worker", self._concurrency
            )
        self._is_stuck = is_stuck

    def _look_again(self) -> None:
        self._may_be_more = True
        self._wake.set()

    async def _step(self) -> bool:
        """Claim jobs for the free slots and run maintenance. Return whether the work is done."""
        self._wake.clear()
        try:
            if self._pause:
                await self.backend.store.ping()
            self._look_after_slots()
            await self._claim()
            self._maintenance.tick()  # after the claim, which it would delay
            is_finished = await self._is_finished()
        except DatabaseError as error:
            self._note_failure(error)
            return False
        if self._pause and not self.backend.runner.is_failing:
            _logger.warning("the database is back")
            self._pause = 0.0
        return is_finished

    def _look_after_slots(self) -> None:
        self._report_stuck()
        now = self.backend.clock.monotonic()
        if self._waiting and now - self._waiting[0][0] > LONGEST_WAIT.total_seconds():
            self._prefetch.slow_down()
            self._give_back_waiting()

    async def _claim(self) -> None:
        wanted = self._wanted()
        if not wanted:
            return
        slots, limited = max(0, self._room()), max(0, self._room() + self._prefetch.limited_size)
        self._may_be_more = False
        self._asked = asyncio.get_running_loop().time()
        try:
            attempts = await self.backend.take(wanted, queues=self.queues, slots=slots, limited=limited)
        except BaseException:
            self._may_be_more = True
            raise
        now = self.backend.clock.monotonic()
        self._prefetch.note_claimed(now)
        self._was_full = len(attempts) == wanted
        self._may_be_more = self._may_be_more or self._was_full
        self._waiting.extend((now, attempt) for attempt in attempts)
        if self._wanted():
            self._wake.set()  # the next claim runs while these jobs start
            self._begin_soon()
            return
        self._begin_waiting()
        await asyncio.sleep(0)  # so that `attempts` lists them from now on

    def _room(self) -> int:
        """Return the number of free slots."""
        return self._concurrency - len(self._running) - len(self._waiting)

    def _wanted(self) -> int:
        """Return how many jobs to claim now: 0 if the queue is empty, or if a claim would bring too few.

        A claim that returned fewer jobs than it wanted may have met jobs that must not wait for a slot. The next claim
        then waits until slots for them are free.
        """
        size = self._prefetch.size if self._was_full else self._prefetch.limited_size
        is_time = self._may_be_more and not self._is_held_up() and self._room() + size >= max(1, size // 2)
        return max(0, self._room() + self._prefetch.size) if is_time else 0

    def _is_held_up(self) -> bool:
        """True while outcomes cannot be stored, or not fast enough; the worker stops starting jobs."""
        return self.backend.runner.is_failing or len(self._unsettled) - len(self._running) > _MOST_UNSETTLED

    def _begin_waiting(self) -> None:
        """Start prefetched jobs while slots are free, and refill the prefetch queue before it runs dry.

        A job that never awaits is over as soon as it starts. The loop therefore yields to other tasks now and then.
        """
        if self._is_beginning or self._is_turn_over:
            return  # a finished job called this; the loop below is running or scheduled
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + _LONGEST_TURN
        self._is_beginning = True
        may_begin = not self._is_held_up()  # constant during one short turn
        try:
            while may_begin and self._has_next():
                if loop.time() > turn_ends:
                    self._begin_soon()
                    break
                self._begin(self._waiting.popleft()[1])
        finally:
            self._is_beginning = False
        if self._may_be_more and len(self._waiting) <= self._prefetch.size // 2:
            self._wake.set()

    def _begin_soon(self) -> None:
        """Start waiting jobs in the next turn of the event loop."""
        if not self._is_turn_over:
            self._is_turn_over = True
            asyncio.get_running_loop().call_soon(self._take_next_turn, context=self._variables)

    def _take_next_turn(self) -> None:
        self._is_turn_over = False
        self._begin_waiting()

    def _has_next(self) -> bool:
        return bool(self._waiting) and len(self._running) < self._concurrency and not self._stops

    def _begin(self, attempt: Attempt) -> None:
        self._prefetch.note_begun()
        if not self._running:
            self._prefetch.note_busy(self.backend.clock.monotonic())
        self._unsettled.add(attempt)
        self._running[attempt] = None
        # In a fresh context: the current one may belong to the previous job.
        task = begun(self._run(attempt), self._variables.copy())
        if attempt in self._running:
            self._running[attempt] = task

    async def _run(self, attempt: Attempt) -> None:
        attempt.began = self.backend.clock.monotonic()
        self.backend.runner.check_lease(attempt, attempt.began)
        if self._listener is not None and not attempt.is_stopped:
            self._tell_start(attempt)
        try:
            await self.backend.runner.perform(attempt, self.backend, self._settled)
            if attempt.call.lingering is not None:
                await _until_returned(attempt, attempt.call.lingering)
        except Exception:
            self._unsettled.discard(attempt)
            _logger.exception("a job ended with an unexpected error")
        except BaseException:
            self._unsettled.discard(attempt)
            raise
        finally:
            # Here instead of in a done callback: the next job starts one turn of the loop earlier.
            del self._running[attempt]
            if not self._running:
                self._prefetch.note_idle(self.backend.clock.monotonic())
            if self._stops:
                self._wake.set()
            else:
                self._begin_waiting()

    def _settled(self, attempt: Attempt, outcome: Outcome, error: str | None) -> None:
        if self._listener is not None:
            self._tell_end(attempt, outcome, error)
        self._unsettled.discard(attempt)
        self._may_be_more = True  # it may be due again, or its limit may have blocked other jobs
        if not self._unsettled or len(self._waiting) <= self._prefetch.size // 2:
            self._wake.set()
        if self._waiting and len(self._running) < self._concurrency and not self._stops:
            self._begin_waiting()  # it was held up

    def _tell_start(self, attempt: Attempt) -> None:
        try:
            if self._listener is not None:
                self._listener.started(attempt.claim)
        except Exception:
            _logger.exception("the listener of this worker failed")

    def _tell_end(self, attempt: Attempt, outcome: Outcome, error: str | None) -> None:
        try:
            if self._listener is not None:
                self._listener.ended(attempt.claim, outcome, error, self.backend.clock.monotonic() - attempt.began)
        except Exception:
            _logger.exception("the listener of this worker failed")

    async def _is_finished(self) -> bool:
        if not self._until_empty or self._may_be_more or self._is_busy():
            return False
        await self._maintenance.finish()
        if self._is_woken():
            return False
        wait = await self.backend.store.next_due(self.backend.request(limit=1, queues=self.queues))
        return wait is None or wait > NEARLY_DUE

    def _is_woken(self) -> bool:
        return self._may_be_more

    def _is_busy(self) -> bool:
        return bool(self._unsettled or self._waiting or self.attempts())

    async def _wait(self) -> None:
        """Wait for a free slot, a new job, a stop, or the next maintenance or poll."""
        poll_interval = self.backend.config.poll_interval.total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause or min(poll_interval, MAINTENANCE_INTERVAL.total_seconds())):
                await self._wake.wait()
        if asyncio.get_running_loop().time() - self._asked >= poll_interval:
            self._may_be_more = True

    def _note_failure(self, error: DatabaseError) -> None:
        if not self._pause:
            _logger.error("the database cannot be used, trying again: %s", error)
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or 0.1)

    def _give_back_waiting(self) -> None:
        attempts = [attempt for _, attempt in self._waiting]
        self._waiting.clear()
        self.backend.runner.give_back(attempts)

    async def _drain(self) -> None:
        """Wait for running jobs, then release the rest; a released job keeps its attempt."""
        self._give_back_waiting()
        await asyncio.sleep(0)  # jobs claimed just now start
        await self._wait_for_jobs()
        await self.backend.runner.stop([*self._unsettled])
        for attempt in self._unsettled:
            if not attempt.is_over:  # its handler may go on; nobody waits for it
                self._tell_end(attempt, Outcome.RELEASED, None)
        for task in list(self._running.values()):
            if task is not None:
                task.cancel()
        await asyncio.sleep(0)

    async def _wait_for_jobs(self) -> None:
        deadline = self.backend.clock.monotonic() + self._drain_timeout.total_seconds()
        while (self._unsettled or self.attempts()) and self._stops < 2:
            left = deadline - self.backend.clock.monotonic()
            if left <= 0:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return


async def _until_returned(attempt: Attempt, thread: asyncio.Future[object]) -> None:
    """Keep the slot until the thread of the handler returns; Python cannot stop a thread."""
    if not thread.done():
        _logger.warning("%s %s: its handler still runs in a thread", attempt.claim.job_name, attempt.claim.id)
        await asyncio.wait([thread])


def _from_any_thread(call: Callable[[], None]) -> Callable[[], None]:
    """Return a function that makes the call in this event loop. Any thread may call it, such as that of a handler."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(call)

    return ask
