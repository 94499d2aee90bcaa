"""One attempt of one job: read the params, call the handler, check the result, say what came of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import sys
import threading
import traceback
from collections.abc import Callable
from contextvars import copy_context
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePath

from pydantic import BaseModel

from .context import JobContext
from .documents import write_result
from .errors import InvalidDocumentError
from .job import AnyHandler, AnyJob, JobBackend, running_under
from .record import Claim, Completed, Failed, Heartbeat, Released, Report, Settlement
from .values import MAX_ERROR_CHARACTERS, clean_text

_logger = logging.getLogger("server_jobs")

HAS_THREADS = sys.platform != "emscripten"

# Whatever a handler raises is the outcome of its job. `sys.exit()` in a handler does not end the worker.
HANDLER_ERRORS = (Exception, SystemExit)


class Stop(StrEnum):
    """Why an attempt is ended from outside."""

    CANCELLED = "cancelled"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class HandlerCall:
    """One call of a handler, async or plain, within the timeout of its job.

    `lingering` is the thread of a plain handler; it may outlive the call, since a thread cannot be stopped.
    """

    def __init__(self, job: AnyJob, handler: AnyHandler, context: JobContext) -> None:
        self.lingering: asyncio.Future[object] | None = None
        self._job = job
        self._handler = handler
        self._context = context
        self._task: asyncio.Task[object] | None = None

    def stop(self) -> None:
        """Cancel an async handler where it waits; a plain one finds `context.cancelled` true."""
        self._context.cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def run(self, backend: JobBackend, params: BaseModel) -> object:
        """What the handler returns. Raises what it raises, and `TimeoutError` when its time is up."""
        limit = self._job.options.timeout
        bound = asyncio.timeout(None if limit is None else limit.total_seconds())
        self._task = asyncio.current_task()
        try:
            async with bound:
                with running_under(backend, self._context):
                    return await self._invoke(params)
        except TimeoutError as error:
            if not bound.expired():
                raise
            self._context.cancelled = True
            raise TimeoutError(f"the handler did not return within its timeout of {limit}") from error
        finally:
            self._task = None

    async def _invoke(self, params: BaseModel) -> object:
        if inspect.iscoroutinefunction(self._handler) or not HAS_THREADS:
            result = self._handler(params, self._context)
        else:
            self.lingering = in_thread(lambda: self._handler(params, self._context))
            result = await asyncio.shield(self.lingering)
        return await result if inspect.isawaitable(result) else result


class Attempt:
    """A claim being executed."""

    def __init__(
        self, *, claim: Claim, job: AnyJob, handler: AnyHandler, context: JobContext, lease: timedelta
    ) -> None:
        self.claim = claim
        self.job = job
        self.context = context
        self.lease = lease
        self.call = HandlerCall(job, handler, context)
        self.stopped: Stop | None = None
        self._reported = Report(0, None)

    def stop(self, reason: Stop) -> None:
        """End the handler early; the first reason counts."""
        if self.stopped is None:
            self.stopped = reason
            self.call.stop()

    async def run(self, backend: JobBackend) -> Settlement | None:
        """Execute the handler and say what to settle; None when the claim is lost, and there is nothing to say.

        Raises `CancelledError` only when the caller itself is cancelled.
        """
        claim = self.claim
        try:
            params = self.job.read_params(claim.record)
            result = await self.call.run(backend, params)
            _, text = write_result(self.job.job_name, self.job.result_model, result)
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
            return self._ended()
        except HANDLER_ERRORS as error:
            return self._failed(describe(error), error)
        return Completed(id=claim.id, token=claim.token, result=text, report=self._unreported())

    def heartbeat(self) -> Heartbeat:
        """A sign of life with the newest progress, which counts as reported from here on."""
        self._reported = Report(self.context.progress, self.context.progress_message)
        return Heartbeat(
            id=self.claim.id,
            token=self.claim.token,
            progress=self._reported.progress,
            message=self._reported.message,
        )

    @property
    def has_news(self) -> bool:
        """Whether there is progress that no heartbeat has carried."""
        return self._unreported() is not None

    def _ended(self) -> Settlement | None:
        claim = self.claim
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        match self.stopped:
            case Stop.CANCELLED:
                return Failed(
                    id=claim.id,
                    token=claim.token,
                    error="cancelled while it was running",
                    retry_after=None,
                    report=self._unreported(),
                )
            case Stop.SHUTDOWN:
                return Released(id=claim.id, token=claim.token, report=self._unreported())
            case _:
                return None

    def _failed(self, error: str, cause: BaseException) -> Failed:
        _logger.warning(
            "%s %s failed in attempt %d: %s",
            self.claim.job_name,
            self.claim.id,
            self.context.attempt,
            error,
            exc_info=None if isinstance(cause, InvalidDocumentError) else cause,
        )
        chance = random.random()  # noqa: S311  spreads load only
        return Failed(
            id=self.claim.id,
            token=self.claim.token,
            error=error,
            retry_after=self.job.options.retry.delay(self.context.attempt, chance),
            report=self._unreported(),
        )

    def _unreported(self) -> Report | None:
        newest = Report(self.context.progress, self.context.progress_message)
        return None if newest == self._reported else newest


def describe(error: BaseException) -> str:
    """An error as it is stored: its type, its message, and the innermost line it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if frames and not isinstance(error, InvalidDocumentError):
        place = "/".join(PurePath(frames[-1].filename).parts[-2:])
        text = f"{text} (at {place}:{frames[-1].lineno} in {frames[-1].name})"
    return clean_text(text, MAX_ERROR_CHARACTERS)


def in_thread(call: Callable[[], object]) -> asyncio.Future[object]:
    """Run a plain function in a daemon thread of its own, with the context variables of here.

    A thread each, not a pool: a handler that never returns takes a slot of the worker, never a thread that other
    handlers wait for, and it cannot keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()
    variables = copy_context()

    def settle(value: object, error: BaseException | None) -> None:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
            future.exception()

    def work() -> None:
        value: object = None
        error: BaseException | None = None
        try:
            value = variables.run(call)
        except StopIteration as stop:
            error = RuntimeError(f"the handler raised StopIteration: {stop}")
        except BaseException as raised:  # noqa: BLE001  carried to the loop, where it is settled
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name="server-jobs-handler", daemon=True).start()
    return future
