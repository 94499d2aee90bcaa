"""End batches, cancel late jobs, delete old rows and record workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...domain.interfaces import Value
from ...domain.lifecycle import shortest_age
from ...domain.record import PRUNE_STEP, ClaimRequest, LateJob, PendingWork, Pruned, PruneRule, PruneStep
from ...domain.record.reports import COUNT_RETENTION, TICK_LEASE, WORKER_RETENTION, JobCounts, WorkerReport
from .calls import Calls, ids_or_none
from .parameters import (
    NO_FILTER,
    BoundCall,
    filter_parameters,
    json_of,
    milliseconds,
    prune_rules,
    request_parameters,
    tick_parameters,
    worker_parameters,
)
from .rows import integer_of, text_of


class Maintenance(Calls):
    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        given = {"batch_ids": ids_or_none(batch_ids)}
        (rows,) = await self.database.run(
            self._call(self._statements.END_BATCHES, **given),
            look=self._call(self._statements.ENDED_BATCHES, **given),
        )
        if rows:
            self._claims.expect()
            self.database.announce()
        return [text_of(row["id"]) for row in rows]

    async def cancel_late(self) -> Sequence[LateJob]:
        rows = await self._run(self._statements.CANCEL_LATE)
        return [LateJob(text_of(row["id"]), text_of(row["job_name"])) for row in rows]

    async def pending_work(self, request: ClaimRequest, tick: WorkerReport | None = None) -> PendingWork:
        looked = self._statements.PENDING_WORK
        (row,) = await self._run(looked, **request_parameters(request), **tick_parameters(tick), batch_ids=None)
        if not row["has_mislabelled"]:
            self._claims.note_labelled(request)
        return PendingWork(
            bool(row["has_expired"]),
            bool(row["has_due_schedule"]),
            bool(row["has_due_job"]),
            tick is not None and bool(row["has_due_report"]),
            bool(row["has_ended_batch"]),
            bool(row["has_late"]),
        )

    async def prune(self, step: PruneStep) -> Pruned:
        looked_at: dict[str, Value] = {"after": step.after, "limit": step.limit}
        shortest = milliseconds(shortest_age(step.rules))
        among: dict[str, Value] = {**filter_parameters(step.among), "ids": ids_or_none(step.ids)}
        rules = prune_rules(step.rules)
        whole_step = {**looked_at, **among, "rules": rules}
        ranges, pruned, *_ = await self.database.run(
            self._call(self._statements.PRUNE_RANGE, **looked_at, shortest=shortest),
            *([self._call(self._statements.PRUNABLE, **whole_step)] if step.dry_run else self._pruning(whole_step)),
        )
        is_last = integer_of(ranges[0]["count"]) < step.limit or bool(ranges[0]["all_recent"])
        return Pruned(len(pruned), None if is_last else text_of(ranges[0]["last"]))

    async def prune_next(self, rules: Sequence[PruneRule], *, limit: int = PRUNE_STEP) -> Pruned:
        step: dict[str, Value] = {"rules": prune_rules(rules), "limit": limit}
        shortest = milliseconds(shortest_age(rules))
        moved = await self._run(self._statements.PRUNE_MOVE, **step, shortest=shortest)
        if not moved:
            return Pruned(0, None)
        after = text_of(moved[0]["after"])
        if not moved[0]["has_expired"]:
            return Pruned(0, after or None)
        pruned, *_ = await self.database.run(*self._pruning({**step, **NO_FILTER, "ids": None, "after": after}))
        return Pruned(len(pruned), after)

    def _pruning(self, step: Mapping[str, Value]) -> Iterator[BoundCall]:
        """Yield the calls that delete the jobs of a step, and their attempts."""
        yield self._call(self._statements.PRUNE, **step)
        if self._statements.PRUNE_ATTEMPTS is not None:
            place = {name: step[name] for name in ("ids", "after", "limit")}
            yield self._call(self._statements.PRUNE_ATTEMPTS, **place)

    async def add_counts(self, counts: Sequence[JobCounts]) -> None:
        if counts:
            rows = [{"queue": one.queue, "job_name": one.job_name, **one.counts._asdict()} for one in counts]
            await self._run(self._statements.ADD_COUNTS, counts=json_of(rows))

    async def forget_counts(self) -> int:
        return len(await self._run(self._statements.FORGET_COUNTS, age=milliseconds(COUNT_RETENTION)))

    async def report_tick(self, report: WorkerReport) -> None:
        lease = milliseconds(TICK_LEASE)
        await self._run(self._statements.REPORT_TICK, **worker_parameters(report), lease=lease)

    async def remove_worker(self, worker_id: str) -> None:
        await self._run(self._statements.REMOVE_WORKER, id=worker_id)

    async def forget_workers(self) -> int:
        return len(await self._run(self._statements.FORGET_WORKERS, age=milliseconds(WORKER_RETENTION)))
