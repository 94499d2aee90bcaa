"""The numbers of all shards that answer, added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

from ...domain.statistics import Counts, EnqueuedCount, FailureGroup, JobCounts, MinuteCounts, QueueState
from .fan_out import FanOut


class Numbers(FanOut):
    """Statistics of queues and jobs."""

    async def queue_states(self, *, most: int | None = None, most_failed: int | None = None) -> Sequence[QueueState]:
        found: dict[tuple[str, str], QueueState] = {}
        states = await self.each(lambda store: store.queue_states(most=most, most_failed=most_failed))
        for one in chain.from_iterable(states.values()):
            key = (one.queue, one.job_name)
            found[key] = _sum(found[key], one) if key in found else one
        return [found[key] for key in sorted(found)]

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        found: dict[tuple[str, str], int] = defaultdict(int)
        for one in chain.from_iterable((await self.each(lambda store: store.enqueued_counts())).values()):
            found[one.queue, one.job_name] += one.count
        return sorted(EnqueuedCount(*key, count) for key, count in found.items())

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        """Store the counts in the first shard: they are of attempts that ran outside of a worker."""
        await self.at(self.home, lambda store: store.add_counts(counts))

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        found: dict[tuple[datetime | None, str, str], Counts] = {}
        for one in chain.from_iterable((await self.each(lambda store: store.finished_counts(since=since))).values()):
            key = (one.minute, one.queue, one.job_name)
            found[key] = Counts(*map(sum, zip(found.get(key, Counts()), one.counts, strict=True)))
        first = datetime.min.replace(tzinfo=UTC)
        return [MinuteCounts(*key, found[key]) for key in sorted(found, key=lambda each: (each[0] or first, each[1:]))]

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        found: dict[tuple[str, str], FailureGroup] = {}
        groups = await self.each(lambda store: store.failure_groups(queues=queues, most=most))
        for one in chain.from_iterable(groups.values()):
            key = (one.job_name, one.error_class or "")
            if key in found:
                newest = max(found[key], one, key=lambda group: group.newest_id)
                found[key] = replace(newest, count=found[key].count + one.count)
            else:
                found[key] = one
        return [found[key] for key in sorted(found)]

    async def forget_counts(self) -> int:
        return sum((await self.each(lambda store: store.forget_counts())).values())


def _sum(one: QueueState, other: QueueState) -> QueueState:
    oldest = min((one, other), key=lambda each: (each.oldest_due_at is None, each.oldest_due_at))
    return replace(
        one,
        due=one.due + other.due,
        oldest_due_at=oldest.oldest_due_at,
        oldest_due_id=oldest.oldest_due_id,
        scheduled=one.scheduled + other.scheduled,
        running=one.running + other.running,
        failed=one.failed + other.failed,
        parked=one.parked + other.parked,
        versions=tuple(sorted(_added(chain(one.versions, other.versions)).items())),
    )


def _added(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for version, count in pairs:
        found[version] += count
    return found
