"""Signals for a worker, and the promise that the process ends in time whatever a handler does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from types import FrameType, TracebackType

from ..worker import Worker

_logger = logging.getLogger("server_jobs.worker")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_MARGIN = 0.9


class Shutdown:
    """While entered, the first SIGTERM or SIGINT lets running jobs finish within the drain timeout, the second gives
    them back at once.

    A handler may hang in a thread, swallow its cancellation or block the event loop. From the signal on a timer runs
    that ends the process at the latest a second after the drain timeout, or after the second signal.
    """

    def __init__(self, worker: Worker, drain_timeout: timedelta) -> None:
        self._worker = worker
        self._drain_timeout = drain_timeout.total_seconds()
        self._signals = 0
        self._has_drained = False
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        # Not the loop's own signal handlers: those wait for a turn that a blocking handler never gives.
        self._previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_drained = True
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._signals += 1
        timer = threading.Timer(_MARGIN + (self._drain_timeout if self._signals == 1 else 0), self._leave)
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self._stop, self._signals)

    def _stop(self, signals: int) -> None:
        running = len(self._worker.attempts())
        if signals == 1 and running:
            _logger.info(
                "stopping: %d still running, with %g s to finish; a second signal gives them back at once",
                running,
                self._drain_timeout,
                extra={"event": "stopping"},
            )
        self._worker.stop()

    def _leave(self) -> None:
        if not self._has_drained:
            _logger.error("a handler does not end; its job is taken over when its lease has run out")
        with suppress(OSError, ValueError):  # nobody may be reading any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0 if self._has_drained else 1)
