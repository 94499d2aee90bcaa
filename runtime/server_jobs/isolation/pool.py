"""The processes in which a backend runs the handlers whose spec says `"runIn": "process"`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from ..context import JobContext
from ..contract.documents import WrittenResult
from ..contract.values import check
from ..definition import AnyDefinition, AnyHandler
from ..domain.outcomes import Cancel, Snooze
from ..errors import InvalidOptionError, InvalidParamsError, InvalidResultError, Problem
from ..registry import JobRegistry
from .import_path import import_path_of
from .log_record import levels
from .messages import Answer, Call, Declined, HandlerPaths, Misfit, Raised, Returned, Setup, Snoozed
from .process import HandlerProcess
from .raised import (
    FinalInProcessError,
    HandlerCrashedError,
    HandlerProcessError,
    RaisedInProcessError,
    RetriedInProcessError,
    TracebackThere,
)

DEFAULT_IDLE_TIME = timedelta(seconds=60)


class HandlerProcesses:
    """Runs each handler in a process that runs nothing else meanwhile, and which the next one is run in afterwards.

    There are never more of them than handlers run at one time; one that was not used for `idle_time` is ended.
    `database_url` is what a handler's context has as its database; with it, handlers enqueue and read other jobs.
    """

    def __init__(
        self, registry: JobRegistry, *, database_url: str | None = None, idle_time: timedelta = DEFAULT_IDLE_TIME
    ) -> None:
        self._registry = registry
        self._database_url = database_url
        self._idle_time = idle_time.total_seconds()
        self._idle: dict[HandlerProcess, asyncio.TimerHandle] = {}
        self._all: set[HandlerProcess] = set()

    def check(self, job: AnyDefinition, handler: AnyHandler) -> None:
        """Raise `InvalidOptionError` when another process could not import the handler or a model of the job."""
        _check_platform()
        _paths_of(job, handler)

    async def run(
        self, job: AnyDefinition, handler: AnyHandler, params: str, context: JobContext
    ) -> WrittenResult | Snooze | Cancel:
        """What the handler returns for these params (JSON text), which are validated over there, as is its result.

        Raises `InvalidParamsError` and `InvalidResultError` as they are, whatever else the handler raises as
        `HandlerProcessError`, and that one also when its process ends or its time is up. When the caller is cancelled,
        the process is gone by the time this ends.
        """
        call = Call(
            paths=_paths_of(job, handler),
            params=params,
            redact=list(job.options.redact),
            job_id=context.job_id,
            attempt=context.attempt,
            correlation_id=context.correlation_id,
            idempotency_key=context.idempotency_key,
        )
        return _outcome_of(job.job_name, await self._answer(call, context, job.options.timeout))

    def ids(self) -> list[int]:
        """The process ids of those that are there, whether or not they run a handler now."""
        return [process.pid for process in self._all if process.is_usable]

    async def close(self) -> None:
        """End all processes. Those that run a handler still are killed."""
        for process in list(self._idle):
            self._take_out(process)
        here = [process for process in self._all if process.loop is asyncio.get_running_loop()]
        await asyncio.gather(*(process.close() for process in here))

    async def _answer(self, call: Call, context: JobContext, limit: timedelta | None) -> Answer:
        while process := self._take():
            try:
                return await self._answer_in(process, call, context, limit)
            except HandlerCrashedError:
                if process.has_begun:
                    raise
                # It ended while it was idle, or when it was to begin: a new one may do.
        return await self._answer_in(await self._start(), call, context, limit)

    async def _answer_in(
        self, process: HandlerProcess, call: Call, context: JobContext, limit: timedelta | None
    ) -> Answer:
        try:
            answer = await process.run(call, context, limit)
        except BaseException:
            self._all.discard(process)
            raise
        self._keep(process)
        return answer

    async def _start(self) -> HandlerProcess:
        _check_platform()
        process = await HandlerProcess.start(
            Setup(
                database=self._database_url,
                database_schema=self._registry.database_schema,
                levels=levels(),
                jobs=list(self._importable()),
            )
        )
        self._all.add(process)
        return process

    def _take(self) -> HandlerProcess | None:
        """The process that was used last, of those that wait; None if none of this event loop does."""
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
        if process.is_usable:
            self._idle[process] = process.loop.call_later(self._idle_time, self._end, process)
        else:
            self._all.discard(process)

    def _end(self, process: HandlerProcess) -> None:
        self._take_out(process)
        self._all.discard(process)
        process.end()

    def _take_out(self, process: HandlerProcess) -> None:
        timer = self._idle.pop(process, None)
        if timer is not None:
            timer.cancel()

    def _importable(self) -> list[HandlerPaths]:
        """The jobs that a handler over there can run with `now`."""
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
    name = job.job_name
    return HandlerPaths(
        job_name=name,
        handler=import_path_of(f"the handler of {name}", handler),
        params_model=import_path_of(f"the params model of {name}", job.params_model),
        result_model=import_path_of(f"the result model of {name}", job.result_model),
    )


def _outcome_of(job_name: str, answer: Answer) -> WrittenResult | Snooze | Cancel:
    match answer:
        case Returned(result=text):
            if problems := check(text):
                raise InvalidResultError(job_name, problems)
            return WrittenResult(text)
        case Snoozed(delay=delay):
            return Snooze(delay)
        case Declined(reason=reason):
            return Cancel(reason)
        case Misfit(part=part, problems=pairs):
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
