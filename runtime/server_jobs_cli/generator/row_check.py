"""What the jobs of this registry make of the rows in a database: which of them they could not read. Changes nothing.

Needs no generator: `server-jobs check --database` calls it, and so may a machine that only runs workers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from server_jobs.domain.ids import schedule_id
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.domain.record import ScheduleRecord
from server_jobs.errors import InvalidDocumentError, UpcastError
from server_jobs.registry import JobRegistry
from server_jobs.stores.rows import integer_of, text_of
from server_jobs.stores.sql import SqlStore
from server_jobs.stores.statements import PARKED

PAGE = 500
SHOWN = 5

_ROWS = f"""
SELECT id, job_name, spec_version, params, CASE status WHEN 'failed' THEN 'parked' ELSE status END AS state FROM jobs
 WHERE id > :after AND (status IN ('pending', 'running') OR {PARKED}) ORDER BY id LIMIT :limit
"""  # noqa: S608
_RETRYABLE = f"""
SELECT job_name, spec_version, count(*) AS jobs FROM jobs
 WHERE status IN ('failed', 'cancelled') AND NOT {PARKED} GROUP BY job_name, spec_version
"""  # noqa: S608


class State(StrEnum):
    """Where a row is that is to be run: parked ones are to be read once more."""

    PENDING = "pending"
    RUNNING = "running"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that could not be read, and why; nothing that its spec redacts is shown."""

    id: str
    reason: str


@dataclass(slots=True, kw_only=True)
class VersionRows:
    """The rows of one version of one job: how many there are, and how many would be refused.

    `waits` says why no worker of this code claims them; None: they are claimed. `retryable` counts those that failed or
    were cancelled, which somebody may retry.
    """

    job_name: str
    version: int
    waits: str | None = None
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    refused: int = 0
    examples: list[Refusal] = field(default_factory=list[Refusal])
    retryable: int = 0

    @property
    def count(self) -> int:
        """How many rows are to be run."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class RefusedSchedule:
    """A stored schedule whose params its job refuses; `is_declared`: the next `server-jobs migrate` replaces them."""

    id: str
    name: str
    reason: str
    is_declared: bool


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What was found, by job name and version."""

    versions: tuple[VersionRows, ...]
    schedules: tuple[RefusedSchedule, ...]

    @property
    def has_refusals(self) -> bool:
        """Whether a row would be parked, or a schedule could not fire, once workers run this code."""
        schedules = any(not schedule.is_declared for schedule in self.schedules)
        return schedules or any(rows.refused for rows in self.versions)

    def rows_of(self, job_name: str, version: int) -> VersionRows:
        """The rows of that version; without any, a count of zero."""
        found = (rows for rows in self.versions if (rows.job_name, rows.version) == (job_name, version))
        return next(found, VersionRows(job_name=job_name, version=version))


async def check_queue(store: SqlStore, registry: JobRegistry, *, page: int = PAGE, shown: int = SHOWN) -> QueueReport:
    """Read every row that is to be run as a worker with this registry would, `page` at a time.

    Calls the upcasters of the registry, and none of its handlers. `shown` is the most examples kept for a version.
    """
    found: dict[tuple[str, int], VersionRows] = {}
    async for row in _rows(store, page):
        rows = _place_of(row, found, registry)
        rows.states[State(text_of(row["state"]))] += 1
        if rows.waits is None and (reason := _reason(row, registry)) is not None:
            rows.refused += 1
            if len(rows.examples) < shown:
                rows.examples.append(Refusal(text_of(row["id"]), reason))
    (retryable,) = await store.database.run((Statement(_RETRYABLE, writes=False), {}))
    for row in retryable:
        _place_of(row, found, registry).retryable = integer_of(row["jobs"])
    schedules = tuple(_refused_schedules(registry, await store.list_schedules()))
    return QueueReport(tuple(found[key] for key in sorted(found)), schedules)


async def _rows(store: SqlStore, page: int) -> AsyncIterator[Row]:
    statement, after = Statement(_ROWS, writes=False), ""
    while True:
        (rows,) = await store.database.run((statement, {"after": after, "limit": page}))
        for row in rows:
            yield row
        if len(rows) < page:
            return
        after = text_of(rows[-1]["id"])


def _place_of(row: Row, found: dict[tuple[str, int], VersionRows], registry: JobRegistry) -> VersionRows:
    key = text_of(row["job_name"]), integer_of(row["spec_version"])
    if key not in found:
        found[key] = VersionRows(job_name=key[0], version=key[1], waits=registry.why_waiting(*key))
    return found[key]


def _reason(row: Row, registry: JobRegistry) -> str | None:
    versions = registry.find(text_of(row["job_name"])).versions
    refusal = versions.refusal(text_of(row["params"]), integer_of(row["spec_version"]))
    return None if refusal is None else _said(refusal)


def _said(refusal: Exception) -> str:
    match refusal:
        case InvalidDocumentError(problems=problems):
            return "; ".join(map(str, problems))
        case UpcastError(reason=reason):
            return reason
        case _:
            return f"{type(refusal).__name__}: {refusal}"


def _refused_schedules(registry: JobRegistry, stored: Sequence[ScheduleRecord]) -> Iterator[RefusedSchedule]:
    declared = {
        schedule_id(registration.job.job_name, schedule.name)
        for registration in registry.registrations()
        for schedule in registration.job.schedules
    }
    for record in stored:
        job = registry.get(record.job_name)
        if job is None or not record.enabled:
            continue
        try:
            job.new_job(json.loads(record.params))
        except Exception as error:  # noqa: BLE001  a row may hold anything, and a validator may raise anything
            name = f"{record.job_name}/{record.name}"
            yield RefusedSchedule(record.id, name, _said(error), record.id in declared)
