"""Put the rows of statistics together: a state for each queue and name, and a group for each class of error."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...domain.interfaces import Row
from ...domain.record.reports import Counts
from ...domain.statistics import EnqueuedCount, FailureGroup, MinuteCounts, QueueState, at_most
from .parameters import EPOCH
from .rows import integer_of, text_of, text_or_none, time_of

_UNFINISHED = ("due", "scheduled", "running")
_FAILED = ("failed", "parked")


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


def failure_group_of(row: Row) -> FailureGroup:
    """Return the group of failures of a row."""
    return FailureGroup(
        job_name=text_of(row["job_name"]),
        error_class=text_or_none(row["error_class"]),
        count=integer_of(row["count"]),
        newest_id=text_of(row["newest_id"]),
        error=text_or_none(row["error"]),
        failed_at=time_of(row["failed_at"]),
    )


def enqueued_count_of(row: Row) -> EnqueuedCount:
    """Return the count of a row."""
    return EnqueuedCount(text_of(row["queue"]), text_of(row["job_name"]), integer_of(row["count"]))


def minute_counts_of(row: Row) -> MinuteCounts:
    """Return the counts of a row. The row of 1970 has the totals."""
    minute = time_of(row["minute"])
    counts = Counts(integer_of(row["completed"]), integer_of(row["failed"]), integer_of(row["retried"]))
    return MinuteCounts(None if minute == EPOCH else minute, text_of(row["queue"]), text_of(row["job_name"]), counts)
