"""Checks of `server-jobs doctor` in the database: the file, the tables, the schedules, the unfinished jobs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import timedelta

from server_jobs.contract.values import canonical
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.url import is_postgres
from server_jobs.domain.clock import length
from server_jobs.domain.history import WorkerRecord
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.domain.options import ScheduleSource
from server_jobs.domain.record import UNREADABLE, ScheduleRecord
from server_jobs.engine.scheduler import declaration_of
from server_jobs.errors import PrivilegeMissingError, ProjectError, SchemaMissingError, ServerJobsError
from server_jobs.inspection.shell_command import shell_command
from server_jobs.migrations.recorded import Recorded
from server_jobs.registry import JobRegistry
from server_jobs.stores.sql.rows import integer_of, text_of, time_of
from server_jobs.stores.sql.store import SqlStore

from ..console.output import age, local
from ..console.workspace import Workspace
from ..plain_sql import needs_plain_sql, newest_revisions, plain_revisions, recorded
from .durability_checks import check_durability
from .findings import Finding, fail, ok, warn
from .limits_check import check_limits
from .sqlite_checks import check_sqlite
from .vacuum_checks import check_vacuum

# Direct SQL, because no worker needs these counts and the `Store` interface stays small.
# Each part is as the condition of an index, so that no finished job is read.
_UNFINISHED = """
SELECT job_name, spec_version, count(*) AS jobs
  FROM (SELECT job_name, spec_version FROM jobs WHERE status = 'pending' AND concurrency_key IS NULL
         UNION ALL SELECT job_name, spec_version FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
         UNION ALL SELECT job_name, spec_version FROM jobs WHERE status = 'running' AND worker_expires_at IS NOT NULL)
       AS unfinished
 GROUP BY job_name, spec_version ORDER BY job_name, spec_version
"""
_PARKED = f"""
SELECT job_name, count(*) AS jobs FROM jobs
 WHERE status = 'failed' AND substr(error, 1, {len(UNREADABLE)}) = '{UNREADABLE}'
 GROUP BY job_name ORDER BY job_name
"""  # noqa: S608
_DUE = """
SELECT job_name, spec_version, count(*) AS jobs, min(scheduled_for) AS since, {now} AS now
  FROM jobs
 WHERE status = 'pending' AND scheduled_for < {now}
   AND queue NOT IN (SELECT name FROM paused_queues) AND NOT EXISTS (SELECT 1 FROM jobs WHERE status = 'running')
 GROUP BY job_name, spec_version
"""
_UNUSABLE = "jobs cannot be enqueued or run until then"
_LONG_DUE = timedelta(minutes=1)
_MOST_SHOWN = 10
_EXPIRED = "SELECT count(*) AS jobs FROM jobs WHERE status = 'running' AND worker_expires_at < {now}"


async def check_databases(workspace: Workspace) -> AsyncIterator[Finding]:
    """Examine each database: the file, the tables, the schedules and the unfinished jobs."""
    try:
        databases = workspace.databases()
    except ProjectError:
        return  # `check_project` reports it.
    for one in databases:
        async for finding in _check_database(one):
            yield finding


async def _check_database(workspace: Workspace) -> AsyncIterator[Finding]:
    try:
        shown_place = workspace.shown_place
        async with workspace.open_store(only_reads=True) as store:
            yield ok(f"the database {shown_place} answers, and the tables are there")
            if isinstance(store.database, SqliteDatabase):
                async for finding in check_sqlite(store.database):
                    yield finding
            if is_postgres(workspace.url):
                async for finding in check_durability(store.database):
                    yield finding
                async for finding in check_vacuum(store):
                    yield finding
                async for finding in check_limits(store):
                    yield finding
            async for finding in check_revision(workspace, store):
                yield finding
            async for finding in _check_rows(workspace, store):
                yield finding
    except ServerJobsError as error:
        named = workspace.database is not None and workspace.database in workspace.variables
        place = f"database {workspace.database}: " if named else ""
        yield fail(f"{place}{error}", "its jobs cannot be enqueued or run until then" if named else _UNUSABLE)


async def check_revision(workspace: Workspace, store: SqlStore) -> AsyncIterator[Finding]:
    """Compare the revisions that ran in the database with the project's revisions."""
    if workspace.project is None:
        return
    if needs_plain_sql(workspace):
        found, newest = await recorded(store.database), {*newest_revisions(plain_revisions(workspace))}
    else:
        try:
            from ..migrate import newest_heads, recorded_revisions
        except ModuleNotFoundError as error:
            yield ok(f"{error.name} is not installed here: the revision of the tables is not checked")
            return
        try:
            found, newest = recorded_revisions(workspace), newest_heads(workspace)
        except PrivilegeMissingError as error:
            yield warn(f"the revision of the tables is not checked: {error}", "workers do not need this privilege")
            return
    if found.revisions == newest:
        yield ok(f"the tables are at the newest revision ({_listed(newest) or 'there are none'})")
    elif found.revisions:
        is_elsewhere = found.is_run_by_application
        runs = "`alembic upgrade heads` in the application" if is_elsewhere else f"`{SchemaMissingError.command}`"
        yield fail(
            f"the tables are at {_listed(found.revisions)}, and the newest is {_listed(newest) or 'none'}",
            f"run {runs}",
        )
    elif needs_plain_sql(workspace):
        yield warn(
            "no revision of the tables is recorded, so it is unknown whether they are up to date",
            "continue with the plain SQL that made them, or run `server-jobs migrate` on a new database",
        )
    else:
        yield _check_foreign_tables(workspace, found)


def _check_foreign_tables(workspace: Workspace, found: Recorded) -> Finding:
    """Check tables that an application's revisions or plain SQL created."""
    from ..migrate import missing_in_tables

    maker = (
        f"the application's revision {_listed(found.of_application)}" if found.of_application else "other migrations"
    )
    if missing := missing_in_tables(workspace):
        return fail(
            f"the tables were made by {maker}, and lack {', '.join(missing)}",
            "add it there, for example with `alembic revision --autogenerate` and `alembic upgrade head` in the "
            "application",
        )
    return ok(f"the tables were made by {maker}, and lack nothing")


def _listed(revisions: Iterable[str]) -> str:
    return ", ".join(sorted(revisions))


async def _check_rows(workspace: Workspace, store: SqlStore) -> AsyncIterator[Finding]:
    ((expired,),) = await store.database.run((Statement(_EXPIRED.format(now=store.database.now), writes=False), {}))
    if expired["jobs"]:
        yield warn(
            f"{expired['jobs']} running jobs have an expired lease: their worker died, and no other one runs",
            "start a worker, or run `server-jobs tick`",
        )
    async for finding in _check_workers(store):
        yield finding
    (parked,) = await store.database.run((Statement(_PARKED, writes=False), {}))
    for row in parked:
        yield warn(
            f"{row['jobs']} jobs {text_of(row['job_name'])} are parked: their params cannot be read",
            f"{shell_command('repair --all', text_of(row['job_name']))} requeues jobs that can be read now, and prints "
            "the problems of the others",
        )
    for queue in await store.paused_queues():
        yield warn(
            f"the queue {queue.name} is paused since {local(queue.paused_at)}",
            f"{shell_command('resume', queue.name)} lets its jobs be claimed again",
        )
    try:
        registry = workspace.registry
    except ServerJobsError:
        return  # `check_project` reports it.
    for finding in _check_schedules(workspace, registry, await store.list_schedules()):
        yield finding
    (due,) = await store.database.run((Statement(_DUE.format(now=store.database.now), writes=False), {}))
    for finding in _check_due(registry, due):
        yield finding
    (rows,) = await store.database.run((Statement(_UNFINISHED, writes=False), {}))
    # A role that inserts rows can invent any number of names: registered names come first, and the list is short.
    rows = sorted(rows, key=lambda row: registry.get(str(row["job_name"])) is None)
    waiting = [
        finding
        for row in rows
        for finding in _check_unfinished(registry, str(row["job_name"]), integer_of(row["spec_version"]), row["jobs"])
    ]
    for finding in waiting[:_MOST_SHOWN]:
        yield finding
    if left := len(waiting[_MOST_SHOWN:]):
        yield warn(
            f"{left} more names and versions of unfinished jobs are known to no worker of this release",
            "`server-jobs list --status pending` shows the jobs",
        )


async def _check_workers(store: SqlStore) -> AsyncIterator[Finding]:
    """Report the workers and the last tick, and the workers that died with the jobs that they held."""
    every = await store.workers()
    for finding in _check_ticks(every):
        yield finding
    found = [worker for worker in every if not worker.report.is_tick]
    alive = [worker for worker in found if worker.is_alive]
    if alive:
        running, slots = sum(one.running for one in alive), sum(one.report.concurrency for one in alive)
        yield ok(f"{len(alive)} workers are alive, and run {running} jobs in {slots} slots")
    for worker in found:
        if worker.is_alive:
            continue
        report, held = worker.report, await store.held_jobs(worker.report.id)
        shown = ", ".join(held[:_MOST_SHOWN]) + (f" and {len(held) - _MOST_SHOWN} more" if held[_MOST_SHOWN:] else "")
        yield warn(
            f"the worker {report.id} on {report.host}, process {report.pid}, died, and was seen last "
            f"{age(worker.last_seen_at)}; it held {shown or 'no jobs'}",
            "a lease that expires makes its job pending again; `server-jobs show ID` has the attempts. A dead worker "
            "is forgotten after a week",
        )


def _check_ticks(every: Sequence[WorkerRecord]) -> Iterator[Finding]:
    """Report the last tick. That ticks stopped is no problem while workers live: somebody may have run one by hand."""
    ticks = [worker for worker in every if worker.report.is_tick]
    if not ticks:
        return
    last = max(ticks, key=lambda one: one.last_seen_at)
    text = f"the last tick reported {age(last.last_seen_at)}, on {last.report.host}"
    if any(tick.is_alive for tick in ticks):
        yield ok(text)
    elif not any(worker.is_alive for worker in every):
        yield warn(f"no worker is alive, and {text}", "check the timer that runs `server-jobs tick`, or start a worker")


def _check_due(registry: JobRegistry, rows: Iterable[Row]) -> Iterator[Finding]:
    """Report due jobs that no worker runs, although no limit blocks them."""
    known = {(job.name, job.version) for job in registry.known_jobs() if job.rate is None}
    due = [row for row in rows if (text_of(row["job_name"]), integer_of(row["spec_version"])) in known]
    waits = [now - since for row in due if (now := time_of(row["now"])) and (since := time_of(row["since"]))]
    if waits and max(waits) > _LONG_DUE:
        count = sum(integer_of(row["jobs"]) for row in due)
        yield warn(
            f"{count} jobs are due, the first of them for {length(max(waits))}, and no job is running",
            "start a worker: `server-jobs worker`",
        )


def _check_unfinished(registry: JobRegistry, name: str, version: int, count: object) -> Iterator[Finding]:
    jobs, are = ("job", "is") if count == 1 else ("jobs", "are")
    job = registry.get(name)
    if job is None:
        yield warn(
            f"{count} unfinished {jobs} {are} called {name!r}, and no such job is registered here",
            "start a worker that knows it, or cancel them",
        )
        return
    versions = registry.versions_of(job)
    if version in versions.readable:
        return
    if any(version <= stub for stub in versions.stubs):
        advice = "implement it, and start the workers again"
    else:
        advice = f"start a worker of a release that has version {version}, or cancel them"
    yield warn(
        f"{count} unfinished {jobs} {name} {are} of version {version}, and {versions.unknown_reason(version)}", advice
    )


def _check_schedules(
    workspace: Workspace, registry: JobRegistry, records: Iterable[ScheduleRecord]
) -> Iterator[Finding]:
    stored = {record.id: record for record in records}
    declarations = [declaration_of(one.job) for one in registry.registrations()]
    routing = None if workspace.name is None else registry.routing
    declared = {
        schedule.id: schedule
        for one in declarations
        for schedule in one.schedules
        if routing is None or routing.name_of(schedule.shard_key) == workspace.name
    }
    wrong = 0
    for schedule in declared.values():
        record = stored.get(schedule.id)
        if record is None or not _is_equal(schedule, record):
            wrong += 1
            what = "is not in the database" if record is None else "is not the same in the database"
            stores = "start a worker, which stores it"
            if routing is None:
                yield fail(f"the schedule {schedule.label} {what}", f"run `{SchemaMissingError.command}`, or {stores}")
            else:  # migrations store no schedules if the project names its databases
                yield warn(f"the schedule {schedule.label} {what}", stores)
    for record in stored.values():
        is_expected = record.id in declared or record.source == ScheduleSource.ADDED
        if record.enabled and not is_expected and registry.has(record.job_name):
            yield warn(
                f"the schedule {record.label} is no longer declared, but still fires",
                f"run `{SchemaMissingError.command}`, or "
                f"{shell_command('schedules pause', record.job_name, record.name)}",
            )
    if declared and not wrong:
        yield ok(f"{len(declared)} declared schedules are in the database")


def _is_equal(schedule: ScheduleRecord, record: ScheduleRecord) -> bool:
    rule = (schedule.cron_expression, schedule.timezone, schedule.misfire, schedule.misfire_limit)
    stored = (record.cron_expression, record.timezone, record.misfire, record.misfire_limit)
    return rule == stored and _same_json(schedule.params, record.params)


def _same_json(one: str, other: str) -> bool:
    try:
        return canonical(json.loads(one)) == canonical(json.loads(other))
    except (ValueError, RecursionError):
        return one == other
