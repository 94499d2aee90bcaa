"""The prefetch of a worker: the claims that wait for a slot, and how many more to claim."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from .attempts.attempt import Attempt
from .execution import Execution

LONGEST_WAIT = timedelta(seconds=1)
"""Time that a claim may wait for a slot. Then the worker releases it, so that another worker can take it."""
_MOMENT = 0.05  # seconds that a prefetched claim should wait at most, as other workers could run the job
_LIMITED_MOMENT = 0.005  # the same for a job with limits, as a claim that waits uses up the limit
_MOST = 1000
_MOST_CHARACTERS = 32 * 1024 * 1024  # of the params of waiting claims, as large as those of the last claim
_GROWTH = 4


class PrefetchSize:
    """How many jobs to prefetch: as many as the worker starts in a moment. Hundreds if they are short, else none.

    The time that it waits for claims does not count: the slower they are, the more a prefetch helps.
    """

    def __init__(self) -> None:
        self.any = 0
        """How many claims may wait for a slot."""
        self.limited = 0
        """How many claims of jobs with limits may wait for a slot."""
        self.started = 0
        """The claimed jobs that started since the last claim."""
        self._busy = 0.0
        self._busy_since: float | None = None
        self._most = _MOST

    def note_busy(self, now: float) -> None:
        """Note that the first job runs."""
        self._busy_since = now

    def note_idle(self, now: float) -> None:
        """Note that no job runs any more."""
        if self._busy_since is not None:
            self._busy += now - self._busy_since
            self._busy_since = None

    def note_claimed(self, now: float, characters: int = 0) -> None:
        """Adjust to the jobs started since the last claim.

        `now` is the monotonic time of this claim's answer, and `characters` the mean length of its params; 0 if it
        brought no jobs.
        """
        if characters:
            self._most = min(_MOST, _MOST_CHARACTERS // characters)
        if self._busy_since is not None:
            self._busy, self._busy_since = self._busy + now - self._busy_since, now
        self.any = self._started_in(_MOMENT, self.any)
        self.limited = self._started_in(_LIMITED_MOMENT, self.limited)
        self.started, self._busy = 0, 0.0

    def reset(self) -> None:
        """Stop the prefetch, as claims waited too long."""
        self.any = self.limited = 0

    def _started_in(self, moment: float, before: int) -> int:
        """Return how many jobs start in that time: at most four times the jobs that started, as a few say little.

        A few jobs that are as fast as those before do not shrink the prefetch below `before`.
        """
        if not self.started:
            return 0
        most = min(max(_GROWTH * self.started, before), self._most)
        return most if self._busy <= 0 else min(most, int(self.started / self._busy * moment))


class Prefetcher:
    """Claims jobs for the free slots of a worker, and some more, which wait for a slot.

    The backend renews the leases of waiting claims.
    """

    def __init__(self, execution: Execution, queues: tuple[str, ...] | None, worker_id: str) -> None:
        self._execution = execution
        self._queues = queues
        self._worker_id = worker_id
        self.waiting: deque[tuple[float, Attempt]] = deque()
        """The claims that wait for a slot, with the monotonic time of their claim."""
        self._was_full = False
        self._claimed_at = float("-inf")
        self.size = PrefetchSize()
        self.may_be_more = True
        """False after a claim that found fewer jobs than wanted, until something may have changed."""

    def __len__(self) -> int:
        """Return the number of claims that wait for a slot."""
        return len(self.waiting)

    @property
    def is_low(self) -> bool:
        """Whether the next claim should come before the waiting jobs run out."""
        return len(self.waiting) <= self.size.any // 2

    def next(self) -> Attempt:
        """Remove and return the attempt that has waited longest."""
        self.size.started += 1
        return self.waiting.popleft()[1]

    def wanted(self, free: int) -> int:
        """Return how many jobs to claim for this number of free slots.

        0 if the queue is empty, or if a claim would bring too few. A claim that returned fewer jobs than it wanted may
        have met jobs that must not wait for a slot. The next claim then waits until slots for them are free.
        """
        room = free - len(self.waiting)
        size = self.size.any if self._was_full else self.size.limited
        is_time = self.may_be_more and room + size >= max(1, size // 2)
        return max(0, room + self.size.any) if is_time else 0

    async def claim(self, wanted: int, free: int) -> None:
        """Claim up to `wanted` jobs, for this number of free slots and to wait for one."""
        room = free - len(self.waiting)
        self.may_be_more = False
        self._claimed_at = asyncio.get_running_loop().time()
        try:
            attempts = await self._execution.take(
                wanted,
                queues=self._queues,
                slots=max(0, room),
                limited=max(0, room + self.size.limited),
                worker_id=self._worker_id,
            )
        except BaseException:
            self.may_be_more, self._was_full = True, False
            raise
        self._add(attempts, is_full=len(attempts) == wanted)

    def _add(self, attempts: Sequence[Attempt], *, is_full: bool) -> None:
        now = self._execution.clock.monotonic()
        lengths = [len(attempt.claim.params) for attempt in attempts]
        self.size.note_claimed(now, sum(lengths) // max(1, len(lengths)))
        self._was_full = is_full
        self.may_be_more = self.may_be_more or is_full
        self.waiting.extend([(now, attempt) for attempt in attempts])

    def poll_after(self, interval: float) -> None:
        """Allow the next claim if the last one is at least `interval` seconds ago."""
        if asyncio.get_running_loop().time() - self._claimed_at >= interval:
            self.may_be_more = True

    def release_late(self) -> None:
        """Release the waiting claims if one has waited longer than `LONGEST_WAIT`."""
        now = self._execution.clock.monotonic()
        if self.waiting and now - self.waiting[0][0] > LONGEST_WAIT.total_seconds():
            self.size.reset()
            self.release()

    def release(self) -> None:
        """Release the waiting claims; their jobs keep the attempt."""
        attempts = [attempt for _, attempt in self.waiting]
        self.waiting.clear()
        self._execution.runner.release_waiting(attempts)
