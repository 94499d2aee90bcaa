"""The slots of a worker: the attempts that it runs at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Protocol

from ..concurrency.tasks import start_task
from ..domain.record import Claim, Outcome
from .attempts.attempt import Attempt
from .execution import Execution
from .prefetch import Prefetcher

_logger = logging.getLogger("server_jobs")

_LONGEST_TURN = 0.0005
_MOST_UNSETTLED = 1000


class Listener(Protocol):
    """Callbacks for every attempt of a worker. They run in its event loop and delay every job, so keep them fast."""

    def started(self, claim: Claim) -> None:
        """Called before the handler is called."""
        ...

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Called when the outcome is stored or lost, with the time since the start."""
        ...


class Slots:
    """Runs up to `size` attempts of `prefetcher` at the same time, and starts the next one when a slot is free.

    `most_here` is the number of jobs after which it starts no more jobs whose handlers run in this process; None: no
    limit.
    """

    _wake: Callable[[], object]

    def __init__(
        self,
        execution: Execution,
        prefetcher: Prefetcher,
        size: int,
        listener: Listener | None,
        *,
        most_here: int | None = None,
    ) -> None:
        self._size = size
        self._most_here = most_here
        self.ran_here = 0
        """How many jobs were started whose handlers run in this process."""
        self._execution = execution
        self._prefetcher = prefetcher
        self._listener = listener
        self._running: dict[Attempt, asyncio.Task[None] | None] = {}
        self._unsettled: set[Attempt] = set()
        self._variables = Context()
        self._is_filling = self._is_next_turn_planned = False
        self.is_stuck = False
        """Whether stuck threads occupied every slot at the last `report_stuck`."""
        self._is_closed = self._is_used_up = False

    def open(self, wake: Callable[[], object]) -> None:
        """Prepare for jobs in this event loop. Handlers get copies of the current context variables.

        Call `wake` when the worker has something to do: claim more jobs, or look whether its work is done.
        """
        self._wake = wake
        self._variables = copy_context()
        self._is_next_turn_planned = self._is_closed = False

    def close(self) -> None:
        """Start no more jobs."""
        self._is_closed = True

    @property
    def free(self) -> int:
        """The number of jobs that may start now."""
        return self._size - len(self._running)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs, or an outcome is not stored yet. A stuck thread does not count."""
        return bool(self._unsettled or self.attempts())

    def is_blocked(self) -> bool:
        """True while outcomes cannot be stored, or not fast enough; the worker stops starting jobs."""
        return self._execution.runner.is_failing or len(self._unsettled) - len(self._running) > _MOST_UNSETTLED

    def attempts(self) -> list[Attempt]:
        """The running attempts."""
        return [attempt for attempt in self._running if not attempt.is_over]

    def fill(self) -> None:
        """Start waiting jobs while slots are free, and wake the worker before none is left.

        A job that never awaits is over as soon as it starts. The loop therefore yields to other tasks now and then.
        """
        if self._is_filling or self._is_next_turn_planned:
            return  # a finished job called this; the loop below is running or planned
        if self._has_next() and not self.is_blocked():
            self._start_waiting(asyncio.get_running_loop())
        if self._prefetcher.may_be_more and self._prefetcher.is_low:
            self._wake()

    def _start_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        turn_ends = loop.time() + _LONGEST_TURN
        self._is_filling = True
        try:
            self._start(self._prefetcher.next())
            while self._has_next():
                if loop.time() > turn_ends:
                    self.fill_soon()
                    break
                self._start(self._prefetcher.next())
        finally:
            self._is_filling = False

    def fill_soon(self) -> None:
        """Like `fill`, in the next turn of the event loop."""
        if not self._is_next_turn_planned:
            self._is_next_turn_planned = True
            asyncio.get_running_loop().call_soon(self._take_next_turn, context=self._variables)

    def _take_next_turn(self) -> None:
        self._is_next_turn_planned = False
        self.fill()
        if not self._unsettled:
            self._wake()

    def _has_next(self) -> bool:
        is_open = not self._is_closed and not self._is_used_up
        return is_open and len(self._running) < self._size and bool(self._prefetcher.waiting)

    def _start(self, attempt: Attempt) -> None:
        if not self._running:
            self._prefetcher.size.note_busy(self._execution.clock.monotonic())
        if attempt.place.is_here:
            self.ran_here += 1
            if self.ran_here == self._most_here:
                self._is_used_up = True
                self._wake()
        self._unsettled.add(attempt)
        self._running[attempt] = None
        # In a fresh context: the current one may belong to the previous job.
        task = start_task(self._run(attempt), self._variables.copy())
        if attempt in self._running:
            self._running[attempt] = task

    async def _run(self, attempt: Attempt) -> None:
        attempt.began = self._execution.clock.monotonic()
        self._execution.runner.leases.check(attempt, attempt.began)
        if self._listener is not None and attempt.stopped is None:
            self._tell_start(attempt)
        try:
            await self._execution.runner.perform(attempt, self._execution.binding, self._settled)
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
            self._free(attempt)

    def _free(self, attempt: Attempt) -> None:
        del self._running[attempt]
        if not self._running:
            self._prefetcher.size.note_idle(self._execution.clock.monotonic())
        if self._is_closed:
            self._wake()
        else:
            self.fill()

    def _settled(self, attempt: Attempt, outcome: Outcome, error: str | None) -> None:
        if self._listener is not None:
            self._tell_end(attempt, outcome, error)
        self._unsettled.discard(attempt)
        self._prefetcher.may_be_more = True  # it may be due again, or its limit may have blocked other jobs
        self.fill_soon()  # once for all outcomes of a batch

    def report_stuck(self) -> None:
        """Log once when stuck threads occupy every slot. Python cannot stop a thread, so the operator must restart."""
        is_stuck = not self.free and all(attempt.is_over for attempt in self._running)
        if is_stuck and not self.is_stuck:
            _logger.error(
                "all %d slots are occupied by handlers that did not return in time; restart this worker",
                self._size,
            )
        self.is_stuck = is_stuck

    async def stop(self) -> None:
        """Stop the running attempts and release their jobs, which keep the attempt."""
        await self._execution.runner.stop([*self._unsettled])
        for attempt in self._unsettled:
            if not attempt.is_over:  # its handler may go on; nobody waits for it
                self._tell_end(attempt, Outcome.RELEASED, None)
        for task in list(self._running.values()):
            if task is not None:
                task.cancel()
        await asyncio.sleep(0)

    def _tell_start(self, attempt: Attempt) -> None:
        try:
            if self._listener is not None:
                self._listener.started(attempt.claim)
        except Exception:
            _logger.exception("the listener of this worker failed")

    def _tell_end(self, attempt: Attempt, outcome: Outcome, error: str | None) -> None:
        try:
            if self._listener is not None:
                self._listener.ended(attempt.claim, outcome, error, self._execution.clock.monotonic() - attempt.began)
        except Exception:
            _logger.exception("the listener of this worker failed")


async def _until_returned(attempt: Attempt, thread: asyncio.Future[object]) -> None:
    """Keep the slot until the thread of the handler returns; Python cannot stop a thread."""
    if not thread.done():
        _logger.warning("%s %s: its handler still runs in a thread", attempt.claim.job_name, attempt.claim.id)
        await asyncio.wait([thread])
