"""Read statistics, earlier attempts, workers, and the waits of a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...domain.record import JobRecord, KnownJob
from .calls import Calls
from .parameters import EPOCH, json_of, milliseconds, timestamp
from .rows import integer_of, text_of, time_of

if TYPE_CHECKING:
    from ...domain.history import AttemptRecord, Blockers, WorkerRecord
    from ...domain.statistics import EnqueuedCount, FailureGroup, MinuteCounts, QueueState

_END_OF_TIME = timestamp(datetime(9999, 1, 1, tzinfo=UTC))


class History(Calls):
    # The records are imported late, because most processes read none of them.

    async def queue_states(self, *, most: int | None = None, most_failed: int | None = None) -> Sequence[QueueState]:
        from .statistics import states_of

        of, most_failed = self._statements, most if most_failed is None else most_failed
        rows = await self._run_with(of.AVOID_JIT, of.QUEUE_STATES, most=most, most_failed=most_failed)
        return states_of(rows, most, most_failed)

    async def failure_groups(
        self, *, queues: Sequence[str] | None = None, most: int | None = None
    ) -> Sequence[FailureGroup]:
        from .statistics import groups_of

        given = None if queues is None else json_of(list(queues))
        of = self._statements
        return groups_of(await self._run_with(of.AVOID_JIT, of.FAILURE_GROUPS, queues=given, most=most), most)

    async def enqueued_counts(self) -> Sequence[EnqueuedCount]:
        from .statistics import enqueued_count_of

        return sorted(map(enqueued_count_of, await self._run(self._statements.ENQUEUED_COUNTS)))

    async def finished_counts(self, *, since: datetime | None) -> Sequence[MinuteCounts]:
        from .statistics import minute_counts_of

        first, last = (0, 0) if since is None else (max(1, timestamp(since)), _END_OF_TIME)
        rows = await self._run(self._statements.FINISHED_COUNTS, since=first, until=last)
        return [minute_counts_of(row) for row in rows]

    async def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        from .history_rows import attempt_of

        return [attempt_of(row) for row in await self._run_by_id(self._statements.ATTEMPTS, job_id)]

    async def blockers(self, record: JobRecord, job: KnownJob | None, known: Sequence[tuple[str, int]]) -> Blockers:
        from ...domain.history import MOST_AHEAD, Blockers

        of, name = self._statements, record.job_name
        concurrency, rate = (None, None) if job is None else (job.concurrency, job.rate)
        calls = [
            self._call(
                of.AHEAD,
                known=json_of(known),
                queue=record.queue,
                priority=record.priority,
                due=timestamp(record.scheduled_for),
                id=record.id,
                most=MOST_AHEAD,
            )
        ]
        if record.unique_key is not None:
            calls.insert(0, self._call(of.REPLACED_JOBS, unique_keys=json_of([record.unique_key])))
        if concurrency is not None:
            calls.append(self._call(of.HOLDERS, job_name=name, concurrency_key=record.concurrency_key or ""))
        if rate is not None:
            key, period = record.rate_key or "", milliseconds(rate.per)
            calls.append(self._call(of.RATE_FREE_AT, job_name=name, rate_key=key, period=period, limit=rate.limit))
        found = await self.database.run(*calls)
        replaced = found[0] if record.unique_key is not None else ()
        (row,), *limits = found[1:] if record.unique_key is not None else found
        held = limits[0] if concurrency is not None else ()
        is_full = concurrency is not None and bool(held) and integer_of(held[0]["count"]) >= concurrency.limit
        free = [] if rate is None else [time_of(one["free_at"]) for one in limits[-1]]
        return Blockers(
            now=time_of(row["now"]) or EPOCH,
            ahead=integer_of(row["ahead"]),
            holders=tuple(text_of(one["id"]) for one in held) if is_full else (),
            rate_free_at=free[0] if free else None,
            replaced=text_of(replaced[0]["id"]) if replaced else None,
        )

    async def workers(self) -> Sequence[WorkerRecord]:
        from .history_rows import worker_of

        return [worker_of(row) for row in await self._run(self._statements.WORKERS)]

    async def held_jobs(self, worker_id: str) -> Sequence[str]:
        return [text_of(row["id"]) for row in await self._run_by_id(self._statements.HELD_JOBS, worker_id)]
