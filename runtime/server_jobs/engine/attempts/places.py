"""Where and how a handler is called: in the event loop or a thread of this process, or in a process of its own.

A place runs attempts with a call, which ends at the timeout of the job. Plug-ins bring more places; see `place_kinds`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from functools import lru_cache, partial
from types import CoroutineType
from typing import TYPE_CHECKING, Protocol, TypeGuard, TypeVar

from pydantic import BaseModel

from ...binding import Binding, Run, current_run
from ...concurrency.handler_threads import in_thread
from ...concurrency.tasks import is_being_cancelled, shielded
from ...context import JobContext
from ...contract.documents import WrittenResult, write_result
from ...definition import AnyDefinition, AnyHandler, call_handler
from ...domain.clock import exact_length
from ...domain.outcomes import Cancel, Snooze
from ...domain.record import Outcome
from ...errors import InvalidParamsError
from ...middleware import Middleware, RunningAttempt, called_within, note_outcome, surrounded

if TYPE_CHECKING:
    from ...isolation.process_pool import HandlerProcesses
    from .attempt import Attempt
    from .leases import LeaseKeeper

T = TypeVar("T")

HAS_THREADS = sys.platform != "emscripten"

# Any other exception is the outcome of the job: `sys.exit()` in a handler does not end the worker.
PASSED_ON = (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)


class HandlerCall:
    """One call of a handler within the timeout of its job.

    `lingering` is the thread of a `ThreadCall`. It may outlive the call, because Python cannot stop a thread.
    """

    def __init__(self, job: AnyDefinition, handler: AnyHandler, context: JobContext) -> None:
        self._job = job
        self.handler = handler
        self.context = context
        self.lingering: asyncio.Future[object] | None = None
        self.has_timed_out = False
        self._task: asyncio.Task[object] | None = None
        self._is_stopped = False
        self._middleware: Sequence[Middleware] = ()
        self._running: RunningAttempt | None = None

    def stop(self) -> None:
        """Cancel an async handler at its next `await`. A plain handler sees `context.cancelled`."""
        self.context.cancelled = True
        if self._task is not None:
            self._is_stopped = True
            self._task.cancel()

    async def run(self, backend: Binding | None, params: BaseModel) -> object:
        """Return the result of the handler. Raises its exception, or `TimeoutError` after the timeout.

        Raises `CancelledError` only when `stop` was called or the caller itself is cancelled.
        """
        self._task = asyncio.current_task()
        outside = current_run.set(tuple.__new__(Run, (backend, self.context)))  # `Run(...)` is a call per job
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
        self, middleware: Sequence[Middleware], running: RunningAttempt, backend: Binding | None, params: BaseModel
    ) -> WrittenResult | Snooze | Cancel:
        """Like `run`, within middleware. Write the result too, so that the middleware sees whether it fits."""
        self._middleware, self._running = middleware, running

        async def call() -> WrittenResult | Snooze | Cancel:
            if self.context.cancelled:
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

    async def wait_for(self, running: Awaitable[T]) -> T:
        """Wait for a handler that runs outside of this process. `stop` cancels the wait."""
        self._task = asyncio.current_task()
        try:
            return await running
        finally:
            self._end()

    async def wait_within_timeout(self, running: Awaitable[T]) -> T:
        """Like `wait_for`, for a place that does not end a late handler itself: cancel the wait after the timeout.

        Raises `TimeoutError` then, and the attempt counts as timed out.
        """
        limit = self._job.options.timeout
        bound = asyncio.timeout(None if limit is None else limit.total_seconds())
        try:
            async with bound:
                return await self.wait_for(running)
        except TimeoutError as error:
            if limit is None or not bound.expired():
                raise
            raise self._late(limit) from error

    def _late(self, limit: timedelta) -> TimeoutError:
        self.context.cancelled = self.has_timed_out = True
        return TimeoutError(f"the handler did not return within its timeout of {exact_length(limit)}")

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
            raise self._late(limit) from error

    def _begin(self, params: BaseModel) -> object:
        """Call the handler. Return its result, or an awaitable of it."""
        return call_handler(self.handler, params, self.context)


class ThreadCall(HandlerCall):
    """One call of a plain handler, in a thread."""

    def _begin(self, params: BaseModel) -> object:
        return self._in_thread(params)

    async def _in_thread(self, params: BaseModel) -> object:
        self.lingering = in_thread(lambda: self._called(params))
        result = await shielded(self.lingering)
        return await result if isawaitable(result) else result

    def _called(self, params: BaseModel) -> object:
        """Call the plain handler, in its thread."""
        call = partial(call_handler, self.handler, params, self.context)
        return call() if self._running is None else called_within(self._middleware, self._running, call)


class UnreadableParamsError(Exception):
    """The params of a row cannot be read. The message says why."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Place(Protocol):
    """Runs the handlers of attempts. The defaults are for a place outside of this process."""

    call: type[HandlerCall] = HandlerCall
    """How the place calls a handler."""
    is_here: bool = False
    """Whether handlers run in this process."""
    settles: bool = False
    """Whether the place stores outcomes itself."""

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """Return the result of the handler, `Snooze` or `Cancel`; `SettledElsewhere` if the place has stored it.

        Raises the exception of the handler, and `UnreadableParamsError`. `leases` renews the lease of the attempt.
        """
        ...


class InLoop:
    """The event loop of this process."""

    call = HandlerCall
    is_here = True
    settles = False

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`."""
        del leases
        params = attempt.read_params()
        if attempt.running is None:
            return await attempt.call.run(backend, params)
        return await attempt.call.run_within(attempt.middleware, attempt.running, backend, params)


class InThread(InLoop):
    """A thread of this process, for plain handlers."""

    call = ThreadCall


class InProcess:
    """A process of its own, which reads the params and writes the result."""

    call = HandlerCall
    is_here = False
    settles = False

    def __init__(self, processes: HandlerProcesses) -> None:
        self._processes = processes

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        """As in `Place`."""
        del backend, leases
        call, text = attempt.call, attempt.current_params()
        try:
            return await call.wait_for(
                self._processes.run(attempt.job, call.handler, text, call.context, attempt.running)
            )
        except InvalidParamsError as error:  # the process reads the params first, and wraps exceptions of the handler
            raise UnreadableParamsError(error) from error


_IN_LOOP, _IN_THREAD = InLoop(), InThread()


def place_here(handler: AnyHandler) -> Place:
    """Return the place of a handler in this process."""
    return _IN_LOOP if runs_in_loop(handler) else _IN_THREAD


def call_of(job: AnyDefinition, handler: AnyHandler, context: JobContext) -> HandlerCall:
    """Return the call of a handler in this process."""
    return (HandlerCall if runs_in_loop(handler) else ThreadCall)(job, handler, context)


def runs_in_loop(handler: AnyHandler) -> bool:
    """Whether the handler runs in the event loop of this process; other handlers run in a thread."""
    return is_async(handler) or not HAS_THREADS


def isawaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Like `inspect.isawaitable`, but fast for coroutines and models."""
    return isinstance(value, CoroutineType) or (not isinstance(value, BaseModel) and inspect.isawaitable(value))


def _is_coroutine_function(handler: AnyHandler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


_is_known_to_be_async = lru_cache(maxsize=1024)(_is_coroutine_function)


def is_async(handler: AnyHandler) -> bool:
    """Whether the handler is async."""
    try:
        return _is_known_to_be_async(handler)
    except TypeError:  # an object with `__call__` that cannot be hashed
        return _is_coroutine_function(handler)
