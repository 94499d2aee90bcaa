"""Delete finished jobs past their retention, in small steps. Every worker runs this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property

from ..domain.clock import Clock
from ..domain.interfaces import QueueStore
from ..domain.record import JobStatus, PruneRule, PruneStep
from ..registry import JobRegistry

LONGEST_SCAN_PAUSE = timedelta(minutes=1)
SHORTEST_SCAN_PAUSE = timedelta(seconds=1)
STEP_BUDGET = timedelta(milliseconds=50)
"""Time that one `tick` or `resume` may spend on steps that delete little, so that the database stays responsive."""


def retention_rules(registry: JobRegistry) -> tuple[PruneRule, ...]:
    """Return one rule for each job and final status that has a retention."""
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
    """Scan stored jobs by id and delete expired ones.

    Pause after each full scan for the shortest retention, within `SHORTEST_SCAN_PAUSE` and `LONGEST_SCAN_PAUSE`. Does
    nothing if no spec sets a retention. Several workers may scan at the same time.
    """

    def __init__(
        self, store: QueueStore, registry: JobRegistry, clock: Clock, *, budget: timedelta = STEP_BUDGET
    ) -> None:
        self._store = store
        self._budget = budget
        self._registry = registry
        self._clock = clock
        self._after = ""
        self._pauses_until = float("-inf")

    @cached_property
    def _rules(self) -> tuple[PruneRule, ...]:
        # Read late: it imports every job of the registry, and a process that only enqueues has no other need for them.
        return retention_rules(self._registry)

    @cached_property
    def _scan_pause(self) -> timedelta:
        shortest = min((rule.age for rule in self._rules), default=LONGEST_SCAN_PAUSE)
        return min(max(shortest, SHORTEST_SCAN_PAUSE), LONGEST_SCAN_PAUSE)

    async def tick(self) -> int:
        """Run the next steps, if the pause is over, and return the number of deleted jobs. Call about once per second.

        Spend the budget on steps; then go on while at least half of the jobs of each step were expired, and wait
        between these steps as long as each took, so that claims and outcomes have half of the time.
        """
        deleted, until = 0, self._clock.monotonic() + self._budget.total_seconds()
        while self._rules and (began := self._clock.monotonic()) >= self._pauses_until:
            step = PruneStep(rules=self._rules, after=self._after)
            pruned = await self._store.prune(step)
            deleted += pruned.count
            self._after = pruned.after or ""
            now = self._clock.monotonic()
            if pruned.after is None:
                self._pauses_until = now + self._scan_pause.total_seconds()
            elif now >= until:
                if pruned.count * 2 < step.limit:
                    break
                await asyncio.sleep(now - began)
        return deleted

    async def resume(self, allowance: Callable[[], int | None]) -> int:
        """Continue the scan from the cursor in the database, for processes that run one tick and exit.

        Stop at the end of the table, when the budget of time is spent, or when `allowance` returns 0. If `allowance`
        returns a number of queries, stop also after a step that deleted nothing.
        """
        deleted, until = 0, self._clock.monotonic() + self._budget.total_seconds()
        while self._rules and (allowed := allowance()) != 0:
            pruned = await self._store.prune_next(self._rules)
            deleted += pruned.count
            is_spared = allowed is not None and not pruned.count
            if pruned.after is None or is_spared or self._clock.monotonic() >= until:
                break
        return deleted
