"""The long-lived worker: claims, executes and settles through a backend until it is told to stop."""

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
from .maintenance import HOUSEKEEPING_INTERVAL, Housekeeper
from .prefetch import Pace

_logger = logging.getLogger("server_jobs")

DEFAULT_DRAIN_TIMEOUT = timedelta(seconds=30)
NEARLY_DUE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(seconds=1)
"""How long a claim may wait for a slot here before it is given back for others to take."""
_LONGEST_TURN = 0.0005
_MOST_UNSETTLED = 1000
_LONGEST_PAUSE = 2.0


class Listener(Protocol):
    """Hears of every attempt of a worker, in its event loop. It delays every job, so it must be quick."""

    def started(self, claim: Claim) -> None:
        """Called before the handler is called."""
        ...

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Called when the outcome is stored or lost, with the time since the start."""
        ...


class Worker:
    """Runs the jobs of one backend until it is told to stop.

    At most `concurrency` at a time (the backend's `max_concurrency` by default), from `queues` only if given. With
    `until_empty` it ends when nothing runs and nothing is due, or due within a minute. `listener` hears of every
    attempt.

    While jobs are short, more are claimed than run at once: the database is asked once for many, and the next are there
    when the last ones end. Claims that wait are kept alive, and given back when it takes longer than a second.
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
        backend.request(limit=1, queues=queues)  # refused now, and not by the first claim
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
        self._pace = Pace()
        self._was_full = False
        self._may_be_more = True
        self._asked = float("-inf")
        self._wake = asyncio.Event()
        self._variables = Context()
        self._is_stuck = False
        self._stops = 0
        self._housekeeper = Housekeeper(backend, self._look_again)
        self._pause = 0.0

    def stop(self) -> None:
        """Stop claiming, let running jobs finish within the drain timeout, give the rest back. Twice: give back now."""
        self._stops += 1
        self._wake.set()

    def attempts(self) -> list[Attempt]:
        """What this worker runs now, with its progress."""
        return [attempt for attempt in self._running if not attempt.is_over]

    async def run(self) -> None:
        """Work until `stop` is called, or until the queue is empty if so asked. No attempt is burnt by stopping.

        A database that is away is waited for, with growing pauses. Raises `DatabaseError` only at the start.
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
            await self._housekeeper.stop()
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
        """Say it once when no slot is left: a thread cannot be ended, and whoever runs this process has to know."""
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
        """Claim what there is room for, and see to the housekeeping; whether the work is done."""
        self._wake.clear()
        try:
            if self._pause:
                await self.backend.store.ping()
            self._look_after_slots()
            await self._claim()
            self._housekeeper.tick()  # not before: it would keep jobs that just came from being claimed
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
            self._pace.slow_down()
            self._give_back_waiting()

    async def _claim(self) -> None:
        wanted = self._wanted()
        if not wanted:
            return
        slots, limited = max(0, self._room()), max(0, self._room() + self._pace.limited_ahead)
        self._may_be_more = False
        self._asked = asyncio.get_running_loop().time()
        try:
            attempts = await self.backend.take(wanted, queues=self.queues, slots=slots, limited=limited)
        except BaseException:
            self._may_be_more = True
            raise
        now = self.backend.clock.monotonic()
        self._pace.note_claimed(now)
        self._was_full = len(attempts) == wanted
        self._may_be_more = self._may_be_more or self._was_full
        self._waiting.extend((now, attempt) for attempt in attempts)
        if self._wanted():
            self._wake.set()  # the next claim is under way while these are begun
            self._begin_soon()
            return
        self._begin_waiting()
        await asyncio.sleep(0)  # so that they have begun before anybody asks what runs

    def _room(self) -> int:
        """How many more jobs could begin at once."""
        return self._concurrency - len(self._running) - len(self._waiting)

    def _wanted(self) -> int:
        """Return how many jobs to claim now: 0 if none are left, or if too few would fit to be worth a claim.

        A claim that got less than it asked for may have met jobs that cannot wait for a slot, so the next one waits
        until such jobs fit.
        """
        ahead = self._pace.ahead if self._was_full else self._pace.limited_ahead
        is_time = self._may_be_more and not self._is_held_up() and self._room() + ahead >= max(1, ahead // 2)
        return max(0, self._room() + self._pace.ahead) if is_time else 0

    def _is_held_up(self) -> bool:
        """Whether outcomes cannot be stored fast enough, or at all: then it is no time to begin more jobs."""
        return self.backend.runner.is_failing or len(self._unsettled) - len(self._running) > _MOST_UNSETTLED

    def _begin_waiting(self) -> None:
        """Begin jobs that wait, as far as slots are free; and see to it that more are claimed before none is left.

        Jobs that never wait for anything may be over when they have begun: others get a turn now and then.
        """
        if self._is_beginning or self._is_turn_over:
            return  # called by a job that is over already, or settled: the loop below goes on, or will
        loop = asyncio.get_running_loop()
        turn_ends = loop.time() + _LONGEST_TURN
        self._is_beginning = True
        may_begin = not self._is_held_up()  # asked once, as a turn is short
        try:
            while may_begin and self._has_next():
                if loop.time() > turn_ends:
                    self._begin_soon()
                    break
                self._begin(self._waiting.popleft()[1])
        finally:
            self._is_beginning = False
        if self._may_be_more and len(self._waiting) <= self._pace.ahead // 2:
            self._wake.set()

    def _begin_soon(self) -> None:
        """Begin those that wait in the next turn of the event loop, and not before."""
        if not self._is_turn_over:
            self._is_turn_over = True
            asyncio.get_running_loop().call_soon(self._take_next_turn, context=self._variables)

    def _take_next_turn(self) -> None:
        self._is_turn_over = False
        self._begin_waiting()

    def _has_next(self) -> bool:
        return bool(self._waiting) and len(self._running) < self._concurrency and not self._stops

    def _begin(self, attempt: Attempt) -> None:
        self._pace.note_begun()
        if not self._running:
            self._pace.note_busy(self.backend.clock.monotonic())
        self._unsettled.add(attempt)
        self._running[attempt] = None
        # Not in the context of this moment, which may be that of the job before.
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
            # Here and not when the task is done: the next job begins a turn of the loop earlier.
            del self._running[attempt]
            if not self._running:
                self._pace.note_idle(self.backend.clock.monotonic())
            if self._stops:
                self._wake.set()
            else:
                self._begin_waiting()

    def _settled(self, attempt: Attempt, outcome: Outcome, error: str | None) -> None:
        if self._listener is not None:
            self._tell_end(attempt, outcome, error)
        self._unsettled.discard(attempt)
        self._may_be_more = True  # it may be due again, or may have kept others of its kind from running
        if not self._unsettled or len(self._waiting) <= self._pace.ahead // 2:
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
        await self._housekeeper.finish()
        if self._is_woken():
            return False
        wait = await self.backend.store.next_due(self.backend.request(limit=1, queues=self.queues))
        return wait is None or wait > NEARLY_DUE

    def _is_woken(self) -> bool:
        return self._may_be_more

    def _is_busy(self) -> bool:
        return bool(self._unsettled or self._waiting or self.attempts())

    async def _wait(self) -> None:
        """Until a slot is free, a job is enqueued, somebody stops us, or it is time to look after things or to poll."""
        poll_interval = self.backend.config.poll_interval.total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause or min(poll_interval, HOUSEKEEPING_INTERVAL.total_seconds())):
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
        """Let jobs finish; then give back those that did not, without counting their attempt."""
        self._give_back_waiting()
        await asyncio.sleep(0)  # jobs that were claimed just now begin
        await self._wait_for_jobs()
        await self.backend.runner.stop([*self._unsettled])
        for attempt in self._unsettled:
            if not attempt.is_over:  # its handler goes on, and nobody waits for it
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
    """A thread cannot be ended: its slot stays taken."""
    if not thread.done():
        _logger.warning("%s %s: its handler still runs in a thread", attempt.claim.job_name, attempt.claim.id)
        await asyncio.wait([thread])


def _from_any_thread(call: Callable[[], None]) -> Callable[[], None]:
    """The call, made by this event loop whoever asks for it: a plain handler enqueues in a thread of its own."""
    loop = asyncio.get_running_loop()

    def ask() -> None:
        with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            loop.call_soon_threadsafe(call)

    return ask
