"""Maintenance, queues, the audit log and the history of all shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from ...domain.audit import APPLICATION, AuditQuery, AuditRecord
from ...domain.history import AttemptRecord, Blockers, WorkerRecord, WorkerReport
from ...domain.interfaces import Store
from ...domain.record import JobRecord, KnownJob, PausedQueue, Pruned, PruneRule, PruneStep
from ...errors import JobNotFoundError
from .fan_out import FanOut
from .reading import first_ids


class Maintenance(FanOut):
    """Each call is for all shards. A change raises `ShardUnreachableError` if one of them does not answer."""

    async def pause_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        return any((await self.every(lambda store: store.pause_queue(name, by=by))).values())

    async def resume_queue(self, name: str, *, by: str = APPLICATION) -> bool:
        return any((await self.every(lambda store: store.resume_queue(name, by=by))).values())

    async def paused_queues(self) -> Sequence[PausedQueue]:
        """Return the queues that are paused in a shard, each with its first pause."""
        found: dict[str, PausedQueue] = {}
        for one in chain.from_iterable((await self.each(lambda store: store.paused_queues())).values()):
            known = found.get(one.name)
            found[one.name] = one if known is None or one.paused_at < known.paused_at else known
        return [found[name] for name in sorted(found)]

    async def prune(self, step: PruneStep) -> Pruned:
        """As in `QueueStore`, one shard after another. `after` has the name of a shard and an id in it.

        A step ends in the first shard that has more jobs.
        """
        if step.ids is not None:
            return Pruned(sum(one.count for one in (await self.every(lambda store: store.prune(step))).values()), None)
        names = list(self.stores)
        first, _, after = step.after.rpartition(":")
        count = 0
        for shard in names[names.index(first or self.home) :]:
            pruned = await self.at(shard, partial(_prune, step=replace(step, after=after)))
            count, after = count + pruned.count, ""
            if pruned.after is not None:
                return Pruned(count, f"{shard}:{pruned.after}")
        return Pruned(count, None)

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = 1000) -> Pruned:
        found = await self.each(lambda store: store.prune_next(rules, limit=limit))
        return Pruned(sum(one.count for one in found.values()), first_ids([one.after for one in found.values()]))

    async def audit_log(self, query: AuditQuery) -> Sequence[AuditRecord]:
        found = await self.each(lambda store: store.audit_log(query))
        entries = sorted(chain.from_iterable(found.values()), key=lambda entry: entry.id, reverse=True)
        return entries[: query.limit]

    async def forget_audit(self) -> int:
        return sum((await self.each(lambda store: store.forget_audit())).values())

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        shard = await self.shard_of_id(job_id)
        return [] if shard is None else await self.at(shard, lambda store: store.attempts(job_id))

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        shard = await self.shard_of_id(record.id)
        if shard is None:
            raise JobNotFoundError(record.id)
        return await self.at(shard, lambda store: store.blockers(record, job, known))

    async def workers(self) -> Sequence[WorkerRecord]:
        """Return each worker once, with its jobs in all shards. It is alive if one shard has a recent report."""
        found: dict[str, WorkerRecord] = {}
        for one in chain.from_iterable((await self.each(lambda store: store.workers())).values()):
            known = found.get(one.report.id)
            found[one.report.id] = one if known is None else _same_worker(known, one)
        return [found[worker_id] for worker_id in sorted(found)]

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        found = await self.each(lambda store: store.held_jobs(worker_id))
        return sorted(chain.from_iterable(found.values()))

    async def report_tick(self, report: WorkerReport) -> None:
        await self.each(lambda store: store.report_tick(report))

    async def remove_worker(self, worker_id: str) -> None:
        await self.each(lambda store: store.remove_worker(worker_id))

    async def forget_workers(self) -> int:
        return sum((await self.each(lambda store: store.forget_workers())).values())


async def _prune(store: Store, step: PruneStep) -> Pruned:
    return await store.prune(step)


def _same_worker(one: WorkerRecord, other: WorkerRecord) -> WorkerRecord:
    return replace(
        one,
        started_at=min(one.started_at, other.started_at),
        last_seen_at=max(one.last_seen_at, other.last_seen_at),
        is_alive=one.is_alive or other.is_alive,
        running=one.running + other.running,
    )
