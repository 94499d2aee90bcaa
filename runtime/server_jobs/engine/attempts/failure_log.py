"""The log line of an attempt that failed, written once the store has decided what becomes of the job."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

from ...domain.clock import length
from ...domain.record import UNREADABLE, Claim, Expired, Failed, JobStatus, LateJob, Outcome, Settlement
from ...domain.tracebacks import log_with_traceback
from ...errors import InvalidDocumentError
from .attempt import Attempt
from .error_text import describe, traceback_of

_logger = logging.getLogger("server_jobs.attempts")
_engine = logging.getLogger("server_jobs")

_LOGGED_CHARACTERS = 2_000


def log_failure(
    attempt: Attempt, settlement: Settlement | None, status: JobStatus | None, error: str | None, seconds: float
) -> None:
    """Log the end of an attempt that did not complete, in one record with the traceback of its exception.

    `status` is the new status of the job, None if the claim was lost. A retry is a WARNING with the time until it. A
    job that failed for good is an ERROR. An exception of an attempt that does not count, because the job was cancelled,
    released or lost, is a WARNING. Logs nothing if there is neither a failure nor an exception.
    """
    cause, attempt.cause = attempt.cause, None  # its traceback refers to the attempt
    claim = attempt.claim
    retry_after = settlement.retry_after if isinstance(settlement, Failed) else None
    took = _took(claim, seconds)
    text = error or ""
    level = logging.WARNING
    if status is JobStatus.FAILED and text.startswith(UNREADABLE):
        level, text = logging.ERROR, text.removeprefix(UNREADABLE)
        what = "is parked, its params cannot be read"
    elif status is JobStatus.FAILED:
        level, what = logging.ERROR, f"failed for good in {took}"
    elif status is JobStatus.PENDING and retry_after is not None:
        what = f"failed in {took}, retry in {length(retry_after)}"
    elif cause is not None:
        text, fate = (
            describe(cause, attempt.context.mask),
            "its claim was lost" if status is None else f"the job is {status}",
        )
        what = f"raised an error in {took}, but {fate}"
    else:
        return
    shown = text if len(text) <= _LOGGED_CHARACTERS else f"{text[:_LOGGED_CHARACTERS]}…"
    extra = {
        "event": "failed" if status in (JobStatus.FAILED, JobStatus.PENDING) else "raised",
        **_fields(claim),
        "status": status,
        "seconds": round(seconds, 3),
        "retry_after": None if level == logging.ERROR or retry_after is None else retry_after.total_seconds(),
        "error": shown,
    }
    arguments = (claim.job_name, claim.id, what, shown)
    if not _logger.isEnabledFor(level):
        return
    if cause is None or isinstance(cause, InvalidDocumentError):  # its message names each problem
        _logger.log(level, "%s %s %s: %s", *arguments, extra=extra)
    else:
        log_with_traceback(_logger, level, *_shown(attempt, cause), "%s %s %s: %s", *arguments, extra=extra)


def log_refused(attempt: Attempt, what: str, error: BaseException) -> None:
    """Log that the store refused the outcome or the release of an attempt, as an ERROR. Its text may have the row."""
    claim = attempt.claim
    log_with_traceback(
        _engine, logging.ERROR, *_shown(attempt, error), f"%s %s could not be {what}", claim.job_name, claim.id
    )


def log_unstored(attempt: Attempt) -> None:
    """Log an attempt that is over, but not stored when its worker ends, as an ERROR."""
    claim, message = attempt.claim, "%s %s is over, and its outcome could not be stored so far"
    if attempt.cause is None:
        _engine.error(message, claim.job_name, claim.id)
    else:
        shown = _shown(attempt, attempt.cause)
        log_with_traceback(_engine, logging.ERROR, *shown, message, claim.job_name, claim.id)


def _shown(attempt: Attempt, cause: BaseException) -> tuple[BaseException | None, str | None]:
    """Return the exception for the log record, and its masked traceback.

    Return no exception if the job redacts something, because other handlers of logging show its own texts.
    """
    return None if attempt.job.options.redact else cause, traceback_of(cause, attempt.context.mask)


def log_failure_elsewhere(attempt: Attempt, outcome: Outcome, error: str | None, seconds: float, *, place: str) -> None:
    """Log a failure that the place of the attempt has stored, as a WARNING. The log there has the traceback.

    `place` is the place in words, such as `its container`.
    """
    if not outcome.is_failure or outcome is Outcome.LOST:
        return
    claim = attempt.claim
    extra = {
        "event": "failed",
        **_fields(claim),
        "seconds": round(seconds, 3),
        "error": error,
    }
    took = _took(claim, seconds)
    _logger.warning("%s %s failed in %s in %s: %s", claim.job_name, claim.id, place, took, error, extra=extra)


def _took(claim: Claim, seconds: float) -> str:
    return f"attempt {claim.attempt} of {claim.max_attempts} after {length(timedelta(seconds=seconds))}"


def _fields(claim: Claim) -> dict[str, object]:
    """Return the fields of the log record that every failed attempt has."""
    return {
        "job_id": claim.id,
        "job_name": claim.job_name,
        "attempt": claim.attempt,
        "max_attempts": claim.max_attempts,
        "correlation_id": claim.correlation_id,
    }


def log_late(jobs: Iterable[LateJob]) -> None:
    """Log each job that was cancelled because it could not start in time, as a WARNING."""
    for job in jobs:
        extra = {"event": "late", "job_id": job.id, "job_name": job.job_name, "status": JobStatus.CANCELLED}
        _logger.warning("%s %s: expired before its start, now cancelled", job.job_name, job.id, extra=extra)


def log_expired(jobs: Iterable[Expired]) -> None:
    """Log each job whose lease expired: an ERROR if it failed for good, else a WARNING."""
    for job in jobs:
        is_final = job.status is JobStatus.FAILED
        _logger.log(
            logging.ERROR if is_final else logging.WARNING,
            "%s %s: lease expired, %s",
            job.job_name,
            job.id,
            "failed for good in its last attempt" if is_final else f"now {job.status}",
            extra={"event": "expired", "job_id": job.id, "job_name": job.job_name, "status": job.status},
        )
