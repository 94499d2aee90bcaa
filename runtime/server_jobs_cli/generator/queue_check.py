"""`server-jobs check --database`: stored jobs that workers of the current specs could not read. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from server_jobs.domain.ids import schedule_id
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.domain.record import ScheduleRecord
from server_jobs.errors import InvalidDocumentError, UpcastError
from server_jobs.project import Project
from server_jobs.registry import JobRegistry
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.rows import integer_of, text_of
from server_jobs.stores.sql.store import SqlStore
from server_jobs_generator.contracts.contract import Status
from server_jobs_generator.contracts.lock_file import Lock, read_lock
from server_jobs_generator.plan import Plan

from ..console.workspace import Workspace, run
from .planned_modules import planned_modules

PAGE = 500
SHOWN = 5

PARKED = statements_of("sqlite").fragments["parked"]

_ROWS = f"""
SELECT id, job_name, spec_version, params, CASE status WHEN 'failed' THEN 'parked' ELSE status END AS state FROM jobs
 WHERE id > :after AND (status IN ('pending', 'running') OR {PARKED}) ORDER BY id LIMIT :limit
"""  # noqa: S608
_RETRYABLE = f"""
SELECT job_name, spec_version, count(*) AS jobs FROM jobs
 WHERE status IN ('failed', 'cancelled') AND NOT {PARKED} GROUP BY job_name, spec_version
"""  # noqa: S608


class State(StrEnum):
    """The state of a row to run. Parked rows count, because they are read again."""

    PENDING = "pending"
    RUNNING = "running"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that cannot be read, with the reason. Redacted values are hidden."""

    id: str
    reason: str


@dataclass(slots=True, kw_only=True)
class VersionRows:
    """The rows of one version of a job, and how many of them are rejected.

    `waits` is the reason why no worker of this code claims them, or None. `retryable` counts failed and cancelled jobs,
    which a user may retry.
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
        """Return the number of rows to run."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class RefusedSchedule:
    """A stored schedule with params that cannot be read.

    If `is_declared`, the next `server-jobs migrate` replaces them.
    """

    id: str
    name: str
    reason: str
    is_declared: bool


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The findings by job name and version."""

    versions: tuple[VersionRows, ...]
    schedules: tuple[RefusedSchedule, ...]

    @property
    def has_refusals(self) -> bool:
        """Return whether workers of this code would park a row or could not fire a schedule."""
        schedules = any(not schedule.is_declared for schedule in self.schedules)
        return schedules or any(rows.refused for rows in self.versions)

    def rows_of(self, job_name: str, version: int) -> VersionRows:
        """Return the rows of a version, with a count of zero if there are none."""
        found = (rows for rows in self.versions if (rows.job_name, rows.version) == (job_name, version))
        return next(found, VersionRows(job_name=job_name, version=version))


async def check_queue(
    stores: Sequence[SqlStore], registry: JobRegistry, *, page: int = PAGE, shown: int = SHOWN
) -> QueueReport:
    """Read every unfinished and parked row as a worker with this registry would, `page` rows at a time.

    `stores` are the databases of the project. Calls the upcasters of the registry but no handler. Keeps at most `shown`
    examples for each version.
    """
    found: dict[tuple[str, int], VersionRows] = {}
    schedules: dict[str, RefusedSchedule] = {}
    for store in stores:
        async for row in _rows(store, page):
            rows = _place_of(row, found, registry)
            rows.states[State(text_of(row["state"]))] += 1
            if rows.waits is None and (reason := _reason(row, registry)) is not None:
                rows.refused += 1
                if len(rows.examples) < shown:
                    rows.examples.append(Refusal(text_of(row["id"]), reason))
        (retryable,) = await store.database.run((Statement(_RETRYABLE, writes=False), {}))
        for row in retryable:
            _place_of(row, found, registry).retryable += integer_of(row["jobs"])
        schedules |= {one.id: one for one in _refused_schedules(registry, await store.list_schedules())}
    return QueueReport(tuple(found[key] for key in sorted(found)), tuple(schedules.values()))


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
        found[key] = VersionRows(job_name=key[0], version=key[1], waits=registry.waiting_reason(*key))
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
            job.scheduled_job(record, registry.versions_of(job))
        except Exception as error:  # noqa: BLE001  a row may contain anything, and a validator may raise anything
            name = f"{record.job_name}/{record.name}"
            yield RefusedSchedule(record.id, name, _said(error), record.id in declared)


@dataclass(frozen=True, slots=True)
class QueueFindings:
    """The rows of the database with this URL (without a password), and the versions in the lock.

    `url` has the names of several databases. `is_partial` if the project has others. `is_planned` if the rows were read
    with code that is not generated yet.
    """

    url: str
    report: QueueReport
    lock: Lock
    is_planned: bool = False
    is_partial: bool = False

    @property
    def is_refused(self) -> bool:
        """Return whether a row or a schedule could not be read by workers of this code."""
        return self.report.has_refusals

    def document(self) -> dict[str, object]:
        """Return the findings as JSON."""
        return {
            "url": self.url,
            "refused": sum(rows.refused for rows in self.report.versions),
            "versions": [{**asdict(rows), "count": rows.count} for rows in self.report.versions],
            "schedules": [asdict(schedule) for schedule in self.report.schedules],
            "retired": {name: sum(rows.count for rows in self._of(name)) for name in self._retired()},
            "no_longer_needed": [f"{name}:{version}" for name, version in self._no_longer_needed()],
        }

    def lines(self) -> Iterator[str]:
        """Yield a line for each version that has rows, the first rejected rows, and advice about unused versions."""
        total = sum(rows.count for rows in self.report.versions)
        refused = sum(rows.refused for rows in self.report.versions)
        planned = " by the specs as they are now, which are not generated yet" if self.is_planned else ""
        yield f"{self.url}: {total:,} unfinished, {refused:,} of them unreadable{planned}"
        for rows in self.report.versions:
            if rows.count:
                yield from _version_lines(rows)
        for schedule in self.report.schedules:
            yield _schedule_line(schedule)
        for name in self._retired():
            left = sum(rows.count for rows in self._of(name))
            jobs = f"{left:,} jobs of it are left" if left else "no job of it is left"
            yield f"note: {name} is retired, and {jobs}"
        for name, version in self._no_longer_needed():
            yield (
                f"note: no job {name} of version {version} is left; "
                f"`server-jobs generate --forget {name}:{version}` removes what was kept for it"
            )

    def _of(self, job_name: str) -> list[VersionRows]:
        return [rows for rows in self.report.versions if rows.job_name == job_name]

    def _retired(self) -> list[str]:
        return sorted(name for name, job in self.lock.jobs.items() if job.status is Status.RETIRED)

    def _no_longer_needed(self) -> Iterator[tuple[str, int]]:
        """Yield old versions without rows, if no version before them has rows either.

        Rows are upcast version by version, so a version is needed while an older version has rows.
        """
        for name, job in [] if self.is_partial else sorted(self.lock.jobs.items()):
            needed = [rows.version for rows in self._of(name) if rows.count or rows.retryable]
            oldest = min([*needed, job.newest])
            yield from ((name, version) for version in sorted(job.versions) if version < oldest)


def check_database(project: Project, folder: Path, database: str | None, plan: Plan) -> QueueFindings:
    """Read the queue with the code that the plan would generate, even if it may not be written.

    `database` is a name or a URL; None: all databases of the project. Raises `DatabaseError`, or `ProjectError` if the
    import fails.
    """
    workspace = Workspace(folder=folder, database=database)
    with planned_modules(project, plan):
        databases, registry = workspace.databases(), workspace.registry
        report = run(_report(databases, registry))
    return QueueFindings(
        databases[0].shown_url if len(databases) == 1 else ", ".join(str(one.name) for one in databases),
        report,
        read_lock(project),
        is_planned=bool(plan.findings),
        is_partial=len(databases) < len(project.databases),
    )


async def _report(databases: Sequence[Workspace], registry: JobRegistry) -> QueueReport:
    async with AsyncExitStack() as opened:
        stores = [await opened.enter_async_context(one.open_store(only_reads=True)) for one in databases]
        return await check_queue(stores, registry)


def _version_lines(rows: VersionRows) -> Iterator[str]:
    states = ", ".join(f"{rows.states[state]:,} {state}" for state in State if rows.states[state])
    version = f"{rows.job_name} version {rows.version}: {rows.count:,} jobs ({states})"
    if rows.waits is not None:
        yield f"warn  {version} wait for a worker that knows them: {rows.waits}"
    elif not rows.refused:
        yield f"ok    {version} can be read"
    else:
        yield f"fail  {version}, and {rows.refused:,} of them could not be read:"
        yield from (f"      {example.id}  {example.reason}" for example in rows.examples)
        if rows.refused > len(rows.examples):
            yield f"      and {rows.refused - len(rows.examples):,} more"


def _schedule_line(schedule: RefusedSchedule) -> str:
    if schedule.is_declared:
        return f"warn  the schedule {schedule.name} has params of before `server-jobs migrate`: {schedule.reason}"
    return f"fail  the schedule {schedule.name} could not fire: {schedule.reason}; change it or remove it"
