"""The call that runs now."""

from __future__ import annotations

import asyncio
import threading

from ...context import JobContext
from ...isolation.limits import resident_memory
from ...isolation.messages import Answer, Began, Memory, Progress, Stop
from ...middleware import RunningAttempt, note_outcome
from .worker_link import WorkerLink


class CurrentCall:
    """The facts about the running call that both threads need.

    The main thread begins and finishes it. The listener reports its progress and stops it. After a stop, the process
    takes no other call.
    """

    def __init__(self, worker: WorkerLink, loop: asyncio.AbstractEventLoop) -> None:
        self.is_busy = False
        """Whether the worker waits for an answer."""
        self.is_stopped = False
        """Whether the worker has asked the handler to stop."""
        self.must_exit = False
        """Whether the handler ignored that, and the next SIGTERM ends it."""
        self.task: asyncio.Task[object] | None = None
        """The task of an async handler."""
        self.attempt: RunningAttempt | None = None
        """The attempt as middleware sees it; None without middleware."""
        self._worker = worker
        self._loop = loop
        self._lock = threading.Lock()
        self._context: JobContext | None = None
        self._reported: tuple[int, str | None] = (0, None)

    def begin(self, context: JobContext) -> None:
        """Follow the progress of this context, and start the timeout in the worker."""
        with self._lock:
            context.cancelled = self.is_stopped
            self._reported = (0, None)
            self._context = context
        self._worker.send(Began())

    def report(self) -> None:
        """Send the progress if it has changed."""
        with self._lock:
            self._report()

    def stop(self, request: Stop) -> None:
        """Ask the handler to stop: set its context to cancelled, and cancel its task."""
        with self._lock:
            self.is_stopped = True
            self.must_exit = self.must_exit or request.firmly
            if self._context is not None:
                self._context.cancelled = True
            if self.attempt is not None:
                note_outcome(self.attempt, request.outcome)
        self._loop.call_soon_threadsafe(self._cancel)

    def finish(self, answer: Answer, *, measures_memory: bool) -> None:
        """Send the last progress, the memory of the process if the worker wants to know it, and the answer."""
        with self._lock:
            self._report()
            if measures_memory:
                self._worker.send(Memory(used=resident_memory()))
            self._context, self.attempt, self.is_busy = None, None, False
            self._worker.send(answer)

    def _report(self) -> None:
        if self._context is None:
            return
        newest = self._context.progress, self._context.progress_message
        if newest != self._reported:
            self._reported = newest
            self._worker.send(Progress(percent=newest[0], message=newest[1]))

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
