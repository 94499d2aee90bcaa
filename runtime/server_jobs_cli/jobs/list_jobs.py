"""`server-jobs list`: stored jobs, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from rich.text import Text
from server_jobs.domain.clock import length
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobFilter, JobQuery, JobRecord, JobStatus, PausedQueue
from server_jobs.domain.search import FindStep
from server_jobs.inspection.job_document import job_document

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import (
    age,
    last_cell,
    note,
    one_line,
    plain_table,
    print_json,
    stdout_console,
)
from ..console.workspace import Workspace
from .job_filter import FilterCommand, FilterOptions, filter_options
from .queues import note_paused

_WIDE = 120
_NOTE_CHARACTERS = 200
_STATUS_STYLES = {
    JobStatus.PENDING: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "bright_black",
}


@click.command(cls=FilterCommand)
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many at most.")
@click.option("--before", metavar="ID", help="Continue after this job, the last one of the previous page.")
@with_workspace
@filter_options()
@json_option
def list_jobs(workspace: Workspace, *, options: FilterOptions, limit: int, before: str | None, as_json: bool) -> None:
    """List stored jobs, newest first. Params are not shown: see `server-jobs show`.

    \b
    Examples:
      server-jobs list --status failed
      server-jobs list --parked
      server-jobs list --job SendEmail --limit 10
      server-jobs list --where params.customerId=42 --newer-than 1d

    Exit status: 0 done, 2 wrong usage, 3 project or database cannot be used.
    """
    wanted = options.filter(workspace)

    async def read(store: Store) -> tuple[Sequence[JobRecord], Sequence[PausedQueue]]:
        return await _page(store, wanted, before, limit), await store.paused_queues()

    records, paused = workspace.with_store(read, only_reads=True)
    if as_json:
        print_json([job_document(record) for record in records])
        return
    if records:
        _print_jobs(records)
    else:
        note("no jobs")
    if len(records) == limit:
        note(f"there may be more: add --before {records[-1].id}")
    note_paused(paused)


async def _page(store: Store, wanted: JobFilter, before: str | None, limit: int) -> Sequence[JobRecord]:
    """Return a page of jobs. With conditions on their documents, scan until the page is full."""
    if not wanted.where:
        return await store.list_jobs(JobQuery.of(wanted, before=before, limit=limit))
    records: list[JobRecord] = []
    after: str | None = before or ""
    while after is not None and len(records) < limit:
        found = await store.find(FindStep(filter=wanted, after=after, newest_first=True))
        ids = tuple(job.id for job in found.jobs if job.is_readable)[: limit - len(records)]
        if ids:
            records += await store.list_jobs(JobQuery(ids=ids, before=after or None, limit=len(ids)))
        after = found.after
    return records


def _print_jobs(records: Sequence[JobRecord]) -> None:
    """Print a table, or two lines for each job on a narrow terminal."""
    console = stdout_console()
    if console.width >= _WIDE:
        table = plain_table("id", "job", "status", "progress", "attempts", "created", "took", "result or error")
        for record in records:
            table.add_row(*_heading(record), *_figures(record), _remark(record))
        console.print(table)
        return
    for record in records:
        console.print(Text("  ").join(_heading(record)))
        line = Text("  ").join([*(figure for figure in _figures(record) if figure), _remark(record)])
        line.truncate(console.width - 4, overflow="ellipsis")
        console.print(Text("    ") + line)


def _heading(record: JobRecord) -> tuple[Text, Text, Text]:
    return Text(one_line(record.id)), Text(one_line(record.job_name, 40)), status_of(record)


def status_of(record: JobRecord) -> Text:
    """Return the status in its colour. The status of a parked job is `parked`."""
    return Text("parked" if record.is_parked else record.status, style=_STATUS_STYLES[record.status])


def _figures(record: JobRecord) -> list[Text]:
    took = took_of(record)
    return [
        Text(f"{record.progress}%"),
        Text(f"{record.attempt_count}/{record.max_attempts}"),
        Text(age(record.created_at)),
        Text("" if took is None else length(took)),
    ]


def took_of(record: JobRecord) -> timedelta | None:
    """Return how long the last attempt took, or has run until now; None for a job that never started."""
    if record.worker_started_at is None:
        return None
    if record.status is JobStatus.RUNNING:
        return max(timedelta(0), datetime.now(UTC) - record.worker_started_at)
    return None if record.completed_at is None else record.completed_at - record.worker_started_at


def _remark(record: JobRecord) -> Text:
    match record.status:
        case JobStatus.COMPLETED:
            remark = "" if record.result == "null" else record.result
        case JobStatus.RUNNING:
            remark = record.progress_message
        case JobStatus.PENDING if record.scheduled_for > (now := datetime.now(UTC)):
            due = f"due in {length(record.scheduled_for - now)}"
            remark = f"{due}: {record.error}" if record.error else due
        case _:
            remark = record.error
    return last_cell((remark or "")[:_NOTE_CHARACTERS])
