"""`server-jobs show`: everything about one job."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
from rich.console import Console
from rich.text import Text
from server_jobs.domain.record import JobRecord, JobStatus
from server_jobs.engine.job_document import ShownParams, job_document, parsed, shown_params
from server_jobs.errors import JobNotFoundError, ServerJobsError

from ..console.job_table import status_text, took
from ..console.output import one_line, print_json, printable, stdout_console
from ..console.times import age, length, local
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--reveal", is_flag=True, help="Show all params, also those that the spec says to hide.")
@with_workspace
@json_option
def show(workspace: Workspace, *, job_id: str, reveal: bool, as_json: bool) -> None:
    """Show everything about the job ID: status, times, params, result, error.

    Values that the spec lists under `redact` are hidden, and so are all params of a job that is not registered here.

    \b
    Examples:
      server-jobs show 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs show 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de --json | jq .result

    Exit status: 0 done, 1 there is no such job, 2 wrong usage, 3 project or database cannot be used.
    """
    record = run(_get(workspace, job_id))
    params = ShownParams(record.params) if reveal else _shown_params(record, workspace)
    if as_json:
        print_json({**job_document(record), "params": parsed(params.text), "params_hidden": params.reason})
    else:
        _print(record, params, _why_waiting(record, workspace))


async def _get(workspace: Workspace, job_id: str) -> JobRecord:
    async with workspace.open_store(only_reads=True) as store:
        record = await store.get(job_id)
    if record is None:
        raise JobNotFoundError(job_id)
    return record


def _shown_params(record: JobRecord, workspace: Workspace) -> ShownParams:
    try:
        return shown_params(record, workspace.registry)
    except ServerJobsError as error:
        return ShownParams(None, f"the registry, which says what of them is secret, cannot be used: {error}")


def _why_waiting(record: JobRecord, workspace: Workspace) -> str | None:
    """Why no worker of this project claims a pending job; None if one would."""
    if record.status is not JobStatus.PENDING:
        return None
    try:
        return workspace.registry.why_waiting(record.job_name, record.spec_version)
    except ServerJobsError:
        return None


def _print(record: JobRecord, params: ShownParams, waits: str | None) -> None:
    console = stdout_console()
    title = [Text(one_line(record.job_name), style="bold"), Text(one_line(record.id)), status_text(record)]
    console.print(Text("  ").join(title))
    if waits is not None:
        console.print(Text(f"  {'waits for':<12} a worker that knows this version: {one_line(waits)}"), soft_wrap=True)
    for name, value in _facts(record):
        console.print(Text(f"  {name:<12} {one_line(value)}"), soft_wrap=True)
    _print_part(
        console, "params", _pretty(params.text) if params.text else f"hidden, --reveal shows them: {params.reason}"
    )
    if record.result is not None:
        _print_part(console, "result", _pretty(record.result))
    if record.error is not None:
        _print_part(console, "error", record.error)
    if record.is_parked:
        console.print(Text("It is kept until it can be read: see `server-jobs repair --help`.", style="dim"))


def _facts(record: JobRecord) -> Iterator[tuple[str, str]]:
    yield "queue", f"{record.queue}, priority {record.priority}"
    yield "version", str(record.spec_version)
    yield "attempts", f"{record.attempt_count} of {record.max_attempts}"
    yield "progress", f"{record.progress}%  {record.progress_message or ''}".rstrip()
    yield "created", f"{local(record.created_at)}  {age(record.created_at)}"
    if record.scheduled_for is not None:
        yield "due", f"{local(record.scheduled_for)}  {age(record.scheduled_for)}"
    if record.worker_started_at is not None:
        yield "started", local(record.worker_started_at)
    if record.status is JobStatus.RUNNING and record.worker_expires_at is not None:
        yield "lease until", f"{local(record.worker_expires_at)}  {age(record.worker_expires_at)}"
    if record.completed_at is not None:
        yield "finished", local(record.completed_at)
    if (duration := took(record)) is not None:
        yield "took", length(duration)
    if record.cancel_requested:
        yield "cancel", "requested"
    if record.correlation_id is not None:
        yield "correlation", record.correlation_id
    if record.unique_key is not None:
        yield "unique key", record.unique_key


def _print_part(console: Console, title: str, text: str) -> None:
    console.print(Text(title, style="bold"))
    for line in printable(text).splitlines():
        console.print(Text(f"  {line}"), soft_wrap=True)


def _pretty(text: str) -> str:
    value = parsed(text)
    return text if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
