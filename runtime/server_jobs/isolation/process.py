"""One process that runs handlers, one after the other, as the worker sees it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import timedelta

from ..context import JobContext
from .log_record import log_here
from .messages import (
    LONGEST_LINE,
    Answer,
    Began,
    Call,
    Logged,
    Message,
    Progress,
    Reply,
    Setup,
    Stop,
    line_of,
    read_reply,
)
from .raised import HandlerCrashedError, HandlerProcessError

# As `-m server_jobs.engine.handler_process`, but with the module path of this process from the first import on.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from server_jobs.engine.handler_process import main; main(int(sys.argv[1]))"
)

LONGEST_START = timedelta(minutes=1)
POLITE_SECONDS = 0.15
FIRM_SECONDS = 0.05
"""How long a handler that is stopped may go on when it has been asked to end, and then when it has been told to.

Together less than a worker waits at its end before it gives jobs back: by then no handler of them runs any more.
"""
_LAST_WORDS = 0.1
_LAST_MOMENTS = 1.5


class HandlerProcess:
    """A running process. It lives as long as the event loop it was started in, at most, and never outlives us."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_usable = True
        """Whether another handler may be run in it, once it runs none."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._context: JobContext | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._limit: timedelta | None = None
        self._bound = asyncio.timeout(None)
        self._job_name = ""
        self.has_begun = False
        """Whether the handler that was run last was called at all."""
        self._fault: str | None = None
        self._attending = self.loop.create_task(self._attend())

    @classmethod
    async def start(cls, setup: Setup) -> HandlerProcess:
        """Start a process. Raises `OSError` when the system refuses."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                arguments = (sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno()), json.dumps(sys.path))
                process = await asyncio.create_subprocess_exec(
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C is for the worker, which lets handlers finish; and what handlers start ends with them.
                    start_new_session=True,
                )
            reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        except BaseException:
            ours.close()  # which ends the process, if there is one
            raise
        started = cls(process, reader, writer)
        started._send(setup)
        return started

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def run(self, call: Call, context: JobContext, limit: timedelta | None) -> Answer:
        """What came of calling the handler; its progress goes to that context while it runs.

        The limit holds from the moment at which the handler begins: starting and importing are not its time. Whatever
        ends the call early, a cancelled caller included, ends the process: first it is asked, then it is killed.
        Raises `HandlerProcessError` when there is no answer.
        """
        self._context, self._limit, self._job_name, self.has_begun = context, limit, context.job_name, False
        if self._attending.done():
            raise HandlerCrashedError(self._job_name, "was gone before it began")
        self._answer = self.loop.create_future()
        self._bound = asyncio.timeout(LONGEST_START.total_seconds())
        try:
            async with self._bound:
                self._send(call)
                return await self._answer
        except TimeoutError as error:
            context.cancelled = True
            await self._stop()
            raise self._too_late() from error
        except BaseException:
            await self._stop()
            raise
        finally:
            self._context = self._answer = None

    def end(self) -> None:
        """Let it end, now that it runs nothing."""
        self.is_usable = False
        self._writer.close()

    async def close(self) -> None:
        """End it, or kill it if it runs a handler still, and wait until it is gone."""
        if self._answer is None:
            self.end()
        else:
            self._kill()
        await self._ends_within(None)

    async def _attend(self) -> None:
        """Listen to it until it ends, and see to it that it does."""
        listening = self.loop.create_task(self._listen())
        exiting = self.loop.create_task(self._process.wait())  # a copy of its end of the pair may be open elsewhere
        try:
            await asyncio.wait({listening, exiting}, return_when=asyncio.FIRST_COMPLETED)
            self.is_usable = False
            # Its last words may be on their way still, or it is about to exit.
            await asyncio.wait({listening, exiting}, timeout=_LAST_WORDS if exiting.done() else _LAST_MOMENTS)
        finally:
            self.is_usable = False
            listening.cancel()
            self._kill()
            self._writer.close()
            with suppress(ConnectionError):
                await self._writer.wait_closed()
            status = await self._process.wait()
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(HandlerCrashedError(self._job_name, self._fault or _end_of(status)))

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._receive(read_reply(line))
        except ConnectionError:
            pass
        except ValueError:
            self._fault = "wrote to the channel of the engine, and was ended"
            self._kill()

    def _receive(self, reply: Reply) -> None:
        match reply:
            case Logged():
                with suppress(Exception):  # the filters and handlers of the user
                    log_here(reply, self.pid)
            case Began():
                self._begin()
            case Progress():
                if self._context is not None:
                    self._context.progress, self._context.progress_message = reply.percent, reply.message
            case _:
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(reply)

    def _begin(self) -> None:
        self.has_begun = True
        if self._answer is not None and not self._answer.done() and not self._bound.expired():
            limit = None if self._limit is None else self.loop.time() + self._limit.total_seconds()
            self._bound.reschedule(limit)

    async def _stop(self) -> None:
        """Ask, then demand, then kill; at once if whoever waits for this is cancelled meanwhile."""
        self.is_usable = False
        try:
            self._send(Stop())
            if not await self._ends_within(POLITE_SECONDS):
                self._send(Stop(firmly=True))
                await self._ends_within(FIRM_SECONDS)
        finally:
            self._kill()
        await self._ends_within(None)

    async def _ends_within(self, seconds: float | None) -> bool:
        done, _ = await asyncio.wait({self._attending}, timeout=seconds)
        return bool(done)

    def _send(self, message: Message) -> None:
        if not self._writer.is_closing():
            self._writer.write(line_of(message))

    def _too_late(self) -> HandlerProcessError:
        if self.has_begun:
            return HandlerProcessError(f"TimeoutError: the handler did not return within its timeout of {self._limit}")
        return HandlerCrashedError(self._job_name, f"did not begin within {LONGEST_START}")

    def _kill(self) -> None:
        """The process and what it started."""
        # Not by `Process.kill`: that one looks for the exit status, which is the event loop's to collect.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def _end_of(status: int) -> str:
    if status >= 0:
        return f"exited with status {status} before the handler returned"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "an unknown signal"
    hint = "; the system ends processes so when memory runs out" if -status == signal.SIGKILL else ""
    return f"was ended by signal {-status} ({name}) before the handler returned{hint}"
