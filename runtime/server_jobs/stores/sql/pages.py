"""Pages of jobs at a bounded cost. See `shared/pages.sql`.

If few jobs have the status of the filter, an index finds them all, and the page has the newest of them. Otherwise a
page scans the newest jobs by id, up to a bound. An index for each other filter would make enqueues and claims slower.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from ...domain.interfaces import Row, Statement, Value
from ...domain.record import JobQuery, JobStatus
from ...domain.search import MOST_CANDIDATES, MOST_SCANNED, JobPage
from .call_maker import filled
from .dialect import Statements
from .parameters import filter_parameters
from .rows import integer_of, preview_of, text_of

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
