"""The thread that reads from the worker."""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ...isolation.messages import Call, Setup, Stop, read_request
from .current_call import CurrentCall
from .worker_link import WorkerLink

_REPORT_INTERVAL = 0.2
_LAST_MOMENT = 1.0


class Listener:
    """Passes requests on, and reports progress meanwhile. Ends the process when the worker closes the socket.

    `pass_on` gets each request but `Stop`, and None at the end.
    """

    def __init__(
        self, worker: WorkerLink, current: CurrentCall, pass_on: Callable[[Setup | Call | None], object]
    ) -> None:
        self._worker = worker
        self._current = current
        self._pass_on = pass_on

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._listen, name="server-jobs-listener", daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._worker.connection, selectors.EVENT_READ)
            while True:
                is_readable = selector.select(_REPORT_INTERVAL if self._current.is_busy else None)
                self._current.report()
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
            return self._worker.connection.recv(256 * 1024)
        except ConnectionError:
            return b""

    def _take(self, line: bytes) -> None:
        request = read_request(line)
        if isinstance(request, Stop):
            self._current.stop(request)
            if request.firmly:
                os.kill(os.getpid(), signal.SIGTERM)
            return
        self._current.is_busy = self._current.is_busy or isinstance(request, Call)
        self._pass_on(request)

    def _end(self) -> None:
        """End the process: the worker is gone or closed the socket."""
        if self._current.is_busy:
            _kill_all()
        with suppress(RuntimeError):  # the event loop is closed already
            self._pass_on(None)
        time.sleep(_LAST_MOMENT)
        os._exit(0)  # a thread of a handler, for example, prevents a regular exit


def _kill_all() -> None:
    """Kill this process and the processes that its handlers started."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
