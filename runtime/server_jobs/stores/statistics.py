"""SQL of the numbers about queues and jobs, for every dialect.

Jobs are counted group by group: one search of an index finds each group, and a count may stop early. So the cost does
not depend on the number of jobs. Without the bound, PostgreSQL would also read a row for each job on a page that it has
not vacuumed yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ..domain.interfaces import Row
from ..domain.record import UNREADABLE
from ..domain.statistics import ENQUEUE_WINDOW, FailureGroup, QueueState, at_most
from .rows import failure_group_of, integer_of, milliseconds, text_of, time_of

UNLIMITED = "concurrency_key IS NULL"
LIMITED = "concurrency_key IS NOT NULL"
IS_PARKED = f"status = 'failed' AND substr(error, 1, {len(UNREADABLE)}) = '{UNREADABLE}'"
IS_FAILED = "status = 'failed'"
_QUEUED = ("job_name", "spec_version", "queue", "priority")
_NAMED = ("job_name", "queue")
_UNFINISHED = ("due", "scheduled", "running")
_FAILED = ("failed", "parked")
# The id has the time of the machine that enqueued the job, `created_at` has the time of the database.
_CLOCK_DIFFERENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class StatisticsDialect:
    """The differences of the dialects. `jobs` returns the table with the index to use.

    `most` and `most_failed` are the SQL of the bounds of a count, and `queues` the condition that the parameter with
    queues has `queue`. `ago` returns the SQL of the time before so many milliseconds, and `first_id` of the beginning
    of ids of a time.
    """

    jobs: Callable[[str], str]
    most: str
    most_failed: str
    queues: str
    ago: Callable[[int], str]
    first_id: Callable[[str], str]


def queue_states(of: StatisticsDialect) -> str:
    """Return the query of the states: a row for each group of pending jobs, and for each queue and name of others."""
    unlimited, limited = of.jobs("jobs_unlimited_group"), of.jobs("jobs_limited_group")
    pending = {
        "unlimited": (unlimited, f"status = 'pending' AND {UNLIMITED}"),
        "limited": (limited, f"status = 'pending' AND {LIMITED}"),
    }
    ended = {"failed": (of.jobs("jobs_failed"), IS_FAILED), "parked": (of.jobs("jobs_parked"), IS_PARKED)}
    groups = [
        *(groups_by(name, source, condition, _QUEUED) for name, (source, condition) in pending.items()),
        *(groups_by(name, source, condition, _NAMED) for name, (source, condition) in ended.items()),
    ]
    states = [
        *(_pending(name, source, condition, of.most) for name, (source, condition) in pending.items()),
        f"""SELECT queue, job_name, NULL, 0, 0, NULL, NULL, count(*), 0, 0
  FROM {of.jobs("jobs_lease")} WHERE status = 'running' AND worker_expires_at IS NOT NULL GROUP BY queue, job_name""",
        *(_ended(name, source, condition, of.most_failed) for name, (source, condition) in ended.items()),
    ]
    return f"\nWITH RECURSIVE {', '.join(groups)}\n" + "\n UNION ALL\n".join(states) + "\n"


def failure_groups(of: StatisticsDialect) -> str:
    """Return the query of the failed jobs of each name, queue and class of error."""
    jobs = of.jobs("jobs_failed")
    place = f"{IS_FAILED} AND jobs.job_name = found.job_name AND jobs.queue = found.queue AND"
    named, unnamed = f"{place} jobs.error_class = found.error_class", f"{place} jobs.error_class IS NULL"

    def of_class(groups: str, error_class: str, condition: str) -> str:
        newest = f"SELECT id FROM {jobs} WHERE {condition} ORDER BY error_class DESC, id DESC LIMIT 1"
        return f"""SELECT job_name, {error_class} AS error_class, ({newest}) AS newest_id,
         {_count(jobs, condition, of.most, "error_class, id")} AS count
    FROM {groups} AS found WHERE {of.queues}"""

    return f"""
WITH RECURSIVE {groups_by("failed", jobs, IS_FAILED, (*_NAMED, "error_class"))},
grouped AS (
  {of_class("failed", "error_class", named)} AND error_class IS NOT NULL
   UNION ALL
  {of_class("failed_queue", "NULL", unnamed)} AND queue IS NOT NULL)
SELECT job_name, error_class, count, newest_id,
       (SELECT CAST(jobs.error AS TEXT) FROM jobs WHERE jobs.id = newest_id) AS error,
       (SELECT jobs.completed_at FROM jobs WHERE jobs.id = newest_id) AS failed_at
  FROM grouped WHERE count > 0
"""


def enqueued_counts(of: StatisticsDialect) -> str:
    """Return the query of the recent jobs by queue and name. Ids begin with their time, so that it reads few others."""
    first_id = of.first_id(of.ago(milliseconds(ENQUEUE_WINDOW + _CLOCK_DIFFERENCE)))
    return f"""
SELECT queue, job_name, count(*) AS count FROM jobs
 WHERE id >= {first_id} AND created_at > {of.ago(milliseconds(ENQUEUE_WINDOW))}
 GROUP BY queue, job_name
"""


def groups_by(name: str, source: str, condition: str, columns: Sequence[str]) -> str:
    """Return common table expressions for the distinct values of the first columns of an index.

    Each has the next value for the values before it, and ends with NULL. The last one is `name`.
    """
    found: list[str] = []
    before = ""
    for place, column in enumerate(columns):
        known = columns[:place]
        this = name if place == len(columns) - 1 else f"{name}_{column}"
        operator = "<" if column == "priority" else ">"
        shown = "".join(f"{one}, " for one in known)
        first = _next_value(column, source, f"{condition} AND jobs.{column} IS NOT NULL", before, known)
        later = _next_value(column, source, f"{condition} AND jobs.{column} {operator} {this}.{column}", this, known)
        of_those = f" FROM {before} WHERE {known[-1]} IS NOT NULL" if known else ""
        found.append(f"""{this} ({shown}{column}) AS (
  SELECT {shown}{first}{of_those}
   UNION ALL
  SELECT {shown}{later} FROM {this} WHERE {column} IS NOT NULL)""")
        before = this
    return ",\n".join(found)


def _next_value(column: str, source: str, condition: str, of: str, known: Sequence[str]) -> str:
    given = "".join(f" AND jobs.{one} = {of}.{one}" for one in known)
    order = f"{column} DESC" if column == "priority" else column
    return f"(SELECT jobs.{column} FROM {source} WHERE {condition}{given} ORDER BY jobs.{order} LIMIT 1)"


def _count(source: str, condition: str, most: str, order: str) -> str:
    return f"(SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {condition} ORDER BY {order} LIMIT {most}) AS counted)"


def _pending(name: str, source: str, condition: str, most: str) -> str:
    group = f"{condition} AND " + " AND ".join(f"jobs.{column} = found.{column}" for column in _QUEUED)
    is_due, is_later = f"{group} AND scheduled_for <= {{now}}", f"{group} AND scheduled_for > {{now}}"
    order = "scheduled_for, id"
    oldest = f"FROM {source} WHERE {is_due} ORDER BY {order} LIMIT 1"
    return f"""SELECT queue, job_name, spec_version,
       {_count(source, is_due, most, order)} AS due,
       {_count(source, is_later, most, order)} AS scheduled,
       (SELECT scheduled_for {oldest}) AS oldest, (SELECT id {oldest}) AS oldest_id, 0 AS running, 0 AS failed,
       0 AS parked
  FROM {name} AS found WHERE priority IS NOT NULL"""


def _ended(name: str, source: str, condition: str, most: str) -> str:
    group = f"{condition} AND jobs.job_name = found.job_name AND jobs.queue = found.queue"
    rest = {"failed": "error_class, id", "parked": "id"}[name]
    counted = {one: _count(source, group, most, rest) if one == name else "0" for one in ("failed", "parked")}
    return f"""SELECT queue, job_name, NULL, 0, 0, NULL, NULL, 0, {counted["failed"]}, {counted["parked"]}
  FROM {name} AS found WHERE queue IS NOT NULL"""


def states_of(rows: Iterable[Row], most: int | None, most_failed: int | None) -> list[QueueState]:
    """Return one state for the rows of each queue and name, ordered by both."""
    found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        found[text_of(row["queue"]), text_of(row["job_name"])].append(row)
    states = (_state(*key, found[key], most, most_failed) for key in sorted(found))
    return [state for state in states if any((state.due, state.scheduled, state.running, state.failed))]


def _state(queue: str, job_name: str, rows: Sequence[Row], most: int | None, most_failed: int | None) -> QueueState:
    versions: Counter[int] = Counter()
    for row in rows:
        if row["spec_version"] is not None:
            versions[integer_of(row["spec_version"])] += integer_of(row["due"]) + integer_of(row["scheduled"])
    oldest = [(due_at, text_of(row["oldest_id"])) for row in rows if (due_at := time_of(row["oldest"])) is not None]
    due_at, oldest_id = min(oldest, default=(None, None))
    bounds = dict.fromkeys(_UNFINISHED, most) | dict.fromkeys(_FAILED, most_failed)
    counts = {name: at_most(sum(integer_of(row[name]) for row in rows), bound) for name, bound in bounds.items()}
    return QueueState(
        queue=queue,
        job_name=job_name,
        oldest_due_at=due_at,
        oldest_due_id=oldest_id,
        versions=tuple((version, at_most(count, most)) for version, count in sorted(versions.items()) if count),
        **counts,
    )


def groups_of(rows: Iterable[Row], most: int | None) -> list[FailureGroup]:
    """Return one group for the rows of each name and class of error, ordered by both."""
    found: defaultdict[tuple[str, str], list[FailureGroup]] = defaultdict(list)
    for group in map(failure_group_of, rows):
        found[group.job_name, group.error_class or ""].append(group)
    return [
        replace(
            max(found[key], key=lambda one: one.newest_id), count=at_most(sum(one.count for one in found[key]), most)
        )
        for key in sorted(found)
    ]
