"""Read, list, find and count jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ...domain.interfaces import Row, Statement, Value
from ...domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobStatus, JobSummary, UpcomingWork
from .calls import Calls, ids_or_none
from .parameters import filter_parameters, request_parameters, timestamp
from .rows import duration_of, integer_of, record_of, summary_of, text_of

if TYPE_CHECKING:
    from ...domain.search import FindStep, Found, JobPage
    from ...domain.statistics import BatchCounts
    from .pages import Pages


class Reading(Calls):
    async def get(self, job_id: str) -> JobRecord | None:
        rows = await self._run_by_id(self._statements.GET, job_id)
        return record_of(rows[0]) if rows else None

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        of = self._statements
        return [record_of(row) for row in await self._listed(of.LIST, of.LIST_GIVEN, query)]

    async def summary(self, job_id: str) -> JobSummary | None:
        rows = await self._run_by_id(self._statements.SUMMARY, job_id)
        return summary_of(rows[0]) if rows else None

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        from ...domain.statistics import BatchCounts  # late, because most processes count no batch

        rows = await self._run_of_batch(self._statements.COUNT_BATCH, batch_id)
        counts = {text_of(row["status"]): integer_of(row["count"]) for row in rows}
        return BatchCounts(**counts) if rows else None

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        rows = await self._run_of_batch(self._statements.BATCH_JOBS, batch_id, job_name=job_name)
        return [text_of(row["id"]) for row in rows]

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        of = self._statements
        return [summary_of(row) for row in await self._listed(of.LIST_SUMMARIES, of.LIST_GIVEN_SUMMARIES, query)]

    async def _listed(self, statement: Statement, among_given: Statement, query: JobQuery) -> Sequence[Row]:
        parameters = {**filter_parameters(query), "before": query.before, "limit": query.limit}
        ids = await self._pages().few(query) if query.ids is None else query.ids
        if ids is None:
            return await self._run_with(self._statements.PLAN_ANEW, statement, **parameters)
        return await self._run(among_given, **parameters, ids=ids_or_none(ids))

    async def find(self, step: FindStep) -> Found:
        from .pages import Searches

        return await Searches(self._statements, self._call, self.database).find(step)

    def _pages(self) -> Pages:
        from .pages import Pages  # late, because most processes list no jobs and search none

        return Pages(
            self._statements,
            lambda page, parameters: self._run_with(self._statements.AVOID_JIT, page, **parameters),
        )

    async def find_page(self, query: JobQuery) -> JobPage:
        return await self._pages().read(query)

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        of, given = self._statements, {"since": None if since is None else timestamp(since)}
        if newest is None:
            rows = await self._run_with(of.ALLOW_SCAN, of.COUNT, **given)
        else:
            rows = await self._run(of.COUNT_NEWEST, **given, newest=newest)
        return [
            JobCount(
                text_of(row["job_name"]),
                JobStatus(text_of(row["status"])),
                integer_of(row["count"]),
                integer_of(row["parked"]),
            )
            for row in rows
        ]

    async def count_due(self, request: ClaimRequest) -> int:
        rows = await self._run(self._statements.COUNT_DUE, **request_parameters(request))
        return integer_of(rows[0]["count"])

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        (row,) = await self._run(self._statements.UPCOMING_WORK, **request_parameters(request))
        return UpcomingWork(**{name: _wait(row[name]) for name in UpcomingWork.__dataclass_fields__})


def _wait(value: Value) -> timedelta | None:
    return None if value is None else max(timedelta(0), duration_of(value))
