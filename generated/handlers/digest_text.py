"""The words of a digest: a subject that says how things stand, and a body with the details."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from server_jobs import JobRecord

from ..models.daily_digest import JobTally
from .job_report import JobReport

_LONGEST_ERROR = 200


def subject_of(report: JobReport) -> str:
    """One line: how much was done, and whether somebody has to look."""
    completed = sum(tally.completed for tally in report.tallies)
    failed = sum(tally.failed for tally in report.tallies)
    return f"Jobs since {report.since:%Y-%m-%d %H:%M} UTC: {completed:,} completed, {failed:,} failed"


def body_of(report: JobReport) -> str:
    """Plain text for a fixed-width font."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: JobReport) -> Iterator[str]:
    yield f"What the jobs did since {report.since:%Y-%m-%d %H:%M} UTC."
    yield ""
    if not report.tallies:
        yield "Nothing was stored in that time."
        return
    yield from _table(report.tallies)
    if report.slowest:
        yield from ["", "Slowest"]
        for slow in report.slowest:
            yield f"  {_seconds(slow.duration):>10}  {slow.record.job_name}  {slow.record.id}"
    if report.failures:
        yield from ["", "Failed"]
        for record in report.failures:
            yield f"  {record.job_name}  {record.id}  after {_attempts(record)}"
            yield f"    {_first_line(record.error)}"


def _table(tallies: list[JobTally]) -> Iterator[str]:
    width = max(len("job"), *(len(tally.job_name) for tally in tallies))
    yield f"  {'job':<{width}}  completed  failed  cancelled  running  pending"
    for tally in tallies:
        yield (
            f"  {tally.job_name:<{width}}  {tally.completed:>9,}  {tally.failed:>6,}"
            f"  {tally.cancelled:>9,}  {tally.running:>7,}  {tally.pending:>7,}"
        )


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():,.2f} s"


def _attempts(record: JobRecord) -> str:
    return "1 attempt" if record.attempt_count == 1 else f"{record.attempt_count} attempts"


def _first_line(error: str | None) -> str:
    lines = (error or "").strip().splitlines() or ["no error was recorded"]
    return lines[0] if len(lines[0]) <= _LONGEST_ERROR else f"{lines[0][:_LONGEST_ERROR]}..."
