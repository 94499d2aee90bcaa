"""Stored jobs as a table, or on two lines each where a terminal is too narrow for one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.text import Text
from server_jobs.domain.record import JobRecord, JobStatus

from .output import last_cell, one_line, plain_table, stdout_console
from .times import age, length

_WIDE = 120
_NOTE_CHARACTERS = 200

STATUS_STYLES = {
    JobStatus.PENDING: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "bright_black",
}


def print_jobs(records: Sequence[JobRecord]) -> None:
    """Print the jobs on stdout in the order given."""
    console = stdout_console()
    if console.width >= _WIDE:
        table = plain_table("id", "job", "status", "progress", "attempts", "created", "took", "result or error")
        for record in records:
            table.add_row(
                Text(one_line(record.id)), _name(record), status_text(record), *_figures(record), _note(record)
            )
        console.print(table)
        return
    for record in records:
        console.print(Text("  ").join([Text(one_line(record.id)), _name(record), status_text(record)]))
        line = Text("  ").join([*(figure for figure in _figures(record) if figure), _note(record)])
        line.truncate(console.width - 4, overflow="ellipsis")
        console.print(Text("    ") + line)


def took(record: JobRecord) -> timedelta | None:
    """How long the last attempt took, or has taken so far; None for a job that never started."""
    if record.worker_started_at is None:
        return None
    if record.status is JobStatus.RUNNING:
        return max(timedelta(0), datetime.now(UTC) - record.worker_started_at)
    return None if record.completed_at is None else record.completed_at - record.worker_started_at


def _name(record: JobRecord) -> Text:
    return Text(one_line(record.job_name, 40))


def status_text(record: JobRecord) -> Text:
    """The status in its colour; that of a failed job that is kept until it can be read is `parked`."""
    return Text("parked" if record.is_parked else record.status, style=STATUS_STYLES[record.status])


def _figures(record: JobRecord) -> list[Text]:
    duration = took(record)
    return [
        Text(f"{record.progress}%"),
        Text(f"{record.attempt_count}/{record.max_attempts}"),
        Text(age(record.created_at)),
        Text("" if duration is None else length(duration)),
    ]


def _note(record: JobRecord) -> Text:
    match record.status:
        case JobStatus.COMPLETED:
            note = record.result
        case JobStatus.RUNNING:
            note = record.progress_message
        case _:
            note = record.error
    return last_cell((note or "")[:_NOTE_CHARACTERS])
