"""The program of a handler process: run the calls that the worker sends over a socket, one after the other.

Handlers run in the main thread, where signals can end them: a plain handler directly, an async one in the event loop. A
second thread reads from the worker. It can stop a handler that never awaits, and it ends the process when the worker is
gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import FrameType, MappingProxyType, NoneType
from typing import Any, cast

from pydantic import BaseModel

from ..binding import Run, current_run
from ..context import JobContext
from ..contract.documents import read_params, write_result
from ..contract.masking import masking
from ..contract.values import MAX_ERROR_CHARACTERS
from ..definition import AnyDefinition, AnyHandler, call_handler
from ..domain.outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
from ..domain.record import ClaimRequest, JobCount, JobQuery, JobRecord, JobSummary, UpcomingWork
from ..domain.statistics import BatchCounts
from ..domain.text_limits import clean_text
from ..domain.tracebacks import MAX_TRACEBACK_CHARACTERS, Mask, short_traceback
from ..errors import HandlerMissingError, InvalidDocumentError
from ..hooks import Hooks
from ..isolation.import_path import load
from ..isolation.limits import resident_memory
from ..isolation.log_record import logged
from ..isolation.messages import (
    Answer,
    Began,
    Call,
    Declined,
    InvalidDocument,
    Memory,
    Message,
    Progress,
    Raised,
    Returned,
    Setup,
    Snoozed,
    Stop,
    Surroundings,
    line_of,
    read_request,
)
from ..logs import JobLogFilter, enable_our_loggers, is_printed
from ..middleware import Entered, RunningAttempt, called_within, note_outcome
from ..registry import JobRegistry, Register
from ..resources import NO_RESOURCES, OpenLifespans, Resources
from .attempts.error_text import describe
from .attempts.factory import AttemptFactory
from .attempts.handler_call import is_async
from .backend import Backend

BackendOf = Callable[[str, JobRegistry, OpenLifespans], Backend]
"""Makes the backend of handlers from the URL of the worker's database."""

_REPORT_INTERVAL = 0.2
_LAST_MOMENT = 1.0


def main(descriptor: int) -> None:
    """Serve the worker at the other end of the socket until the socket is closed."""
    serve(descriptor, _backend_of)


def serve(descriptor: int, backend_of: BackendOf) -> None:
    """Like `main`, with another function that makes the backends of handlers."""
    os.set_inheritable(descriptor, False)
    HandlerProgram(socket.socket(fileno=descriptor), backend_of).run()


def run_in_here(backend: Backend, lifespans: OpenLifespans) -> None:
    """Let a backend run handlers in this process, with these lifespans."""
    backend.lifespans = lifespans
    backend.attempt_factory = AttemptFactory(backend.config, has_processes=False)


def _backend_of(database: str, registry: JobRegistry, lifespans: OpenLifespans) -> Backend:
    backend = Backend(database=database, job_registry=registry)
    run_in_here(backend, lifespans)
    return backend


@dataclass(frozen=True, slots=True)
class _Error:
    """An exception of a handler as a value, so that its traceback stays unchanged."""

    error: BaseException


class HandlerProgram:
    """State that the main thread and the reading thread share."""

    def __init__(self, connection: socket.socket, backend_of: BackendOf) -> None:
        self._connection = connection
        self._backend_of = backend_of
        self._lock = threading.RLock()
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._requests: asyncio.Queue[Setup | Call | None] = asyncio.Queue()
        self._place = _Place(Setup(database=None, database_schema=None, levels={}, jobs=[]), backend_of)
        self._context: JobContext | None = None
        self._running: RunningAttempt | None = None
        self._reported: tuple[int, str | None] = (0, None)
        self._task: asyncio.Task[object] | None = None
        self._is_busy = False
        self._is_stopped = False
        self._is_ended = False
        self._measures_memory = False

    def run(self) -> None:
        """Answer calls until the worker closes the socket or stops a call."""
        signal.signal(signal.SIGTERM, self._terminate)
        threading.Thread(target=self._listen, name="server-jobs-listener", daemon=True).start()
        with self._runner as runner:
            while (request := runner.run(self._requests.get())) is not None:
                if isinstance(request, Setup):
                    self._set_up(request)
                    continue
                answer = self._answer(request)
                _flush()
                self._finish(answer)
                if self._is_stopped:
                    break
            runner.run(self._place.close())

    # --- in the main thread --------------------------------------------------------------------------------------

    def _set_up(self, setup: Setup) -> None:
        for name, level in setup.levels.items():
            logging.getLogger(name or None).setLevel(level)
        logging.getLogger().addHandler(_ToWorker(self._send))
        self._place = _Place(setup, self._backend_of)
        self._measures_memory = setup.measures_memory

    def _answer(self, call: Call) -> Answer:
        name, mask = call.paths.job_name, masking(call.params, call.redact)
        try:
            self._place.hooks.set_up()  # the module of a handler may need it
            handler = cast("AnyHandler", load(call.paths.handler))
            params_model = cast("type[BaseModel]", load(call.paths.params_model))
            result_path = call.paths.result_model
            result_model = NoneType if result_path is None else cast("type[BaseModel]", load(result_path))
            params = read_params(name, params_model, call.params, call.redact)
            enable_our_loggers()  # the import of the handler may have disabled them
            backend = self._place.backend_for(handler)
            context = self._begin(call, backend, mask)
            variables = copy_context()
            variables.run(current_run.set, Run(backend and (backend.for_handlers or backend), context))
            if call.surroundings is not None:
                entered = self._enter(call, call.surroundings, variables, mask)
                if isinstance(entered, _Error):
                    return _raised(entered.error, mask)
                outcome = self._call(handler, params, context, variables)
                return self._leave(entered, name, result_model, outcome, variables, mask)
            outcome = self._call(handler, params, context, variables)
            if isinstance(outcome, _Error):
                return _raised(outcome.error, mask)
            return _answer_to(name, result_model, outcome, mask)
        except InvalidDocumentError as error:
            return _invalid_document(error, mask)
        except BaseException as error:  # noqa: BLE001  models and modules are user code
            return _raised(error, mask)

    def _begin(self, call: Call, backend: Backend | None, mask: Mask) -> JobContext:
        context = self._place.context_of(call, backend, self._runner.run(self._place.open_resources()))
        context.mask = mask
        with self._lock:
            context.cancelled = self._is_stopped
            self._reported = (0, None)
            self._context = context
        self._send(Began())
        return context

    def _enter(self, call: Call, surroundings: Surroundings, variables: Context, mask: Mask) -> Entered | _Error:
        """Enter the middleware. The handler sees its context variables."""
        self._running = _running(call, surroundings, mask)
        try:
            entering = Entered.enter(self._place.hooks.middleware, self._running)
            return self._runner.run(entering, context=variables)
        except BaseException as error:  # noqa: BLE001  middleware is user code
            return _Error(error)

    def _leave(
        self,
        entered: Entered,
        name: str,
        result_model: type[BaseModel | None],
        outcome: object,
        variables: Context,
        mask: Mask,
    ) -> Answer:
        """Leave the middleware, which sees whether the result fits, and return the answer."""
        error: BaseException | None = None
        answer: Answer
        try:
            if isinstance(outcome, _Error):
                error, answer = outcome.error, _raised(outcome.error, mask)
            else:
                answer = _answer_to(name, result_model, outcome, mask)
        except InvalidDocumentError as invalid:
            error, answer = invalid, _invalid_document(invalid, mask)
        except BaseException as raised:  # noqa: BLE001  models are user code
            error, answer = raised, _raised(raised, mask)
        counts = self._runner.run(entered.leave(error, outcome), context=variables)
        return answer if counts is None or counts is error else _raised(counts, mask)

    def _call(self, handler: AnyHandler, params: BaseModel, context: JobContext, variables: Context) -> object:
        call = partial(call_handler, handler, params, context)
        if is_async(handler):
            return self._runner.run(self._awaited(call), context=variables)
        try:
            result = variables.run(self._called, call)
        except StopIteration as stop:
            return _Error(RuntimeError(f"the handler raised StopIteration: {stop}"))
        except GeneratorExit:
            return _Error(RuntimeError("the handler raised GeneratorExit"))
        except BaseException as error:  # noqa: BLE001  any exception is the outcome
            return _Error(error)
        if asyncio.isfuture(result) or asyncio.iscoroutine(result) or hasattr(result, "__await__"):
            return self._runner.run(self._awaited(lambda: result), context=variables)
        return result

    def _called(self, call: Callable[[], object]) -> object:
        """Call the plain handler, within middleware if there is any."""
        return call() if self._running is None else called_within(self._place.hooks.middleware, self._running, call)

    async def _awaited(self, call: Callable[[], Any]) -> object:
        self._task = asyncio.current_task()
        try:
            return _Error(asyncio.CancelledError()) if self._is_stopped else await call()
        except asyncio.CancelledError as error:
            if self._is_stopped:
                return _Error(error)
            reason = RuntimeError("the handler awaited something that was cancelled")
            reason.__cause__ = error
            return _Error(reason)
        except GeneratorExit:
            return _Error(RuntimeError("the handler raised GeneratorExit"))
        except BaseException as error:  # noqa: BLE001  any exception is the outcome
            return _Error(error)
        finally:
            self._task = None

    def _finish(self, answer: Answer) -> None:
        with self._lock:
            self._report()
            if self._measures_memory:
                self._send(Memory(used=resident_memory()))
            self._context, self._running, self._is_busy = None, None, False
            self._send(answer)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """End a handler that ignored the request to stop. Ignore signals to the whole process group."""
        del frame
        if self._is_ended:
            sys.exit(128 + number)

    # --- in the reading thread -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            while True:
                is_readable = selector.select(_REPORT_INTERVAL if self._is_busy else None)
                with self._lock:
                    self._report()
                if not is_readable:
                    continue
                received = self._receive()
                if not received:
                    return self._end()
                *lines, rest = (rest + received).split(b"\n")
                for line in lines:
                    self._take(line)

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(256 * 1024)
        except ConnectionError:
            return b""

    def _take(self, line: bytes) -> None:
        request = read_request(line)
        if isinstance(request, Stop):
            with self._lock:
                self._is_stopped = True
                if self._context is not None:
                    self._context.cancelled = True
                if self._running is not None:
                    note_outcome(self._running, request.outcome)
            self._loop.call_soon_threadsafe(self._cancel)
            if request.firmly:
                self._is_ended = True
                os.kill(os.getpid(), signal.SIGTERM)
            return
        self._is_busy = self._is_busy or isinstance(request, Call)
        self._loop.call_soon_threadsafe(self._requests.put_nowait, request)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _report(self) -> None:
        if self._context is None:
            return
        newest = self._context.progress, self._context.progress_message
        if newest != self._reported:
            self._reported = newest
            self._send(Progress(percent=newest[0], message=newest[1]))

    def _end(self) -> None:
        """End the process: the worker is gone or closed the socket."""
        if self._is_busy:
            _kill_all()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._requests.put_nowait, None)
        time.sleep(_LAST_MOMENT)
        os._exit(0)  # a thread of a handler, for example, prevents a regular exit

    def _send(self, message: Message) -> None:
        line = line_of(message)
        with self._lock, suppress(OSError):  # the worker is gone; the reading thread ends the process
            self._connection.sendall(line)


class _Place:
    """The surroundings of a handler: the jobs of the worker, and its database, opened when a handler needs it."""

    def __init__(self, setup: Setup, backend_of: BackendOf) -> None:
        self._database = setup.database
        self._backend_of = backend_of
        self._registry = _JobsElsewhere(setup)
        for path in setup.set_ups:
            self._registry.set_up(cast("Register", load(path)))
        self._lifespans = OpenLifespans(lambda: self.hooks.lifespans)
        self._backends: dict[bool, Backend] = {}

    @property
    def hooks(self) -> Hooks:
        """The middleware and the lifespans of this process."""
        return self._registry.hooks

    async def open_resources(self) -> Resources:
        """Open the lifespans at the first call."""
        return await self._lifespans.open() if self.hooks.lifespans else NO_RESOURCES

    def backend_for(self, handler: AnyHandler) -> Backend | None:
        """Return the backend for job classes; None if the worker's database has no URL.

        A backend belongs to one event loop. Plain handlers run outside of the loop of async handlers, and get another
        backend.
        """
        if self._database is None:
            return None
        kind = is_async(handler)
        if kind not in self._backends:
            self._backends[kind] = self._backend_of(self._database, self._registry, self._lifespans)
        return self._backends[kind]

    def context_of(self, call: Call, backend: Backend | None, resources: Resources) -> JobContext:
        """Return the context of a call, equal to the one that the worker would make."""
        context = JobContext(
            job_name=call.paths.job_name,
            job_id=call.job_id,
            attempt=call.attempt,
            correlation_id=call.correlation_id,
            database=self._database,
            jobs=None if backend is None or call.job_id is None else _OpeningReader(backend),
            resources=resources,
        )
        context.idempotency_key = call.idempotency_key
        return context

    async def close(self) -> None:
        """Close the resources and the backend of this event loop."""
        await self._lifespans.close()
        if True in self._backends:
            await self._backends[True].shutdown()


class _JobsElsewhere(JobRegistry):
    """The registry of the worker; each handler is imported when it is needed."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(database_schema=setup.database_schema, routing=setup.routing())
        self._paths = {paths.job_name: paths.handler for paths in setup.jobs}

    def handler_of(self, job: AnyDefinition) -> AnyHandler:
        path = self._paths.get(job.job_name)
        handler = cast("AnyHandler | None", job.handler if path is None else load(path))
        if handler is None:
            raise HandlerMissingError(job.job_name)
        return handler


class _OpeningReader:
    """Read jobs of a backend, and open it first."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get(self, job_id: str) -> JobRecord | None:
        await self._backend.initialize()
        return await self._backend.store.get(job_id)

    async def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        await self._backend.initialize()
        return await self._backend.store.list_jobs(query)

    async def summary(self, job_id: str) -> JobSummary | None:
        await self._backend.initialize()
        return await self._backend.store.summary(job_id)

    async def list_summaries(self, query: JobQuery) -> Sequence[JobSummary]:
        await self._backend.initialize()
        return await self._backend.store.list_summaries(query)

    async def count_batch(self, batch_id: str) -> BatchCounts | None:
        await self._backend.initialize()
        return await self._backend.store.count_batch(batch_id)

    async def batch_jobs(self, batch_id: str, job_name: str) -> Sequence[str]:
        await self._backend.initialize()
        return await self._backend.store.batch_jobs(batch_id, job_name)

    async def count_jobs(self, *, since: datetime | None = None, newest: int | None = None) -> Sequence[JobCount]:
        await self._backend.initialize()
        return await self._backend.store.count_jobs(since=since, newest=newest)

    async def count_due(self, request: ClaimRequest) -> int:
        await self._backend.initialize()
        return await self._backend.store.count_due(request)

    async def upcoming_work(self, request: ClaimRequest) -> UpcomingWork:
        await self._backend.initialize()
        return await self._backend.store.upcoming_work(request)


class _ToWorker(logging.Handler):
    """Send every log record with the ids of its job to the worker, unless the application prints it here."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__()
        self._send = send
        self.addFilter(JobLogFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if not is_printed(record):
                self._send(logged(record))
        except Exception:  # noqa: BLE001  like every handler of logging
            self.handleError(record)


def _running(call: Call, surroundings: Surroundings, mask: Mask) -> RunningAttempt:
    return RunningAttempt(
        job_name=call.paths.job_name,
        job_id=call.job_id,
        attempt=call.attempt,
        max_attempts=surroundings.max_attempts,
        queue=surroundings.queue,
        correlation_id=call.correlation_id,
        headers=MappingProxyType(surroundings.headers),
        mask=mask,
    )


def _answer_to(job_name: str, result_model: type[BaseModel | None], outcome: object, mask: Mask) -> Answer:
    match outcome:
        case Snooze(delay=delay):
            return Snoozed(delay=delay)
        case Cancel(reason=reason):
            return Declined(reason=clean_text(mask(str(reason)), MAX_ERROR_CHARACTERS))
        case _:
            return Returned(result=write_result(job_name, result_model, outcome)[1])


def _invalid_document(error: InvalidDocumentError, mask: Mask) -> InvalidDocument:
    problems: list[tuple[str, str]] = []
    left = MAX_ERROR_CHARACTERS  # the limit of the row
    for problem in error.problems:
        if left <= 0:
            break
        pointer, message = (clean_text(mask(text), left) for text in (problem.pointer, problem.message))
        problems.append((pointer, message))
        left -= len(pointer) + len(message)
    return InvalidDocument(part="params" if error.part == "params" else "result", problems=problems)


def _raised(error: BaseException, mask: Mask) -> Raised:
    return Raised(
        description=describe(error, mask),
        traceback=clean_text(short_traceback(error, mask), MAX_TRACEBACK_CHARACTERS),
        is_final=isinstance(error, DoNotRetryError),
        delay=error.delay if isinstance(error, RetryAfterError) else None,
    )


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _kill_all() -> None:
    """Kill this process and the processes that its handlers started."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
