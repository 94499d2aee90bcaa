"""One attempt of one job: read the params, call the handler, check the result, return the outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel

from ...binding import Binding
from ...concurrency.tasks import is_being_cancelled
from ...context import JobContext
from ...contract.documents import WrittenResult, read_params, write_result
from ...contract.masking import masking
from ...contract.upcasts import Versions
from ...contract.values import MAX_ERROR_CHARACTERS
from ...definition import AnyDefinition, AnyHandler
from ...domain.outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
from ...domain.record import (
    UNREADABLE,
    Cancelled,
    Claim,
    Completed,
    Ended,
    Failed,
    Heartbeat,
    Outcome,
    Released,
    Report,
    Settlement,
)
from ...domain.text_limits import clean_text
from ...domain.tracebacks import Mask, stored_traceback
from ...errors import StaleClaimError
from ...isolation.raised import TimedOutInProcessError
from ...middleware import Middleware, RunningAttempt, note_outcome, read_headers
from .error_text import describe, error_class_of, traceback_of
from .places import PASSED_ON, Place, UnreadableParamsError, place_here

if TYPE_CHECKING:
    from .leases import LeaseKeeper


class Stop(StrEnum):
    """Why the engine ends an attempt."""

    CANCELLED = "cancelled"
    LOST = "lost"
    SHUTDOWN = "shutdown"


_OUTCOMES = {Stop.CANCELLED: Outcome.CANCELLED, Stop.LOST: Outcome.LOST, Stop.SHUTDOWN: Outcome.RELEASED}


class SettledElsewhere(NamedTuple):
    """The end of an attempt whose outcome this process does not store: its place does, or another claim is newer."""

    outcome: Outcome
    error: str | None


def _mask_of(claim: Claim, job: AnyDefinition) -> Mask:
    """Return the mask of redacted params: of all params if the row has a version other than the spec."""
    return masking(claim.params, ("",) if claim.spec_version != job.options.version else job.options.redact)


def _running(claim: Claim, mask: Mask) -> RunningAttempt:
    return RunningAttempt(
        job_name=claim.job_name,
        job_id=claim.id,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        queue=claim.queue,
        correlation_id=claim.correlation_id,
        headers=read_headers(claim.headers),
        mask=mask,
    )


class Attempt:
    """A claim in this process: waiting to run, running, or finished and not stored yet."""

    cause: BaseException | None = None
    """The exception that ended the attempt, until `log_failure` has logged it."""

    # Arguments may be given by position, and no attribute has a default of the class that an instance replaces later:
    # Python calls and reads those faster, and every job makes an attempt.
    def __init__(
        self,
        claim: Claim,
        job: AnyDefinition,
        handler: AnyHandler,
        context: JobContext,
        claimed: float,
        lease: timedelta,
        place: Place | None = None,
        versions: Versions | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.claim = claim
        self.job = job
        self.context = context
        self.stopped: Stop | None = None
        self.is_over = False
        """True once the handler has ended, with an outcome to store or a lost claim."""
        self.began = 0.0
        """Monotonic time of the start."""
        self._has_begun = False
        self._reported_progress = 0
        self._reported_message: str | None = None
        self.claimed = claimed
        """Monotonic time at or before the claim, from which its lease lasts."""
        self.lease = lease
        self.place = place or place_here(handler)
        self._versions = versions or job.versions()
        self.middleware = middleware
        if job.options.redact:
            context.mask = _mask_of(claim, job)
        self.running = _running(claim, context.mask) if middleware else None
        """The attempt as middleware sees it; None without middleware."""
        self.call = self.place.call(job, handler, context)

    def stop(self, reason: Stop) -> None:
        """End the handler early, or prevent its call. The first reason counts."""
        if self.stopped is None:
            self.stopped = reason
            if self.running is not None:
                note_outcome(self.running, _OUTCOMES[reason])
            self.call.stop()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self.stopped is not None

    async def run(self, backend: Binding, leases: LeaseKeeper) -> Settlement | SettledElsewhere:
        """Run the handler in its place and return the settlement.

        Raises `CancelledError` only if the caller itself is cancelled. Unreadable params park the job, because another
        attempt would fail in the same way.
        """
        claim, job = self.claim, self.job
        if self.stopped is not None:
            return self._ended()
        self._has_begun = True
        try:
            outcome = await self.place.run(self, backend, leases)
            if isinstance(outcome, SettledElsewhere):
                return outcome
            if isinstance(outcome, Snooze):
                return Released(
                    id=claim.id,
                    token=claim.token,
                    delay=outcome.delay,
                    report=self._unreported(),
                    ended=Ended(Outcome.SNOOZED),
                )
            if isinstance(outcome, Cancel):
                return self._refused(outcome)
            if isinstance(outcome, WrittenResult):
                text = str(outcome)
            else:
                _, text = write_result(job.job_name, job.result_model, outcome)
        except PASSED_ON as error:
            if not self.is_stopped or not isinstance(error, asyncio.CancelledError) or is_being_cancelled():
                raise
            return self._ended()
        except UnreadableParamsError as error:
            return self._parked(error.reason)
        except BaseException as error:  # the only place that catches exceptions of handlers
            if is_being_cancelled() and not self.is_stopped and _comes_from_cancellation(error):
                raise asyncio.CancelledError from error  # the handler failed because the caller was cancelled
            return self._failed(error)
        # `Completed(...)` is a call per job.
        return tuple.__new__(Completed, (claim.id, claim.token, text, self._unreported()))

    def heartbeat(self) -> Heartbeat:
        """Return a heartbeat with the newest progress."""
        return Heartbeat(
            id=self.claim.id,
            token=self.claim.token,
            progress=self.context.progress,
            message=self.context.progress_message,
        )

    def note_stored(self, heartbeat: Heartbeat) -> None:
        """Note that the row has the progress of this heartbeat."""
        self._reported_progress, self._reported_message = heartbeat.progress, heartbeat.message

    @property
    def has_news(self) -> bool:
        """Whether the row lacks the newest progress."""
        return self._unreported() is not None

    def read_params(self) -> BaseModel:
        """Return the params. Raises `UnreadableParamsError`."""
        claim, job = self.claim, self.job
        try:
            if claim.spec_version == job.options.version:  # as almost every row
                return read_params(job.job_name, job.params_model, claim.params, job.options.redact)
            return self._versions.read(claim.params, claim.spec_version)
        except Exception as error:  # upcasters and validators are user code
            raise UnreadableParamsError(error) from error

    def current_params(self) -> str:
        """Return the params as text of the current version, not validated. Raises `UnreadableParamsError`."""
        try:
            return self._versions.current_params(self.claim.params, self.claim.spec_version)
        except Exception as error:  # upcasters are user code
            raise UnreadableParamsError(error) from error

    def _ended(self) -> Settlement | SettledElsewhere:
        claim = self.claim
        match self.stopped:
            case Stop.CANCELLED:
                return Failed(
                    id=claim.id,
                    token=claim.token,
                    error="cancelled while it was running",
                    retry_after=None,
                    report=self._unreported(),
                    ended=Ended(Outcome.CANCELLED),
                )
            case Stop.SHUTDOWN:
                ended = Ended(Outcome.RELEASED) if self._has_begun else None
                return Released(id=claim.id, token=claim.token, report=self._unreported(), ended=ended)
            case _:
                return SettledElsewhere(Outcome.LOST, str(StaleClaimError(claim.id)))

    def _refused(self, outcome: Cancel) -> Settlement:
        reason = clean_text(self.context.mask(str(outcome.reason)), MAX_ERROR_CHARACTERS)
        return Cancelled(id=self.claim.id, token=self.claim.token, reason=reason, report=self._unreported())

    def _parked(self, cause: Exception) -> Settlement:
        """Return the failure of a parked job. It is never pruned, because the job has not run."""
        self.cause = cause
        claim, text = self.claim, describe(cause, self.context.mask)
        error = clean_text(f"{UNREADABLE}{text}", MAX_ERROR_CHARACTERS)
        ended = Ended(Outcome.UNREADABLE, error_class_of(text))
        return Failed(id=claim.id, token=claim.token, error=error, retry_after=None, ended=ended)

    def _failed(self, cause: BaseException) -> Settlement | SettledElsewhere:
        error = describe(cause, self.context.mask)
        if error.startswith(UNREADABLE):
            error = f"Error: {error}"  # only the engine may write the prefix of a parked job
        self.cause = cause
        if self.stopped is not None:
            return self._ended()  # it failed because it was stopped
        return Failed(
            id=self.claim.id,
            token=self.claim.token,
            error=error,
            retry_after=self._retry_after(cause),
            report=self._unreported(),
            ended=self._ended_by(cause, error),
        )

    def _ended_by(self, cause: BaseException, error: str) -> Ended:
        has_timed_out = self.call.has_timed_out or isinstance(cause, TimedOutInProcessError)
        traceback = traceback_of(cause, self.context.mask)
        return Ended(
            Outcome.TIMED_OUT if has_timed_out else Outcome.FAILED,
            error_class_of(error),
            None if traceback is None else stored_traceback(traceback),
        )

    def _retry_after(self, cause: BaseException) -> timedelta | None:
        match cause:
            case DoNotRetryError():
                return None
            case RetryAfterError(delay=delay):
                return delay
            case _:
                chance = random.random()  # noqa: S311  spreads load only
                return self.job.options.retry.delay(self.context.attempt, chance)

    def _unreported(self) -> Report | None:
        """Return the newest progress, if the row lacks it."""
        context = self.context
        if context.progress == self._reported_progress and context.progress_message == self._reported_message:
            return None
        return Report(context.progress, context.progress_message)


def _comes_from_cancellation(error: BaseException) -> bool:
    """Whether the error was raised while a `CancelledError` was handled. A timeout is an error of its own."""
    seen = set[int]()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if isinstance(one, asyncio.CancelledError):
            return True
        if one is not None and not isinstance(one, TimeoutError) and id(one) not in seen:
            seen.add(id(one))
            rest += (one.__cause__, one.__context__)
    return False
