"""Read, list, find and count jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from ...domain.interfaces import Row, Statement, Value
from ...domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobStatus, JobSummary, UpcomingWork
from ...domain.search import MOST_CANDIDATES, Condition, FindStep, Found, FoundJob, IndexedColumn, JobPage
from ...domain.statistics import BatchCounts
from ...errors import DatabaseError, SchemaMissingError
from .. import searching
from ..searching import Candidate, search
from .call_maker import filled
from .calls import Calls, ids_or_none
from .parameters import filter_parameters, json_of, request_parameters, timestamp
from .rows import duration_of, integer_of, record_of, status_of, summary_of, text_of


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
        ids = await self._pages.few(query) if query.ids is None else query.ids
        if ids is None:
            return await self._run_with(self._statements.PLAN_ANEW, statement, **parameters)
        return await self._run(among_given, **parameters, ids=ids_or_none(ids))

    async def find(self, step: FindStep) -> Found:
        first = step.filter.where[0] if step.filter.where else None
        if first is None:
            return await self._find(step)
        if first.column is not None and first.has_usable_index:
            lookup: dict[str, Value] = {"value": first.indexed_value, "most": MOST_CANDIDATES + 1}
            try:
                count = _of_column(self._statements.COUNT_CANDIDATES, first.column)
                (found,) = await self._run(count, **lookup)
            except DatabaseError as error:
                if not isinstance(error, SchemaMissingError) and "no such" not in str(error):
                    raise
            else:  # the database has the view
                if integer_of(found["count"]) <= MOST_CANDIDATES:
                    return await self._search(step, first, first.column, lookup)
        return await self._search(step, first)

    async def find_page(self, query: JobQuery) -> JobPage:
        return await self._pages.read(query)

    async def _find(self, step: FindStep) -> Found:
        of, place = self._statements, _place_of(step)
        measure, find = (of.FIND_RANGE_BACKWARDS, of.FIND_BACKWARDS) if step.newest_first else (of.FIND_RANGE, of.FIND)
        (range_,), rows = await self.database.run(
            self._call(measure, **place), self._call(find, **place, **filter_parameters(step.filter))
        )
        jobs = tuple(_found(row) for row in (reversed(rows) if step.newest_first else rows))
        return Found(jobs, _place_after(step, range_, integer_of(range_["count"])))

    async def _search(
        self,
        step: FindStep,
        first: Condition,
        column: IndexedColumn | None = None,
        lookup: Mapping[str, Value] = MappingProxyType({}),
    ) -> Found:
        """Take a step with conditions, among the candidates of an indexed column if it is given.

        Another statement finds out before how many documents it reads.
        """
        of, among = self._statements, filter_parameters(step.filter)
        if column is None:
            measure = of.SEARCH_RANGE_BACKWARDS if step.newest_first else of.SEARCH_RANGE
            read = of.SEARCH
        else:
            candidates = of.SEARCH_CANDIDATES_RANGE_BACKWARDS if step.newest_first else of.SEARCH_CANDIDATES_RANGE
            measure, read = _of_column(candidates, column), _of_column(of.SEARCH_CANDIDATES, column)
        place = _place_of(step)
        (range_,) = await self._run(measure, **place, **lookup, **among, most_bytes=searching.STEP_BYTES)
        if not integer_of(range_["count"]):
            return Found((), None)
        rows = await self._run(
            read,
            **among,
            **lookup,
            first=text_of(range_["first"]),
            last=text_of(range_["last"]),
            part=first.part,
            needles=json_of(first.needles()),
            is_number=int(first.is_number),
            longest=searching.LARGEST_SEARCHED,
        )
        jobs = await search(step.filter, map(_candidate, reversed(rows) if step.newest_first else rows))
        is_cut = integer_of(range_["count"]) < integer_of(range_["scanned"])
        return Found(jobs, _place_after(step, range_, step.size if is_cut else integer_of(range_["scanned"])))

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


def _of_column(statement: Statement, column: IndexedColumn) -> Statement:
    """Return the statement for an indexed column of a view. Both names come from the specs."""
    return filled(statement, view=column.view, column=column.name)


def _place_of(step: FindStep) -> dict[str, Value]:
    return {"after": step.after, "limit": step.size}


def _place_after(step: FindStep, range_: Row, scanned_jobs: int) -> str | None:
    """Return the place of the next step; None if this one scanned fewer jobs than it may."""
    return None if scanned_jobs < step.size else text_of(range_["first" if step.newest_first else "last"])


def _found(row: Row) -> FoundJob:
    return FoundJob(text_of(row["id"]), text_of(row["job_name"]), status_of(row["status"]))


def _candidate(row: Row) -> Candidate:
    params, result = row["params"], row["result"]
    return Candidate(
        _found(row), None if params is None else text_of(params), None if result is None else text_of(result)
    )


def _wait(value: Value) -> timedelta | None:
    return None if value is None else max(timedelta(0), duration_of(value))
