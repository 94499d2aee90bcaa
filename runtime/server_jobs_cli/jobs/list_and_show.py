"""`server-jobs list` and `show`: stored jobs, newest first, and everything about one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.text import Text
from server_jobs.domain.clock import length
from server_jobs.domain.history import AttemptRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobFilter, JobQuery, JobRecord, JobStatus, PausedQueue
from server_jobs.domain.search import FindStep
from server_jobs.inspection.history_document import attempt_document
from server_jobs.inspection.job_document import ShownParams, job_document, parsed, shown_params
from server_jobs.inspection.why import Reason, why
from server_jobs.registry import JobRegistry

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import (
    age,
    last_cell,
    local,
    note,
    one_line,
    plain_table,
    print_json,
    printable,
    stdout_console,
)
from ..console.workspace import Workspace
from .job_filter import FilterCommand, FilterOptions, filter_options
from .queues import note_paused
from .why_and_workers import line_of, registry_or_none

if TYPE_CHECKING:
    from rich.console import Console

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
    return Text(one_line(record.id)), Text(one_line(record.job_name, 40)), _status(record)


def _status(record: JobRecord) -> Text:
    """Return the status in its colour. The status of a parked job is `parked`."""
    return Text("parked" if record.is_parked else record.status, style=_STATUS_STYLES[record.status])


def _figures(record: JobRecord) -> list[Text]:
    took = _took(record)
    return [
        Text(f"{record.progress}%"),
        Text(f"{record.attempt_count}/{record.max_attempts}"),
        Text(age(record.created_at)),
        Text("" if took is None else length(took)),
    ]


def _took(record: JobRecord) -> timedelta | None:
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


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show all params, also those that the spec says to hide.")
@with_workspace
@json_option
def show(workspace: Workspace, *, job_id: str, reveal: bool, as_json: bool) -> None:
    """Show everything about the job ID: status, times, params, result, error, failed attempts, and why it waits.

    Values that the spec lists under `redact` are hidden, and so are all params of a job that is not registered here.

    \b
    Examples:
      server-jobs show 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs show 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de --json | jq .result

    Exit status: 0 done, 1 there is no such job, 2 wrong usage, 3 project or database cannot be used.
    """
    registry = registry_or_none(workspace)

    async def read(store: Store) -> tuple[JobRecord, Sequence[Reason], Sequence[AttemptRecord]]:
        record, reasons = await why(store, registry or JobRegistry(), job_id)
        return record, reasons, await store.attempts(job_id)

    record, reasons, attempts = workspace.with_store(read, only_reads=True)
    params = ShownParams(record.params) if reveal else _shown_params(record, registry)
    if as_json:
        document = {
            **job_document(record),
            "params": parsed(params.text),
            "params_hidden": params.reason,
        }
        print_json({**document, "attempts": [attempt_document(attempt) for attempt in attempts]})
    else:
        _print_job(record, params, reasons if record.status is JobStatus.PENDING else (), attempts)


def _shown_params(record: JobRecord, registry: JobRegistry | None) -> ShownParams:
    if registry is None:
        return ShownParams(None, "the registry, which knows their secret parts, cannot be used")
    return shown_params(record, registry)


def _print_job(
    record: JobRecord,
    params: ShownParams,
    reasons: Sequence[Reason],
    attempts: Sequence[AttemptRecord],
) -> None:
    console = stdout_console()
    title = [Text(one_line(record.job_name), style="bold"), Text(one_line(record.id)), _status(record)]
    console.print(Text("  ").join(title))
    for reason in reasons:
        console.print(Text(f"  {'waits':<12} {one_line(line_of(reason))}"), soft_wrap=True)
    for name, value in _facts(record).items():
        console.print(Text(f"  {name:<12} {one_line(value)}"), soft_wrap=True)
    _print_part(
        console, "params", _pretty(params.text) if params.text else f"hidden, --reveal shows them: {params.reason}"
    )
    if record.result not in (None, "null"):
        _print_part(console, "result", _pretty(record.result))
    if record.error is not None:
        _print_part(console, "error", record.error)
    for attempt in attempts:
        _print_attempt(console, attempt)
    if record.is_parked:
        console.print(Text("It is kept until it can be read: see `server-jobs repair --help`.", style="dim"))


def _print_attempt(console: Console, attempt: AttemptRecord) -> None:
    took = length(attempt.ended_at - attempt.started_at)
    worker = "" if attempt.worker_id is None else f", worker {attempt.worker_id}"
    title = f"attempt {attempt.attempt} {attempt.outcome}, {local(attempt.ended_at)} after {took}{worker}"
    _print_part(console, one_line(title), attempt.traceback or attempt.error or "")


def _facts(record: JobRecord) -> dict[str, str]:
    leased_until = record.worker_expires_at if record.status is JobStatus.RUNNING else None
    took = _took(record)
    facts = {
        "queue": f"{record.queue}, priority {record.priority}",
        "version": str(record.spec_version),
        "attempts": f"{record.attempt_count} of {record.max_attempts}",
        "progress": f"{record.progress}%  {record.progress_message or ''}".rstrip(),
        "created": _time(record.created_at, with_age=True),
        "due": "after its batch" if record.waits_for_batch else _time(record.scheduled_for, with_age=True),
        "start by": _time(record.start_before, with_age=True),
        "started": _time(record.worker_started_at),
        "lease until": _time(leased_until, with_age=True),
        "worker": record.worker_id,
        "finished": _time(record.completed_at),
        "took": None if took is None else length(took),
        "cancel": "requested" if record.cancel_requested else None,
        "correlation": record.correlation_id,
        "batch": record.batch_id,
        "unique key": record.unique_key,
        "replaced by": record.replaced_by,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _time(moment: datetime | None, *, with_age: bool = False) -> str | None:
    if moment is None:
        return None
    return f"{local(moment)}  {age(moment)}" if with_age else local(moment)


def _print_part(console: Console, title: str, text: str) -> None:
    console.print(Text(title, style="bold"))
    for line in printable(text).splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)


def _pretty(text: str) -> str:
    value = parsed(text)
    return text if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
