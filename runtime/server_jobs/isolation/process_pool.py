"""The processes of a backend, for handlers with `"runIn": "process"`."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta
from types import NoneType

from ..context import JobContext
from ..contract.documents import WrittenResult
from ..contract.values import check
from ..definition import AnyDefinition, AnyHandler
from ..domain.outcomes import Cancel, Snooze
from ..errors import InvalidOptionError, InvalidParamsError, InvalidResultError, Problem
from ..middleware import RunningAttempt
from ..registry import JobRegistry
from .import_path import import_path_of
from .limits import ProcessLimits
from .log_record import levels
from .messages import (
    Answer,
    AttemptFacts,
    Call,
    Cancelled,
    HandlerPaths,
    InvalidDocument,
    Raised,
    Returned,
    Setup,
    Snoozed,
)
from .process import HandlerProcess
from .raised import (
    FinalInProcessError,
    HandlerCrashedError,
    HandlerProcessError,
    RaisedInProcessError,
    RetriedInProcessError,
    TracebackThere,
)
from .source_imports import source_folders

DEFAULT_IDLE_TIME = timedelta(seconds=60)

_logger = logging.getLogger("server_jobs")


class HandlerProcesses:
    """A pool of processes. A process runs one handler at a time, and is reused for the next one.

    The pool has at most one process per running handler. It ends a process that was idle for `idle_time`, or that
    reached one of the `limits`. Handlers can enqueue and read other jobs if `database_url` is set; it is also the
    database of their context. `program` names the module with the `main` of a process.
    """

    def __init__(
        self,
        program: str,
        registry: JobRegistry,
        *,
        database_url: str | None = None,
        idle_time: timedelta = DEFAULT_IDLE_TIME,
        limits: ProcessLimits | None = None,
    ) -> None:
        self._program = program
        self._registry = registry
        self._database_url = database_url
        self._idle_time = idle_time.total_seconds()
        self._limits = limits or ProcessLimits()
        self._idle: dict[HandlerProcess, asyncio.TimerHandle] = {}
        self._all: set[HandlerProcess] = set()

    def check(self, job: AnyDefinition, handler: AnyHandler) -> None:
        """Raise `InvalidOptionError` if another process could not import the handler, a model or a set-up function."""
        _check_platform()
        _paths_of(job, handler)
        _set_ups_of(self._registry)
        _database_of(self._registry)

    async def run(
        self,
        job: AnyDefinition,
        handler: AnyHandler,
        params: str,
        context: JobContext,
        running: RunningAttempt | None = None,
    ) -> WrittenResult | Snooze | Cancel:
        """Run a handler with these params (JSON text) and return its result. The process validates both.

        Raises `InvalidParamsError` or `InvalidResultError`. Every other error of the handler, a timeout and the end of
        the process raise `HandlerProcessError`. If the caller is cancelled, the process has ended when this raises.
        `running` is for the middleware of the process.
        """
        call = Call(
            paths=_paths_of(job, handler),
            params=params,
            redact=list(job.options.redact),
            job_id=context.job_id,
            attempt=context.attempt,
            correlation_id=context.correlation_id,
            idempotency_key=context.idempotency_key,
            facts=None if running is None else _facts(running),
        )
        return _outcome_of(job.job_name, await self._answer(call, context, job.options.timeout, running))

    def ids(self) -> list[int]:
        """The ids of all processes, busy or idle."""
        return [process.pid for process in self._all if process.is_usable]

    async def close(self) -> None:
        """End all idle processes and kill the busy ones."""
        for process in list(self._idle):
            self._take_out(process)
        here = [process for process in self._all if process.loop is asyncio.get_running_loop()]
        await asyncio.gather(*(process.close() for process in here))

    async def _answer(
        self, call: Call, context: JobContext, limit: timedelta | None, running: RunningAttempt | None
    ) -> Answer:
        while process := self._take():
            try:
                return await self._answer_in(process, call, context, limit, running)
            except HandlerCrashedError:
                if process.has_begun:
                    raise
                # The process ended before the handler started: try a new one.
        return await self._answer_in(await self._start(), call, context, limit, running)

    async def _answer_in(
        self,
        process: HandlerProcess,
        call: Call,
        context: JobContext,
        limit: timedelta | None,
        running: RunningAttempt | None,
    ) -> Answer:
        try:
            answer = await process.run(call, context, limit, running)
        except BaseException:
            self._all.discard(process)
            raise
        self._keep(process)
        return answer

    async def _start(self) -> HandlerProcess:
        _check_platform()
        process = await HandlerProcess.start(
            self._program,
            Setup(
                database=self._database_url,
                database_schema=self._registry.database_schema,
                databases=_databases_of(self._registry),
                database_of=_database_of(self._registry),
                levels=levels(),
                jobs=list(self._importable()),
                set_ups=_set_ups_of(self._registry),
                source_folders=source_folders(),
                measures_memory=self._limits.max_memory is not None,
            ),
        )
        self._all.add(process)
        return process

    def _take(self) -> HandlerProcess | None:
        """Return the idle process of this event loop that was used last, or None."""
        loop = asyncio.get_running_loop()
        for process in reversed(list(self._idle)):
            if process.loop is not loop and not process.loop.is_closed():
                continue
            self._take_out(process)
            if process.is_usable and process.loop is loop:
                return process
            self._all.discard(process)
        return None

    def _keep(self, process: HandlerProcess) -> None:
        if not process.is_usable:
            self._all.discard(process)
        elif reason := self._limits.reached(process.jobs, lambda: process.memory):
            _logger.info("handler process %d ends: %s", process.pid, reason)
            self._end(process)
        else:
            self._idle[process] = process.loop.call_later(self._idle_time, self._end, process)

    def _end(self, process: HandlerProcess) -> None:
        self._take_out(process)
        self._all.discard(process)
        process.end()

    def _take_out(self, process: HandlerProcess) -> None:
        timer = self._idle.pop(process, None)
        if timer is not None:
            timer.cancel()

    def _importable(self) -> list[HandlerPaths]:
        """Return the jobs that a handler in a process can run with `now`."""
        found: list[HandlerPaths] = []
        for registration in self._registry.registrations():
            if registration.handler is not None:
                try:
                    found.append(_paths_of(registration.job, registration.handler))
                except InvalidOptionError:
                    continue
        return found


def _check_platform() -> None:
    if sys.platform == "win32":
        raise InvalidOptionError("handlers cannot run in processes of their own on Windows; set runIn to worker")
    if not sys.executable:
        raise InvalidOptionError("no process can be started: sys.executable is empty; set it to a Python interpreter")


def _paths_of(job: AnyDefinition, handler: AnyHandler) -> HandlerPaths:
    name, result = job.job_name, job.result_model
    return HandlerPaths(
        job_name=name,
        handler=import_path_of(f"the handler of {name}", handler),
        params_model=import_path_of(f"the params model of {name}", job.params_model),
        result_model=None if result is NoneType else import_path_of(f"the result model of {name}", result),
    )


def _facts(running: RunningAttempt) -> AttemptFacts:
    return AttemptFacts(max_attempts=running.max_attempts, queue=running.queue, headers=dict(running.headers))


def _set_ups_of(registry: JobRegistry) -> list[str]:
    """Return the import paths of the set-up functions. Raises `InvalidOptionError`."""
    hooks = registry.hooks
    if not hooks.is_transferable:
        raise InvalidOptionError(
            "handlers in their own processes cannot have the middleware and lifespans that were added to the registry "
            "directly; add them in a function at the top level of a module, and call registry.set_up(function)"
        )
    return [import_path_of("the set-up function of the registry", function) for function in hooks.set_ups]


def _databases_of(registry: JobRegistry) -> dict[str, str]:
    return {} if registry.routing is None else dict(registry.routing.variables)


def _database_of(registry: JobRegistry) -> str | None:
    """Return the import path of the function that chooses a database. Raises `InvalidOptionError`."""
    choose = None if registry.routing is None else registry.routing.database_of
    return None if choose is None else import_path_of("database_of of the registry", choose)


def _outcome_of(job_name: str, answer: Answer) -> WrittenResult | Snooze | Cancel:
    match answer:
        case Returned(result=text):
            if problems := check(text):
                raise InvalidResultError(job_name, problems)
            return WrittenResult(text)
        case Snoozed(delay=delay):
            return Snooze(delay)
        case Cancelled(reason=reason):
            return Cancel(reason)
        case InvalidDocument(part=part, problems=pairs):
            refusal = InvalidParamsError if part == "params" else InvalidResultError
            raise refusal(job_name, [Problem(pointer, message) for pointer, message in pairs])
        case Raised():
            raise _error_of(answer) from TracebackThere(answer.traceback)


def _error_of(raised: Raised) -> HandlerProcessError:
    if raised.is_final:
        return FinalInProcessError(raised.description)
    if raised.delay is not None:
        return RetriedInProcessError(raised.description, raised.delay)
    return RaisedInProcessError(raised.description)
