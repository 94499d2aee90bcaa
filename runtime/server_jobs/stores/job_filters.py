"""The SQL condition of a filter, its parameters, and the SQL of the jobs that a step scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..domain.interfaces import Value
from ..domain.record import EVERY_JOB, JobFilter
from ..domain.search import FindStep, IndexedColumn
from .rows import json_of, milliseconds

_TEXTS = ("job_name", "error_class", "correlation_id", "worker_id")


def matching(given: Callable[[str, str], str], elements: Callable[[str], str], ago: Callable[[str], str]) -> str:
    """Return the condition on a row of `jobs`, without the filter's `where`.

    `given` returns the SQL of a parameter with a type, `elements` the query of the elements of a JSON list, and `ago`
    the time that many milliseconds ago.
    """
    since = "COALESCE(completed_at, created_at)"
    conditions = [
        f"({given('statuses', 'json')} IS NULL OR status IN ({elements('statuses')}))",
        f"({given('queues', 'json')} IS NULL OR queue IN ({elements('queues')}))",
        *(f"({given(name, 'text')} IS NULL OR {name} = :{name})" for name in _TEXTS),
        f"({given('batch_id', 'text')} IS NULL OR batch_id = :batch_id AND id <> batch_id)",
        f"({given('spec_version', 'integer')} IS NULL OR spec_version = :spec_version)",
        f"({given('older_than', 'bigint')} IS NULL OR {since} < {ago('older_than')})",
        f"({given('newer_than', 'bigint')} IS NULL OR {since} >= {ago('newer_than')})",
    ]
    return "\n   AND ".join(conditions)


def filter_parameters(wanted: JobFilter) -> dict[str, Value]:
    """Return the parameters of the condition."""
    older_than, newer_than = wanted.older_than, wanted.newer_than
    return {
        "statuses": None if wanted.statuses is None else json_of(wanted.statuses),
        "queues": None if wanted.queues is None else json_of(wanted.queues),
        **{name: getattr(wanted, name) for name in _TEXTS},
        "batch_id": wanted.batch_id,
        "spec_version": wanted.spec_version,
        "older_than": None if older_than is None else milliseconds(older_than),
        "newer_than": None if newer_than is None else milliseconds(newer_than),
        "parked": int(wanted.parked),
    }


NO_FILTER: Mapping[str, Value] = filter_parameters(EVERY_JOB)

FILTER_COLUMNS = (
    "job_name, status, queue, spec_version, error, error_class, correlation_id, worker_id, batch_id, created_at, "
    "completed_at"
)
"""The columns that the condition of a filter uses."""

NEWEST = "(SELECT job_name, status, error, created_at FROM jobs ORDER BY id DESC LIMIT :newest) AS jobs"
"""The columns that a count uses, of the newest jobs."""


def scanned(step: FindStep, source: str = "jobs") -> str:
    """Return the query of the ids that a step reads. `source` has a column `id`."""
    if not step.newest_first:
        return f"SELECT id FROM {source} WHERE id > :after ORDER BY id LIMIT :limit"
    place = "WHERE id < :after " if step.after else ""
    return f"SELECT id FROM {source} {place}ORDER BY id DESC LIMIT :limit"


def scanned_rows(step: FindStep, source: str = "jobs", more: str = "") -> str:
    """Return the query of the rows that a step reads: the columns of filters, and `more`."""
    columns, query = f"SELECT id, {FILTER_COLUMNS}{more}", scanned(step, source)
    if source == "jobs":
        return query.replace("SELECT id", columns, 1)
    return f"{columns} FROM jobs WHERE id IN ({query})"


def rows_between(source: str = "jobs") -> str:
    """Return the query of the rows with documents that a step with conditions reads, between two ids."""
    among = "" if source == "jobs" else f" AND id IN (SELECT id FROM {source})"
    return f"SELECT id, {FILTER_COLUMNS}, params, result FROM jobs WHERE id BETWEEN :first AND :last{among}"


def candidates(column: IndexedColumn, value: Callable[[str, str], str]) -> str:
    """Return the query of the jobs that may have a value in an indexed column: `most` with it, and `most` with NULL.

    The column is NULL for a list, which may contain the value, and for values of other types.
    """
    kind, most = ("bigint" if column.is_integer else "text"), value("most", "integer")
    first = f"SELECT id FROM {column.view} WHERE {column.name} = {value('value', kind)} LIMIT {most}"
    second = f"SELECT id FROM {column.view} WHERE {column.name} IS NULL LIMIT {most}"
    return f"(SELECT id FROM ({first}) AS equal UNION ALL SELECT id FROM ({second}) AS other) AS candidates"


def count_of(source: str) -> str:
    """Return the query of the number of rows of a source."""
    return f"SELECT count(*) AS count FROM {source}"
