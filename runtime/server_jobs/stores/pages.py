"""Pages of jobs at a bounded cost.

If few jobs have the status of the filter, an index finds them all, and the page has the newest of them. Otherwise a
page scans the newest jobs by id, up to a bound. An index for each other filter would make enqueues and claims slower.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ..domain.interfaces import Row, Statement, Value
from ..domain.record import JobQuery, JobStatus
from ..domain.search import MOST_CANDIDATES, MOST_SCANNED, JobPage
from .call_maker import filled
from .columns import SUMMARY_COLUMNS
from .dialect import Dialect
from .job_filters import FILTER_COLUMNS, filter_parameters
from .rows import integer_of, preview_of, text_of
from .statistics import IS_FAILED, IS_PARKED, LIMITED, UNLIMITED, groups_by

_COLUMNS = ", ".join(dict.fromkeys((*SUMMARY_COLUMNS.split(", "), *FILTER_COLUMNS.split(", "))))
_OTHERS = _COLUMNS.removeprefix("id, ")

MOST_IDS = 1000
"""Most jobs of a status that a list looks up by their ids. With more, it scans all jobs, the newest first."""
_QUEUED = ("job_name", "spec_version", "queue")
_NAMED = ("job_name", "queue")


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of the jobs under a condition, by the columns of `groups` and then in the order `rest`."""

    name: str
    condition: str
    rest: str
    groups: tuple[str, ...] = _NAMED


_INDEXES: Mapping[JobStatus, tuple[_Index, ...]] = {
    JobStatus.PENDING: (
        _Index("jobs_unlimited_group", f"status = 'pending' AND {UNLIMITED}", "priority DESC, scheduled_for", _QUEUED),
        _Index("jobs_limited_group", f"status = 'pending' AND {LIMITED}", "priority DESC, scheduled_for", _QUEUED),
    ),
    JobStatus.RUNNING: (_Index("jobs_lease", "status = 'running' AND worker_expires_at IS NOT NULL", "", ()),),
    JobStatus.FAILED: (_Index("jobs_failed", IS_FAILED, "error_class, id"),),
    JobStatus.CANCELLED: (_Index("jobs_cancelled", "status = 'cancelled'", "id"),),
}
_PARKED: tuple[_Index, ...] = (_Index("jobs_parked", IS_PARKED, "id"),)
_BATCH: tuple[_Index, ...] = (_Index("jobs_batch", "batch_id = :batch_id", "", ()),)

Run = Callable[[Statement, dict[str, Value]], Awaitable[Sequence[Row]]]


class Pages:
    """Reads pages with the statements of a dialect."""

    def __init__(self, dialect: Dialect, run: Run) -> None:
        self._dialect = dialect
        self._statements = dialect.statements
        self._execute = run

    async def read(self, query: JobQuery) -> JobPage:
        """Return the page."""
        indexed = self._indexed(query)
        if indexed is not None:
            found = await self._run(f"SELECT count(*) AS count FROM ({indexed}) AS found", query)
            if integer_of(found[0]["count"]) <= MOST_CANDIDATES:
                page = await self._run(self._page_of(self._looked_up(indexed, query)), query)
                return _full(page, query.limit) or JobPage(tuple(map(preview_of, page)), None)
        place = self._place(query)
        page = await self._run(self._page_of(f"(SELECT {_COLUMNS} {place})"), query)
        return _full(page, query.limit) or JobPage(tuple(map(preview_of, page)), await self._end(place, query))

    async def few(self, query: JobQuery) -> tuple[str, ...] | None:
        """Return the ids of all jobs with the status of the filter, or None if no index has them or they are many."""
        indexed = self._indexed(query)
        if indexed is None:
            return None
        rows = await self._run(f"SELECT id FROM ({indexed}) AS found", query, MOST_IDS)
        return tuple(text_of(row["id"]) for row in rows) if len(rows) <= MOST_IDS else None

    async def _end(self, place: str, query: JobQuery) -> str | None:
        """Return the last job of a scan, or None if no job follows it."""
        sql = f"SELECT min(id) AS last, count(*) AS count FROM (SELECT id {place}) AS scanned"
        (scanned,) = await self._run(sql, query)
        return text_of(scanned["last"]) if integer_of(scanned["count"]) >= MOST_SCANNED else None

    def _indexed(self, query: JobQuery) -> str | None:
        """Return the query of the ids of the jobs with the status of the filter, for one with an index."""
        match query.statuses:
            case _ if query.batch_id is not None:
                indexes = _BATCH
            case _ if query.parked:
                indexes = _PARKED
            case (status,):
                indexes = _INDEXES.get(status, ())
            case _:
                indexes = ()
        found = (f"SELECT id FROM ({self._candidates(index, query)}) AS {index.name}" for index in indexes)
        return " UNION ALL ".join(found) or None

    def _candidates(self, index: _Index, query: JobQuery) -> str:
        """Return the query of the ids in an index, of the names and queues of the filter."""
        jobs, most = self._dialect.jobs_by(index.name), self._most("candidates")
        if not index.groups:
            return f"SELECT id FROM {jobs} WHERE {index.condition} LIMIT {most}"
        given = "" if query.job_name is None else " AND job_name = :job_name"
        given += "" if query.queues is None else f" AND {self._statements.fragments['of_queues']}"
        group = f"{index.condition} AND " + " AND ".join(f"jobs.{one} = found.{one}" for one in index.groups)
        group += " AND jobs.error_class = :error_class" if index.name == "jobs_failed" and query.error_class else ""
        of_group = self._dialect.of_group.format(jobs=jobs, group=group, order=index.rest, most=most)
        return f"""WITH RECURSIVE {groups_by("stored", jobs, index.condition, index.groups)}
SELECT jobs.id FROM (SELECT * FROM stored WHERE queue IS NOT NULL{given}) AS found CROSS JOIN {of_group} LIMIT {most}"""

    def _looked_up(self, indexed: str, query: JobQuery) -> str:
        before = "" if query.before is None else "WHERE id < :before "
        chosen = f"SELECT id FROM ({indexed}) AS found {before}ORDER BY id DESC LIMIT {self._most('candidates')}"
        return f"(SELECT chosen.id, {_OTHERS} FROM ({chosen}) AS chosen {self._dialect.look_up})".replace(
            "{columns}", _OTHERS
        )

    def _place(self, query: JobQuery) -> str:
        """Return the part of a query that scans jobs, newest first."""
        before = "" if query.before is None else "WHERE id < :before "
        return f"FROM jobs {before}ORDER BY id DESC LIMIT {self._most('scanned')}"

    def _most(self, name: str) -> str:
        return self._dialect.value(f"most_{name}", "integer")

    def _page_of(self, source: str) -> Statement:
        return filled(self._statements.PAGE, source=source)

    async def _run(self, sql: str | Statement, query: JobQuery, most: int | None = None) -> Sequence[Row]:
        given: dict[str, Value] = {
            **filter_parameters(query),
            "before": query.before,
            "page": query.limit + 1,
            "most_candidates": (MOST_CANDIDATES if most is None else most) + 1,
            "most_scanned": MOST_SCANNED,
        }
        statement = sql if isinstance(sql, Statement) else Statement(sql, writes=False)
        used = {name: value for name, value in given.items() if f":{name}" in statement.sql}
        return await self._execute(statement, used)


def _full(page: Sequence[Row], limit: int) -> JobPage | None:
    """Return the page, if another job follows it."""
    if len(page) <= limit:
        return None
    return JobPage(tuple(map(preview_of, page[:limit])), text_of(page[limit - 1]["id"]))
