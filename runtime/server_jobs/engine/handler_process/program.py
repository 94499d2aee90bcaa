"""The start of a handler process, and the order of its calls."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType

from ...isolation.messages import Call, Setup
from ...isolation.source_imports import import_from_source
from .call_runner import CallRunner
from .current_call import CurrentCall
from .environment import BackendOf, Environment, backend_of
from .listener import Listener
from .worker_link import LogSender, WorkerLink


def main(descriptor: int) -> None:
    """Serve the worker at the other end of the socket until the socket is closed."""
    serve(descriptor, backend_of)


def serve(descriptor: int, backend_of: BackendOf) -> None:
    """Like `main`, with another function that makes the backends of handlers."""
    os.set_inheritable(descriptor, False)
    HandlerProgram(socket.socket(fileno=descriptor), backend_of).run()


class HandlerProgram:
    """Answers the calls of a worker, one after the other, in the main thread."""

    def __init__(self, connection: socket.socket, backend_of: BackendOf) -> None:
        self._backend_of = backend_of
        self._runner = asyncio.Runner()
        loop = self._runner.get_loop()
        self._requests: asyncio.Queue[Setup | Call | None] = asyncio.Queue()
        self._worker = WorkerLink(connection)
        self._current = CurrentCall(self._worker, loop)
        self._calls = CallRunner(self._runner, self._current)
        self._listener = Listener(
            self._worker, self._current, lambda one: loop.call_soon_threadsafe(self._requests.put_nowait, one)
        )

    def run(self) -> None:
        """Answer calls until the worker closes the socket or stops a call."""
        signal.signal(signal.SIGTERM, self._terminate)
        self._listener.start()
        with self._runner as runner:
            environment = Environment(Setup(database=None, database_schema=None, levels={}, jobs=[]), self._backend_of)
            measures_memory = False
            while (request := runner.run(self._requests.get())) is not None:
                if isinstance(request, Setup):
                    environment = self._set_up(request)
                    measures_memory = request.measures_memory
                    continue
                answer = self._calls.answer(request, environment)
                _flush()
                self._current.finish(answer, measures_memory=measures_memory)
                if self._current.is_stopped:
                    break
            runner.run(environment.close())

    def _set_up(self, setup: Setup) -> Environment:
        for name, level in setup.levels.items():
            logging.getLogger(name or None).setLevel(level)
        logging.getLogger().addHandler(LogSender(self._worker))
        if setup.source_folders:
            import_from_source(setup.source_folders)
        return Environment(setup, self._backend_of)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """End a handler that ignored the request to stop. Ignore signals to the whole process group."""
        del frame
        if self._current.must_exit:
            sys.exit(128 + number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
