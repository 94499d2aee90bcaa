"""The console of a Worker as a log: one JSON object per record, with members that Cloudflare can search.

A Worker has no logging configuration, and Python drops records below WARNING by default.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from functools import cache
from traceback import format_exception

from server_jobs.domain.record import Claim, Outcome

_ENGINE = logging.getLogger("server_jobs")
_logger = logging.getLogger("server_jobs.worker")


class ConsoleHandler(logging.Handler):
    """Write each record as `{"level": …, "message": …}` with the ids of its job, its data and its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _write(record.levelno, json.dumps(_document(record), ensure_ascii=False, default=str))
        except Exception:  # noqa: BLE001  # logging reports it; the job goes on
            self.handleError(record)


def log_to_console() -> None:
    """Send the log of jobs and engine to the console, unless the application has its own handler."""
    if not _ENGINE.hasHandlers():
        _ENGINE.addHandler(ConsoleHandler())
        _ENGINE.setLevel(logging.INFO)


def log_started(claim: Claim) -> None:
    """Log that an attempt of a job starts."""
    attempts = f"attempt {claim.attempt} of {claim.max_attempts}"
    extra = {**_ids(claim), "event": "started"}
    _logger.info("%s %s started, %s", claim.job_name, claim.id, attempts, extra=extra)


def log_ended(claim: Claim, outcome: Outcome, error: str | None, seconds: float) -> None:
    """Log the outcome of an attempt, except a failure: the engine logs it, with its traceback."""
    if outcome.is_failure and outcome is not Outcome.LOST:
        return
    level = logging.WARNING if outcome.is_failure else logging.INFO
    extra = {**_ids(claim), "event": str(outcome), "seconds": round(seconds, 3), "error": error}
    reason = "" if error is None else f": {error}"
    _logger.log(level, "%s %s %s after %.3f s%s", claim.job_name, claim.id, outcome, seconds, reason, extra=extra)


def _ids(claim: Claim) -> dict[str, object]:
    return {
        "job_id": claim.id,
        "job_name": claim.job_name,
        "attempt": claim.attempt,
        "correlation_id": claim.correlation_id,
    }


def _document(record: logging.LogRecord) -> dict[str, object]:
    document: dict[str, object] = {
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    standard = _standard()
    document |= {name: value for name, value in vars(record).items() if name not in standard and value is not None}
    if record.exc_text:  # the engine has masked redacted params in it
        document["traceback"] = record.exc_text
    elif record.exc_info and record.exc_info[0] is not None:
        document["traceback"] = "".join(format_exception(*record.exc_info))
    return document


@cache
def _standard() -> frozenset[str]:
    """Return the standard attributes of a record. Not at import, because making a record reads the clock."""
    return frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def _write(level: int, line: str) -> None:
    if sys.platform == "emscripten":
        console = importlib.import_module("js").console
        write = console.error if level >= logging.ERROR else console.warn if level >= logging.WARNING else console.log
        write(line)
    else:
        sys.stderr.write(f"{line}\n")
