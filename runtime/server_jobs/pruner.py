"""Finished jobs are deleted when their spec does not keep them any longer: a few at a time, by every worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from .clock import Clock
from .ports import QueueStore
from .record import JobStatus, PruneRule, PruneStep
from .registry import JobRegistry

REST = timedelta(minutes=1)
MOMENT = timedelta(milliseconds=50)
"""How long one `tick` or `resume` takes steps: as much work as leaves the database to others."""


def retention_rules(registry: JobRegistry) -> tuple[PruneRule, ...]:
    """What the specs of these jobs say of how long they are kept; nothing for those that are kept for ever."""
    return tuple(
        PruneRule(status=status, age=age, job_name=registration.job.job_name)
        for registration in registry.registrations()
        for status, age in (
            (JobStatus.COMPLETED, registration.job.options.retention.completed),
            (JobStatus.FAILED, registration.job.options.retention.failed),
            (JobStatus.CANCELLED, registration.job.options.retention.cancelled),
        )
        if age is not None
    )


class Pruner:
    """Walks over the stored jobs by id, in small steps for a moment at each `tick`; rests a minute after each walk.

    Costs nothing where no spec states a retention. Several may walk at the same time.
    """

    def __init__(self, store: QueueStore, registry: JobRegistry, clock: Clock, *, budget: timedelta = MOMENT) -> None:
        self._store = store
        self._budget = budget
        self._rules = retention_rules(registry)
        self._clock = clock
        self._after = ""
        self._rests_until = float("-inf")

    async def tick(self) -> int:
        """Take the next steps if it is time; how many jobs they deleted. For about once a second."""
        deleted, until = 0, self._clock.monotonic() + self._budget.total_seconds()
        while self._rules and self._clock.monotonic() >= self._rests_until:
            pruned = await self._store.prune(PruneStep(rules=self._rules, after=self._after))
            deleted += pruned.count
            self._after = pruned.after or ""
            if pruned.after is None:
                self._rests_until = self._clock.monotonic() + REST.total_seconds()
            elif self._clock.monotonic() >= until:
                break
        return deleted

    async def resume(self, allowance: Callable[[], int | None]) -> int:
        """As `tick`, for a process that has come to do this once: it goes on where the last one of them has ended.

        Ends when `allowance` is zero; when it is a number, what is asked of the database counts, and a step that
        deletes nothing is the last one.
        """
        deleted, until = 0, self._clock.monotonic() + self._budget.total_seconds()
        while self._rules and (allowed := allowance()) != 0:
            pruned = await self._store.prune_next(self._rules)
            deleted += pruned.count
            is_spared = allowed is not None and not pruned.count
            if pruned.after is None or is_spared or self._clock.monotonic() >= until:
                break
        return deleted
