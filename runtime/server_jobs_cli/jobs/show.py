"""`server-jobs show`: everything about a stored job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich.text import Text
from server_jobs.domain.clock import length
from server_jobs.domain.history import AttemptRecord
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JOB_COLUMNS, JobRecord, JobStatus, Shown
from server_jobs.inspection.history_document import attempt_document
from server_jobs.inspection.job_document import ShownParams, job_document, parsed, shown_params
from server_jobs.inspection.why import Reason, why
from server_jobs.registry import JobRegistry

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import age, local, one_line, print_json, printable, stdout_console
from ..console.workspace import Workspace
from .list_jobs import status_of, took_of
from .why_and_workers import line_of, registry_or_none

if TYPE_CHECKING:
    from rich.console import Console

_ELSEWHERE = frozenset(
    {
        *("id", "job_name", "status", "params", "result", "error"),  # above and below the facts
        *("priority", "max_attempts", "progress_message", "updated_at"),  # part of other facts, or of no use
    }
)


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
    title = [Text(one_line(record.job_name), style="bold"), Text(one_line(record.id)), status_of(record)]
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
    took = took_of(record)
    facts = {
        "queue": f"{record.queue}, priority {record.priority}",
        "spec_version": str(record.spec_version),
        "attempt_count": f"{record.attempt_count} of {record.max_attempts}",
        "progress": f"{record.progress}%  {record.progress_message or ''}".rstrip(),
        "created_at": _time(record.created_at, with_age=True),
        "scheduled_for": "after its batch" if record.waits_for_batch else _time(record.scheduled_for, with_age=True),
        "start_before": _time(record.start_before, with_age=True),
        "worker_started_at": _time(record.worker_started_at),
        "worker_expires_at": _time(leased_until, with_age=True),
        "worker_id": record.worker_id,
        "completed_at": _time(record.completed_at),
        "took": None if took is None else length(took),
        "cancel_requested": "requested" if record.cancel_requested else None,
        "correlation_id": record.correlation_id,
        "batch_id": record.batch_id,
        "unique_key": record.unique_key,
        "replaced_by": record.replaced_by,
    }
    others = (one.name for one in JOB_COLUMNS.values() if one.shown is not Shown.NOWHERE and one.name not in _ELSEWHERE)
    facts |= {name: _plain(getattr(record, name)) for name in others if name not in facts}
    labels = {name: JOB_COLUMNS[name].label if name in JOB_COLUMNS else name for name in facts}
    return {labels[name]: value for name, value in facts.items() if value is not None}


def _plain(value: object) -> str | None:
    return _time(value) if isinstance(value, datetime) else None if value is None else str(value)


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
