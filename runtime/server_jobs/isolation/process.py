"""One handler process, as the worker sees it. It runs one handler after the other."""

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
from ..domain.clock import exact_length
from ..domain.record import Outcome
from ..middleware import RunningAttempt
from .log_record import log_here
from .messages import (
    LONGEST_LINE,
    Answer,
    Began,
    Call,
    Logged,
    Memory,
    Message,
    Progress,
    Reply,
    Setup,
    Stop,
    line_of,
    read_reply,
)
from .raised import HandlerCrashedError, HandlerProcessError, TimedOutInProcessError

# Like `-m PROGRAM`, but with the module path of this process from the start.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from importlib import import_module; import_module(sys.argv[3]).main(int(sys.argv[1]))"
)

LONGEST_START = timedelta(minutes=1)
POLITE_SECONDS = 0.15
FIRM_SECONDS = 0.05
"""Time for a handler to stop after the request, and then after `SystemExit`.

Together they are shorter than the time that a worker waits before it releases jobs, so that no handler runs then.
"""
_LAST_WORDS = 0.1
_LAST_MOMENTS = 1.5


class HandlerProcess:
    """A running process. It ends with its event loop at the latest, and never outlives the worker."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_usable = True
        """Whether the process can run another handler once it is idle."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._context: JobContext | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._limit: timedelta | None = None
        self._bound = asyncio.timeout(None)
        self._job_name = ""
        self.has_begun = False
        """Whether the last handler was called."""
        self.jobs = 0
        """How many handlers were called."""
        self.memory = 0
        """The resident memory in bytes after the last handler, if `Setup` asks for it."""
        self._fault: str | None = None
        self._attending = self.loop.create_task(self._attend())

    @classmethod
    async def start(cls, program: str, setup: Setup) -> HandlerProcess:
        """Start a process that runs `main` of the module `program`. Raises `OSError` if the system refuses."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                arguments = (sys.executable, "-P", "-c", _START, str(theirs.fileno()), json.dumps(sys.path), program)
                process = await asyncio.create_subprocess_exec(
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C is for the worker, which lets handlers finish. Children of handlers end with them.
                    start_new_session=True,
                )
            reader, writer = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
        except BaseException:
            ours.close()  # ends the process, if it started
            raise
        started = cls(process, reader, writer)
        started._send(setup)
        return started

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def run(
        self, call: Call, context: JobContext, limit: timedelta | None, running: RunningAttempt | None = None
    ) -> Answer:
        """Call a handler and return the answer. Pass its progress to `context` while it runs.

        `limit` counts from the start of the handler, after process start and imports. If the call ends early, also
        because the caller was cancelled, stop the process: ask first, then kill. Raises `HandlerProcessError` without
        an answer. `running` has the outcome of a stopped attempt, for the middleware.
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
            await self._stop(Outcome.TIMED_OUT)
            raise self._too_late() from error
        except BaseException:
            await self._stop((running and running.outcome) or Outcome.RELEASED)
            raise
        finally:
            self._context = self._answer = None

    def end(self) -> None:
        """Let the idle process end."""
        self.is_usable = False
        self._writer.close()

    async def close(self) -> None:
        """End the process, or kill it if a handler runs, and wait until it is gone."""
        if self._answer is None:
            self.end()
        else:
            self._kill()
        await self._ends_within(None)

    async def _attend(self) -> None:
        """Read messages until the process ends, and make sure that it ends."""
        listening = self.loop.create_task(self._listen())
        exiting = self.loop.create_task(self._process.wait())  # another process may have a copy of its end of the pair
        try:
            await asyncio.wait({listening, exiting}, return_when=asyncio.FIRST_COMPLETED)
            self.is_usable = False
            # The last messages may be in transit, or the process is about to exit.
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
                with suppress(Exception):  # logging filters and handlers are user code
                    log_here(reply, self.pid)
            case Began():
                self._begin()
            case Memory(used=used):
                self.memory = used
            case Progress():
                if self._context is not None:
                    self._context.progress, self._context.progress_message = reply.percent, reply.message
            case _:
                if self._answer is not None and not self._answer.done():
                    self._answer.set_result(reply)

    def _begin(self) -> None:
        self.has_begun = True
        self.jobs += 1
        if self._answer is not None and not self._answer.done() and not self._bound.expired():
            limit = None if self._limit is None else self.loop.time() + self._limit.total_seconds()
            self._bound.reschedule(limit)

    async def _stop(self, outcome: Outcome) -> None:
        """Ask the handler to stop, raise `SystemExit` in it, then kill. Kill at once if the waiter is cancelled."""
        self.is_usable = False
        try:
            self._send(Stop(outcome=outcome))
            if not await self._ends_within(POLITE_SECONDS):
                self._send(Stop(outcome=outcome, firmly=True))
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
            within = exact_length(self._limit or timedelta(0))
            return TimedOutInProcessError(f"TimeoutError: the handler did not return within its timeout of {within}")
        return HandlerCrashedError(self._job_name, f"did not begin within {LONGEST_START}")

    def _kill(self) -> None:
        """Kill the process and its children."""
        # `Process.kill` would collect the exit status, which the event loop needs.
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
