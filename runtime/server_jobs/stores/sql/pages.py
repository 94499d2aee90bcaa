"""Pages of jobs and steps of searches, at a bounded cost. See `shared/pages.sql` and `shared/find.sql`.

If few jobs have the status of the filter, an index finds them all, and the page has the newest of them. Otherwise a
page scans the newest jobs by id, up to a bound. An index for each other filter would make enqueues and claims slower.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

from ...domain.interfaces import Database, Row, Statement, Value
from ...domain.record import JobQuery, JobStatus
from ...domain.search import (
    MOST_CANDIDATES,
    MOST_SCANNED,
    Condition,
    FindStep,
    Found,
    FoundJob,
    IndexedColumn,
    JobPage,
)
from ...errors import DatabaseError, SchemaMissingError
from .. import searching
from ..searching import Candidate, search
from .dialect import Statements
from .parameters import MakeCall, filled, filter_parameters, json_of
from .rows import integer_of, preview_of, status_of, text_of

MOST_IDS = 1000
"""Most jobs of a status that a list looks up by their ids. With more, it scans all jobs, the newest first."""

_OF_STATUS: Mapping[JobStatus, str] = {
    JobStatus.PENDING: "ids_pending",
    JobStatus.RUNNING: "ids_running",
    JobStatus.FAILED: "ids_failed",
    JobStatus.CANCELLED: "ids_cancelled",
}
"""The fragments that find the jobs of a status."""

Run = Callable[[Statement, dict[str, Value]], Awaitable[Sequence[Row]]]


class Pages:
    """Reads pages with the statements of a dialect."""

    def __init__(self, statements: Statements, run: Run) -> None:
        self._statements = statements
        self._execute = run

    async def read(self, query: JobQuery) -> JobPage:
        """Return the page."""
        of, indexed = self._statements, self._indexed(query)
        if indexed is not None:
            found = await self._run(filled(of.COUNT_OF_INDEX, ids=indexed), query)
            if integer_of(found[0]["count"]) <= MOST_CANDIDATES:
                page = await self._run(filled(of.PAGE_OF_INDEX, ids=indexed), query)
                return _full(page, query.limit) or JobPage(tuple(map(preview_of, page)), None)
        page = await self._run(of.PAGE_OF_SCAN, query)
        return _full(page, query.limit) or JobPage(tuple(map(preview_of, page)), await self._end(query))

    async def few(self, query: JobQuery) -> tuple[str, ...] | None:
        """Return the ids of all jobs with the status of the filter, or None if no index has them or they are many."""
        indexed = self._indexed(query)
        if indexed is None:
            return None
        rows = await self._run(filled(self._statements.IDS_OF_INDEX, ids=indexed), query, MOST_IDS)
        return tuple(text_of(row["id"]) for row in rows) if len(rows) <= MOST_IDS else None

    async def _end(self, query: JobQuery) -> str | None:
        """Return the last job of a scan, or None if no job follows it."""
        (scanned,) = await self._run(self._statements.END_OF_SCAN, query)
        return text_of(scanned["last"]) if integer_of(scanned["count"]) >= MOST_SCANNED else None

    def _indexed(self, query: JobQuery) -> str | None:
        """Return the query of the ids of the jobs with the status of the filter, for one with an index."""
        match query.statuses:
            case _ if query.batch_id is not None:
                name = "ids_of_batch"
            case _ if query.parked:
                name = "ids_parked"
            case (JobStatus.FAILED,) if query.error_class:
                name = "ids_failed_of_class"
            case (status,) if status in _OF_STATUS:
                name = _OF_STATUS[status]
            case _:
                return None
        return self._statements.fragments[name]

    async def _run(self, statement: Statement, query: JobQuery, most: int = MOST_CANDIDATES) -> Sequence[Row]:
        given: dict[str, Value] = {
            **filter_parameters(query),
            "before": query.before,
            "page": query.limit + 1,
            "most_candidates": most + 1,
            "most_scanned": MOST_SCANNED,
        }
        return await self._execute(statement, given)


def _full(page: Sequence[Row], limit: int) -> JobPage | None:
    """Return the page, if another job follows it."""
    if len(page) <= limit:
        return None
    return JobPage(tuple(map(preview_of, page[:limit])), text_of(page[limit - 1]["id"]))


class Searches:
    """Takes steps of searches with the statements of a dialect."""

    def __init__(self, statements: Statements, call: MakeCall, database: Database) -> None:
        self._statements = statements
        self._call = call
        self._database = database

    async def find(self, step: FindStep) -> Found:
        """Return the jobs of this step."""
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

    async def _find(self, step: FindStep) -> Found:
        of, place = self._statements, _place_of(step)
        measure, find = (of.FIND_RANGE_BACKWARDS, of.FIND_BACKWARDS) if step.newest_first else (of.FIND_RANGE, of.FIND)
        (range_,), rows = await self._database.run(
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

    async def _run(self, statement: Statement, **parameters: Value) -> Sequence[Row]:
        return (await self._database.run(self._call(statement, **parameters)))[0]


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
