"""The log of a worker: its jobs one by one, or summed up while there are many."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from server_jobs.domain.clock import length
from server_jobs.domain.record import Claim, Outcome
from server_jobs.logs import is_printed

from ..console.log import JsonFormatter, LineFormatter, LogWriter

EVENTS = "server_jobs.worker"
"""The name of the logger of these records; other records come from the engine and from handlers."""

FEW = 20
"""Up to this many jobs per second have their own lines."""

_REASON_CHARACTERS = 200
_RARE = ("cancelled", "snoozed")
_ENDINGS = {
    Outcome.COMPLETED: "completed in",
    Outcome.CANCELLED: "cancelled after",
    Outcome.SNOOZED: "snoozed after",
    Outcome.RELEASED: "released after",
    Outcome.LOST: "lost its claim after",
}
_logger = logging.getLogger(EVENTS)


@dataclass(slots=True)
class JobTally:
    """How many attempts ended in each way, and their total seconds."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    snoozed: int = 0
    released: int = 0
    seconds: float = 0.0

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one attempt. A lost claim counts as a failed attempt."""
        self.seconds += seconds
        if outcome is Outcome.COMPLETED:  # first, because nearly every job ends so
            self.completed += 1
        elif outcome.is_failure:
            self.failed += 1
        elif outcome is Outcome.CANCELLED:
            self.cancelled += 1
        elif outcome is Outcome.SNOOZED:
            self.snoozed += 1
        else:
            self.released += 1

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in ("completed", "failed", "cancelled", "snoozed", "released")}

    @property
    def mean_seconds(self) -> float:
        """Return the average seconds of an attempt."""
        return self.seconds / max(1, sum(self.counts().values()))


class WorkerLog:
    """The listener of a worker: logs its jobs and counts outcomes.

    While at most `FEW` jobs start and end per second, every start and every end is a line. Above that, one line per
    second and job name sums up the others. A lost claim always has a line; at level DEBUG, all jobs have one. The
    engine logs the failures.

    `catch_up` is called after the line of a start: if the job crashes the process, the log names it.
    """

    def __init__(self, *, catch_up: Callable[[], None] | None = None) -> None:
        self.totals = JobTally()
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
        if not outcome.is_failure or outcome is Outcome.LOST:
            self._log_end(claim, outcome, error, seconds)

    def finish(self, leased_elsewhere: int = 0) -> None:
        """Log the totals, and how many jobs run elsewhere."""
        if self._window is not None:
            self._window.cancel()
        self._log_sums()
        if leased_elsewhere:
            _logger.warning(
                "leased to other workers: %d; jobs of a dead worker are taken over when their leases expire",
                leased_elsewhere,
                extra={"leased_elsewhere": leased_elsewhere},
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
        level = logging.WARNING if outcome is Outcome.LOST else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        extra = {**_extra(claim, outcome), "seconds": round(seconds, 3), "error": error}
        took = f"{_ENDINGS[outcome]} {length(timedelta(seconds=seconds))}"
        reason = "" if error is None or outcome is Outcome.LOST else f": {error[:_REASON_CHARACTERS]}"
        _logger.log(level, "%s %s %s%s", claim.job_name, claim.id, took, reason, extra=extra)

    def _open_window(self) -> None:
        if self._window is None:
            self._window = asyncio.get_running_loop().call_later(1, self._close_window)

    def _close_window(self) -> None:
        """Log the sums of the last second. Continue until a second with few jobs has passed."""
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


def log_handler(*, as_json: bool, number: int | None = None) -> LogWriter:
    """Return a handler that writes lines for people to stderr, or JSON for programs to stdout.

    Every line names the process if it is one of several: `worker[2]`, and in JSON a member `"worker": 2`. People do not
    get lines twice: a record that a handler of the application prints has no other line.
    """
    handler = LogWriter(sys.stdout if as_json else sys.stderr)
    if not as_json:
        handler.addFilter(lambda record: not is_printed(record))
    handler.setFormatter(JsonFormatter(worker=number) if as_json else LineFormatter(worker=number))
    return handler


def _extra(claim: Claim, event: str) -> dict[str, object]:
    return {
        "event": event,
        "job_id": claim.id,
        "job_name": claim.job_name,
        "attempt": claim.attempt,
        "correlation_id": claim.correlation_id,
    }
