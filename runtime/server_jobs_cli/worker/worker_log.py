"""The log of a worker: the jobs that it runs, one by one or summed up, and the jobs that it knows."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

from server_jobs import __version__
from server_jobs.domain.record import Claim, Outcome
from server_jobs.registry import JobRegistry

from ..console.log_lines import JsonFormatter, LineFormatter
from ..console.log_writer import LogWriter
from ..console.suggestion import suggestion
from ..console.times import length
from .job_tally import JobTally
from .worker_options import WorkerOptions

EVENTS = "server_jobs.worker"
"""The name of the logger of these records; other records come from the engine and from handlers."""

FEW = 20
"""Up to how many jobs per second have lines of their own."""

_logger = logging.getLogger(EVENTS)
_ERROR_CHARACTERS = 200
_RARE = ("cancelled", "snoozed")
_ENDINGS = {
    Outcome.COMPLETED: "completed in",
    Outcome.FAILED: "failed after",
    Outcome.CANCELLED: "cancelled after",
    Outcome.SNOOZED: "snoozed after",
    Outcome.RELEASED: "released after",
    Outcome.LOST: "lost its claim after",
}


class WorkerLog:
    """The listener of a worker: logs its jobs and counts how they ended.

    While at most `FEW` jobs start and end per second, every start and every end is a line. Above that, one line per
    second and job name sums up the jobs that have no line of their own. Failures always have one; at level DEBUG, all
    jobs do.

    With `reasons`, the line of a failure includes the error, for a log that hides the records of the engine.
    `catch_up` is called after the line of a start: if the job crashes the process, the log names it.
    """

    def __init__(self, *, reasons: bool = False, catch_up: Callable[[], None] | None = None) -> None:
        self.totals = JobTally()
        self._reasons = reasons
        self._catch_up = catch_up
        self._logs_all = _logger.isEnabledFor(logging.DEBUG)
        self._announced: set[str] = set()
        self._sums: dict[str, JobTally] = {}
        self._starts = self._ends = 0
        self._is_busy = False
        self._window: asyncio.TimerHandle | None = None

    def started(self, claim: Claim) -> None:
        """Log the start, or leave it to the summary."""
        self._starts += 1
        if (self._is_busy or self._starts > FEW) and not self._logs_all:
            return
        self._open_window()
        if not _logger.isEnabledFor(logging.INFO):
            return
        self._announced.add(claim.token)
        attempts = f"attempt {claim.attempt} of {claim.max_attempts}"
        _logger.info("%s %s started, %s", claim.job_name, claim.id, attempts, extra=_extra(claim, "started"))
        if self._catch_up is not None:
            self._catch_up()

    def ended(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        """Count the end, and log it or leave it to the summary."""
        self._ends += 1
        self.totals.add(outcome, seconds)
        if self._announced and claim.token in self._announced:
            self._announced.discard(claim.token)
        elif (self._is_busy or self._ends > FEW) and not self._logs_all and not outcome.is_failure:
            tally = self._sums.get(claim.job_name)
            if tally is None:
                tally = self._sums[claim.job_name] = JobTally()
            tally.add(outcome, seconds)
            return
        self._open_window()
        self._log_end(claim, outcome, error, seconds)

    def finish(self, held_elsewhere: int = 0) -> None:
        """Log how all jobs ended, and how many others hold."""
        if self._window is not None:
            self._window.cancel()
        self._log_sums()
        if held_elsewhere:
            _logger.warning(
                "%d jobs are held by other workers; those of a worker that died are taken over when their leases end",
                held_elsewhere,
                extra={"held_elsewhere": held_elsewhere},
            )
        totals = self.totals
        besides = "".join(f", {getattr(totals, name)} {name}" for name in _RARE if getattr(totals, name))
        _logger.info(
            "stopped: %d completed, %d failed attempts%s, %d released",
            totals.completed,
            totals.failed,
            besides,
            totals.released,
            extra={"event": "worker_stopped", **totals.counts()},
        )

    def _log_end(self, claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
        level = logging.WARNING if outcome.is_failure else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        extra = {**_extra(claim, outcome), "seconds": round(seconds, 3), "error": error}
        took = f"{_ENDINGS[outcome]} {length(timedelta(seconds=seconds))}"
        is_shown = error is not None and (self._reasons or not outcome.is_failure)
        reason = f": {error[:_ERROR_CHARACTERS]}" if error is not None and is_shown else ""
        _logger.log(level, "%s %s %s%s", claim.job_name, claim.id, took, reason, extra=extra)

    def _open_window(self) -> None:
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(1, self._close_window)

    def _close_window(self) -> None:
        """Log the sums of the last second. Go on summing up until a second with few jobs has passed."""
        self._window = None
        self._is_busy = self._starts > FEW or self._ends > FEW
        self._starts = self._ends = 0
        self._log_sums()
        if self._is_busy:
            self._open_window()

    def _log_sums(self) -> None:
        sums, self._sums = self._sums, {}
        for name, tally in sums.items():
            counts = {word: count for word, count in tally.counts().items() if count}
            _logger.info(
                "%s: %s, %s on average",
                name,
                ", ".join(f"{count} {word}" for word, count in counts.items()),
                length(timedelta(seconds=tally.mean_seconds)),
                extra={"event": "summary", "job_name": name, **counts, "mean_seconds": round(tally.mean_seconds, 6)},
            )


def announce(registry: JobRegistry, options: WorkerOptions, database: str, *, processes: int = 1) -> None:
    """Say what is worked on, with how many hands, and which jobs are known."""
    known = registry.known_jobs()
    queues = ", ".join(options.queues) if options.queues else "all queues"
    at_a_time = f"{options.concurrency} at a time"
    _logger.info(
        "server-jobs %s on %s, %s from %s",
        __version__,
        database,
        at_a_time if processes == 1 else f"{processes} processes with {at_a_time} each",
        queues,
        extra={
            "event": "worker_started" if processes == 1 else "supervisor_started",
            "database": database,
            "queues": options.queues,
            "processes": processes,
        },
    )
    versions: dict[str, list[int]] = {}
    for job in known:
        versions.setdefault(job.name, []).append(job.version)
    jobs = ", ".join(f"{name} v{newest}{_reads(earlier)}" for name, (newest, *earlier) in versions.items())
    _logger.info("jobs: %s", jobs or "none", extra={"jobs": {name: found[0] for name, found in versions.items()}})
    _warn_of_gaps(registry, options.queues)


def log_handler(*, as_json: bool, number: int | None = None) -> LogWriter:
    """Return a handler that writes lines for people to stderr, or JSON for programs to stdout.

    Every line names the process if it is one of several: `worker[2]`, and in JSON a member `"worker": 2`.
    """
    handler = LogWriter(sys.stdout if as_json else sys.stderr)
    formatter = JsonFormatter() if as_json else LineFormatter()
    handler.setFormatter(formatter if number is None else _NamingFormatter(formatter, number))
    return handler


def _extra(claim: Claim, event: str) -> dict[str, object]:
    return {
        "event": event,
        "job_id": claim.id,
        "job_name": claim.job_name,
        "attempt": claim.attempt,
        "correlation_id": claim.correlation_id,
    }


class _NamingFormatter(logging.Formatter):
    def __init__(self, formatter: JsonFormatter | LineFormatter, number: int) -> None:
        super().__init__()
        self._formatter = formatter
        self._number = number

    def format(self, record: logging.LogRecord) -> str:
        named: dict[str, object] = {**vars(record), "worker": self._number}
        if isinstance(self._formatter, LineFormatter):
            named |= {"msg": f"worker[{self._number}] {record.getMessage()}", "args": None}
        return self._formatter.format(logging.makeLogRecord(named))


def _reads(earlier: Sequence[int]) -> str:
    return f" (and {', '.join(f'v{version}' for version in sorted(earlier))})" if earlier else ""


def _warn_of_gaps(registry: JobRegistry, queues: tuple[str, ...] | None) -> None:
    """Jobs that nobody can run here, and queues that no job uses. The worker itself warns of stubs."""
    for registration in registry.registrations():
        if registration.handler is None:
            _logger.warning("%s has no handler here; its jobs are not claimed", registration.job.job_name)
    used = sorted({registration.job.options.queue for registration in registry.registrations()})
    for queue in queues or ():
        if queue not in used:
            _logger.warning("no job here uses the queue %r; %s", queue, suggestion(queue, used))
