"""What a worker does, as log records: each job when it starts and when it is over, and a sum at the end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from ..backend import WorkerExecutionResult
from ..record import Claim
from ..registry import JobRegistry
from .log_lines import JsonFormatter, LineFormatter
from .suggestion import suggestion
from .times import length
from .worker_options import WorkerOptions

EVENTS = "server_jobs.worker"
"""The name of the logger of these records; other records come from the engine and from handlers."""

_logger = logging.getLogger(EVENTS)
_ERROR_CHARACTERS = 200


@dataclass(slots=True)
class WorkerLog:
    """Counts outcomes while it logs them. `failed` counts attempts; those given back at shutdown are no failures.

    `with_reasons` is for where the records of the engine, which say why an attempt failed, are not shown.
    """

    with_reasons: bool = False
    completed: int = 0
    failed: int = 0
    given_back: int = 0

    def note(self, claim: Claim, result: WorkerExecutionResult | None) -> None:
        """The listener of the worker."""
        extra = {
            "job_id": claim.id,
            "job_name": claim.job_name,
            "attempt": claim.attempt,
            "correlation_id": claim.correlation_id,
        }
        name = f"{claim.job_name} {claim.id}"
        if result is None:
            attempts = f"attempt {claim.attempt} of {claim.max_attempts}"
            _logger.info("%s started, %s", name, attempts, extra={**extra, "event": "started"})
            return
        duration = length(result.duration)
        extra["seconds"] = round(result.duration.total_seconds(), 3)
        if result.success:
            self.completed += 1
            _logger.info("%s completed in %s", name, duration, extra={**extra, "event": "completed"})
        elif result.error is None:
            self.given_back += 1
            _logger.info("%s given back after %s", name, duration, extra={**extra, "event": "given_back"})
        else:
            self.failed += 1
            extra |= {"event": "failed", "error": result.error}
            reason = f": {result.error[:_ERROR_CHARACTERS]}" if self.with_reasons else ""
            _logger.warning("%s failed after %s%s", name, duration, reason, extra=extra)

    def ended(self, held_elsewhere: int = 0) -> None:
        """Say what all of it came to, and what is left in the hands of other workers."""
        if held_elsewhere:
            _logger.warning(
                "%d jobs are held by other workers; those of a worker that died are taken over when their leases end",
                held_elsewhere,
                extra={"held_elsewhere": held_elsewhere},
            )
        _logger.info(
            "stopped: %d completed, %d failed attempts, %d given back",
            self.completed,
            self.failed,
            self.given_back,
            extra={"event": "worker_stopped", "completed": self.completed, "failed": self.failed},
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


def log_handler(*, as_json: bool, number: int | None = None) -> logging.Handler:
    """Lines for a person go to stderr; JSON, which is for a program, goes to stdout.

    Every line names the process if it is one of several: `worker[2]`, and in JSON a member `"worker": 2`.
    """
    handler = logging.StreamHandler(sys.stdout if as_json else sys.stderr)
    formatter = JsonFormatter() if as_json else LineFormatter()
    handler.setFormatter(formatter if number is None else _NamingFormatter(formatter, number))
    return handler


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
