"""One attempt of one job: read the params, call the handler, check the result, return the outcome."""

from __future__ import annotations

import asyncio
import inspect
import random
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache, partial
from types import CoroutineType
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from pydantic import BaseModel

from ..binding import JobBackend, Run, current_run
from ..concurrency.handler_threads import in_thread
from ..concurrency.tasks import shielded
from ..context import JobContext
from ..contract.documents import WrittenResult, masking, write_result
from ..contract.upcasts import Versions
from ..contract.values import MAX_ERROR_CHARACTERS
from ..definition import AnyDefinition, AnyHandler, call_handler
from ..domain.clock import exact_length
from ..domain.outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
from ..domain.record import (
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
from ..domain.text_limits import clean_text
from ..domain.tracebacks import error_place, short_traceback, stored_traceback
from ..errors import InvalidDocumentError, InvalidParamsError, UpcastError
from ..isolation.pods import ClaimName, PodAttempt, PodEnd, Pods
from ..isolation.raised import HandlerProcessError, TimedOutInProcessError, TracebackThere
from ..middleware import Middleware, RunningAttempt, called_within, note_outcome, read_headers, surrounded

if TYPE_CHECKING:
    from ..isolation.process_pool import HandlerProcesses

T = TypeVar("T")

_ERROR_CLASS = re.compile(r"[^\W\d]\w*(?=:|$| \(at )")

HAS_THREADS = sys.platform != "emscripten"

# Any other exception is the outcome of the job: `sys.exit()` in a handler does not end the worker.
PASSED_ON = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


class Stop(StrEnum):
    """Why the engine ends an attempt."""

    CANCELLED = "cancelled"
    LOST = "lost"
    SHUTDOWN = "shutdown"


_OUTCOMES = {Stop.CANCELLED: Outcome.CANCELLED, Stop.LOST: Outcome.LOST, Stop.SHUTDOWN: Outcome.RELEASED}


class HandlerCall:
    """One call of a handler, async or plain, within the timeout of its job.

    `lingering` is the thread of a plain handler. It may outlive the call, because Python cannot stop a thread.
    """

    lingering: asyncio.Future[object] | None = None
    has_timed_out = False
    _task: asyncio.Task[object] | None = None
    _is_stopped = False
    _middleware: Sequence[Middleware] = ()
    _running: RunningAttempt | None = None

    def __init__(self, job: AnyDefinition, handler: AnyHandler, context: JobContext) -> None:
        self._job = job
        self._handler = handler
        self._context = context

    def stop(self) -> None:
        """Cancel an async handler at its next `await`. A plain handler sees `context.cancelled`."""
        self._context.cancelled = True
        if self._task is not None:
            self._is_stopped = True
            self._task.cancel()

    async def run(self, backend: JobBackend | None, params: BaseModel) -> object:
        """Return the result of the handler. Raises its exception, or `TimeoutError` after the timeout.

        Raises `CancelledError` only when `stop` was called or the caller itself is cancelled.
        """
        self._task = asyncio.current_task()
        outside = current_run.set(Run(backend, self._context))
        try:
            limit = self._job.options.timeout
            if limit is not None:
                return await self._invoke_within(limit, params)
            result = self._begin(params)
            return await result if isawaitable(result) else result
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            raise RuntimeError("the handler awaited something that was cancelled") from error
        except GeneratorExit as error:
            if self._is_running():
                raise RuntimeError("the handler raised GeneratorExit") from error
            raise
        finally:
            current_run.reset(outside)
            self._end()

    async def run_within(
        self, middleware: Sequence[Middleware], running: RunningAttempt, backend: JobBackend | None, params: BaseModel
    ) -> WrittenResult | Snooze | Cancel:
        """Like `run`, within middleware. Write the result too, so that the middleware sees whether it fits."""
        self._middleware, self._running = middleware, running

        async def call() -> WrittenResult | Snooze | Cancel:
            if self._context.cancelled:
                raise asyncio.CancelledError  # `stop` was called while the middleware began
            try:
                outcome = await self.run(backend, params)
            finally:
                if self.has_timed_out:
                    note_outcome(running, Outcome.TIMED_OUT)
            if isinstance(outcome, Snooze | Cancel):
                return outcome
            return WrittenResult(write_result(self._job.job_name, self._job.result_model, outcome)[1])

        return await surrounded(middleware, running, call)

    async def run_in_pod(self, pods: Pods, attempt: PodAttempt) -> PodEnd:
        """Like `run`, but in a pod, which stores the outcome itself. Raises `PodFailedError` if it does not."""
        self._task = asyncio.current_task()
        try:
            await pods.run(attempt)
        finally:
            self._end()
        return PodEnd.SETTLED

    async def run_in(
        self, processes: HandlerProcesses, params: str, running: RunningAttempt | None = None
    ) -> WrittenResult | Snooze | Cancel:
        """Like `run`, but in another process, which reads the params and writes the result.

        The middleware of that process surrounds the call if `running` is given.
        """
        self._task = asyncio.current_task()
        try:
            return await processes.run(self._job, self._handler, params, self._context, running)
        finally:
            self._end()

    def _is_running(self) -> bool:
        """True inside the task of the call. False when an ending event loop closes the coroutine."""
        try:
            return asyncio.current_task() is self._task
        except RuntimeError:
            return False

    def _end(self) -> None:
        if self._is_stopped and self._task is not None:
            self._task.uncancel()  # the handler is over; the caller itself is not cancelled
        self._task = None

    async def _invoke_within(self, limit: timedelta, params: BaseModel) -> object:
        bound = asyncio.timeout(limit.total_seconds())
        try:
            async with bound:
                result = self._begin(params)
                return await result if isawaitable(result) else result
        except (TimeoutError, asyncio.CancelledError) as error:
            # Before Python 3.13, a failed `asyncio.TaskGroup` in the handler makes `asyncio.timeout` raise the latter.
            if not bound.expired() or (isinstance(error, asyncio.CancelledError) and sys.version_info >= (3, 13)):
                raise
            self._context.cancelled = self.has_timed_out = True
            raise TimeoutError(f"the handler did not return within its timeout of {exact_length(limit)}") from error

    def _begin(self, params: BaseModel) -> object:
        """Call the handler. Return its result, or an awaitable of it."""
        if is_async(self._handler) or not HAS_THREADS:
            return call_handler(self._handler, params, self._context)
        return self._in_thread(params)

    async def _in_thread(self, params: BaseModel) -> object:
        self.lingering = in_thread(lambda: self._called(params))
        result = await shielded(self.lingering)
        return await result if isawaitable(result) else result

    def _called(self, params: BaseModel) -> object:
        """Call the plain handler, in its thread."""
        call = partial(call_handler, self._handler, params, self._context)
        return call() if self._running is None else called_within(self._middleware, self._running, call)


async def _nothing(_: timedelta) -> None:
    pass


class _UnreadableError(Exception):
    """The params of a row cannot be read. The message says why."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _legible(read: Callable[[str, int], T], claim: Claim) -> T:
    try:
        return read(claim.params, claim.spec_version)
    except Exception as error:  # upcasters and validators are user code
        raise _UnreadableError(error) from error


def _masking(claim: Claim, job: AnyDefinition) -> Callable[[str], str]:
    """Return the function that masks redacted params. It masks all if the row has a version other than the spec."""
    redact = job.options.redact
    return masking(claim.params, ("",) if redact and claim.spec_version != job.options.version else redact)


def _running(claim: Claim, job: AnyDefinition) -> RunningAttempt:
    return RunningAttempt(
        job_name=claim.job_name,
        job_id=claim.id,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        queue=job.options.queue,
        correlation_id=claim.correlation_id,
        headers=read_headers(claim.headers),
        mask=_masking(claim, job),
    )


class Attempt:
    """A claim in this process: waiting to run, running, or finished and not stored yet."""

    stopped: Stop | None = None
    is_over = False
    """True once the handler has ended, with an outcome to store or a lost claim."""
    began = 0.0
    """Monotonic time of the start."""
    cause: BaseException | None = None
    """The exception that ended the attempt, until `log_failure` has logged it."""
    is_handed_over = False
    """Whether a pod holds the claim, and this process neither renews the lease nor stores an outcome."""
    _has_begun = False
    _reported_progress = 0
    _reported_message: str | None = None

    def __init__(
        self,
        *,
        claim: Claim,
        job: AnyDefinition,
        handler: AnyHandler,
        context: JobContext,
        claimed: float,
        lease: timedelta,
        processes: HandlerProcesses | None = None,
        pods: Pods | None = None,
        versions: Versions | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.claim = claim
        self.job = job
        self.handler = handler
        self.context = context
        self.claimed = claimed
        """Monotonic time at or before the claim, from which its lease lasts."""
        self.lease = lease
        self.processes = processes
        """The processes that run the handler; None: it runs in this process, or in a pod."""
        self.pods = pods
        """The cluster whose pod runs the handler; None: it runs on this machine."""
        self.renew_last: Callable[[timedelta], Awaitable[None]] = _nothing
        """Renews the lease for the last time in this process, by this time. The runner sets it."""
        self._versions = versions or job.versions()
        self._middleware = middleware
        self._running = _running(claim, job) if middleware else None
        self.call = HandlerCall(job, handler, context)

    def stop(self, reason: Stop) -> None:
        """End the handler early, or prevent its call. The first reason counts."""
        if self.stopped is None:
            self.stopped = reason
            if self._running is not None:
                note_outcome(self._running, _OUTCOMES[reason])
            self.call.stop()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self.stopped is not None

    @property
    def runs_here(self) -> bool:
        """Whether the handler runs in this process."""
        return self.processes is None and self.pods is None

    async def hand_over(self, boot: timedelta) -> None:
        """As in `PodAttempt`."""
        self.is_handed_over = True
        await self.renew_last(self.lease + boot)

    async def is_current(self) -> bool:
        """As in `PodAttempt`."""
        return self.context.jobs is not None and ClaimName.of(self.claim).is_newest(
            await self.context.jobs.get(self.claim.id)
        )

    async def run(self, backend: JobBackend) -> Settlement | PodEnd | None:
        """Run the handler and return the settlement; None if the claim is lost, `PodEnd` if a pod has taken it over.

        Raises `CancelledError` only if the caller itself is cancelled. Unreadable params park the job, because another
        attempt would fail in the same way.
        """
        claim, job = self.claim, self.job
        if self.is_stopped:
            return self._ended()
        self._has_begun = True
        try:
            outcome = await self._outcome(backend)
            if isinstance(outcome, PodEnd):
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
            if self.stopped is None or not isinstance(error, asyncio.CancelledError) or is_being_cancelled():
                raise
            return self._ended()
        except _UnreadableError as error:
            return self._parked(error.reason)
        except BaseException as error:  # the only place that catches exceptions of handlers
            if is_being_cancelled() and not self.is_stopped and _comes_from_cancellation(error):
                raise asyncio.CancelledError from error  # the handler failed because the caller was cancelled
            return self._failed(error)
        return Completed(id=claim.id, token=claim.token, result=text, report=self._unreported())

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
        context = self.context
        return context.progress != self._reported_progress or context.progress_message != self._reported_message

    async def _outcome(self, backend: JobBackend) -> object:
        """Return the result of the handler. Raises `_UnreadableError` if the params cannot be read."""
        claim, processes, running = self.claim, self.processes, self._running
        if self.pods is not None:
            return await self.call.run_in_pod(self.pods, self)
        if processes is None:
            params = _legible(self._versions.read, claim)
            if running is None:
                return await self.call.run(backend, params)
            return await self.call.run_within(self._middleware, running, backend, params)
        text = _legible(self._versions.current_params, claim)
        try:
            return await self.call.run_in(processes, text, running)
        except InvalidParamsError as error:  # the process reads the params first, and wraps exceptions of the handler
            raise _UnreadableError(error) from error

    def _ended(self) -> Settlement | PodEnd | None:
        claim = self.claim
        if self.is_handed_over:
            return PodEnd.LEFT
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
                return None if self.pods is None else PodEnd.SETTLED  # by the pod, or the claim is lost

    def _refused(self, outcome: Cancel) -> Settlement:
        reason = clean_text(str(outcome.reason), MAX_ERROR_CHARACTERS)
        return Cancelled(id=self.claim.id, token=self.claim.token, reason=reason, report=self._unreported())

    def _parked(self, cause: Exception) -> Settlement:
        """Return the failure of a parked job. It is never pruned, because the job has not run."""
        self.cause = cause
        claim, error = self.claim, clean_text(f"{UNREADABLE}{describe(cause)}", MAX_ERROR_CHARACTERS)
        ended = Ended(Outcome.UNREADABLE, type(cause).__name__)
        return Failed(id=claim.id, token=claim.token, error=error, retry_after=None, ended=ended)

    def _failed(self, cause: BaseException) -> Settlement | PodEnd | None:
        error = self.without_secrets(describe(cause))
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
        traceback = traceback_of(cause)
        return Ended(
            Outcome.TIMED_OUT if has_timed_out else Outcome.FAILED,
            error_class_of(error),
            None if traceback is None else stored_traceback(self.without_secrets(traceback)),
        )

    def without_secrets(self, text: str) -> str:
        """Mask the redacted params of this job. Mask all params if the row has a version other than the spec."""
        return _masking(self.claim, self.job)(text)

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
        return Report(self.context.progress, self.context.progress_message) if self.has_news else None


def isawaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Like `inspect.isawaitable`, but fast for coroutines and models."""
    return isinstance(value, CoroutineType) or (not isinstance(value, BaseModel) and inspect.isawaitable(value))


def _is_coroutine_function(handler: AnyHandler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


_is_known_to_be_async = lru_cache(maxsize=1024)(_is_coroutine_function)


def is_async(handler: AnyHandler) -> bool:
    """Whether the handler runs in the event loop; other handlers run in a thread."""
    try:
        return _is_known_to_be_async(handler)
    except TypeError:  # an object with `__call__` that cannot be hashed
        return _is_coroutine_function(handler)


def describe(error: BaseException) -> str:
    """Return the text to store for an error: type, message and place."""
    if isinstance(error, HandlerProcessError):
        return error.description
    message = _message_of(error)[: MAX_ERROR_CHARACTERS + 1]  # cleaning the rest would be wasted
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if not isinstance(error, InvalidDocumentError | UpcastError):
        text += error_place(error)
    return clean_text(text, MAX_ERROR_CHARACTERS)


def error_class_of(error: str) -> str | None:
    """Return the name of the exception at the start of the text of `describe`."""
    found = _ERROR_CLASS.match(error)
    return None if found is None else found[0]


def traceback_of(error: BaseException) -> str | None:
    """Return the traceback from the handler on, or None if it would show the engine only."""
    if isinstance(error, HandlerProcessError):
        return str(error.__cause__.args[0]) if isinstance(error.__cause__, TracebackThere) else None
    return None if isinstance(error, InvalidDocumentError) else short_traceback(error)


def is_being_cancelled() -> bool:
    """Whether the current task is being cancelled.

    Before Python 3.13, also after a child of an `asyncio.TaskGroup` has failed in this task.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a handler's own class
        return "(its message cannot be read)"
