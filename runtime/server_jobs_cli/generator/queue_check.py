"""`server-jobs check --database`: what the jobs in a database would meet if workers ran what is generated now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from server_jobs.project import Project
from server_jobs_generator.contracts.contract import Status
from server_jobs_generator.contracts.lock.lock_file import Lock, read_lock

from server_jobs_cli.generator.row_check import QueueReport, RefusedSchedule, State, VersionRows, check_queue
from server_jobs_cli.project.running import run
from server_jobs_cli.project.workspace import Workspace


@dataclass(frozen=True, slots=True)
class QueueFindings:
    """The rows as they were read, of the database with this URL (without a password), and what the lock knows."""

    url: str
    report: QueueReport
    lock: Lock

    @property
    def is_refused(self) -> bool:
        """Whether a row or a schedule could not be read by workers of this code."""
        return self.report.has_refusals

    def document(self) -> dict[str, object]:
        """The JSON form."""
        return {
            "url": self.url,
            "refused": sum(rows.refused for rows in self.report.versions),
            "versions": [{**asdict(rows), "count": rows.count} for rows in self.report.versions],
            "schedules": [asdict(schedule) for schedule in self.report.schedules],
            "retired": {name: sum(rows.count for rows in self._of(name)) for name in self._retired()},
            "no_longer_needed": [f"{name}:{version}" for name, version in self._no_longer_needed()],
        }

    def lines(self) -> Iterator[str]:
        """One line for each version that has rows, the first rows that would be refused, and what can be cleared up."""
        total, refused = (sum(each) for each in (self._counts(), (rows.refused for rows in self.report.versions)))
        yield f"{self.url}: {total:,} jobs are to be run; {refused:,} of them could not be read"
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

    def _counts(self) -> Iterator[int]:
        yield from (rows.count for rows in self.report.versions)

    def _of(self, job_name: str) -> list[VersionRows]:
        return [rows for rows in self.report.versions if rows.job_name == job_name]

    def _retired(self) -> list[str]:
        return sorted(name for name, job in self.lock.jobs.items() if job.status is Status.RETIRED)

    def _no_longer_needed(self) -> Iterator[tuple[str, int]]:
        """Versions older than all of which something is left that will be run, or may be retried.

        Rows of a version become new through those behind it.
        """
        for name, job in sorted(self.lock.jobs.items()):
            needed = [rows.version for rows in self._of(name) if rows.count or rows.retryable]
            oldest = min([*needed, job.newest])
            yield from ((name, version) for version in sorted(job.versions) if version < oldest)


def check_database(project: Project, folder: Path, url: str) -> QueueFindings:
    """Read the queue with the registry that is generated. Raises `DatabaseError`, or `ProjectError` for a registry
    that cannot be imported.
    """
    workspace = Workspace(folder=folder, database=url)
    return QueueFindings(workspace.shown_url, run(_checked(workspace)), read_lock(project))


async def _checked(workspace: Workspace) -> QueueReport:
    registry = workspace.registry
    async with workspace.open_store(only_reads=True) as store:
        return await check_queue(store, registry)


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
    return f"fail  the schedule {schedule.name} is in no spec, and could not fire: {schedule.reason}"
