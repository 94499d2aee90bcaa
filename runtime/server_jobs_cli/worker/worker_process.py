"""A worker process, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from .lifeline import Lifeline, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """How a process ended: its status, negative for a signal, and in words; what it had said; how long it ran."""

    status: int
    how: str
    words: frozenset[Word] = frozenset()
    ran: timedelta = timedelta(0)

    @property
    def is_done(self) -> bool:
        """It ended because it was asked to, or had nothing left to do. A handler can exit with 0 too."""
        return Word.DONE in self.words

    @property
    def was_ready(self) -> bool:
        return Word.READY in self.words

    @property
    def is_unusable(self) -> bool:
        """It could not be set up, and the database was not why: it will not go better the next time."""
        return Word.UNUSABLE in self.words and not self.was_ready


class WorkerProcess:
    """A process that is running, in a session of its own: what a terminal sends to its group is for the supervisor.

    Raises `OSError` when it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        self._lifeline = Lifeline(ours)
        self._words: frozenset[Word] = frozenset()
        self._began = time.monotonic()
        with theirs:
            try:
                self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)  # noqa: S603  ours
            except OSError:
                self._lifeline.close()
                raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Tell it to stop within the drain timeout; told again, at once. Harmless when it has ended."""
        self._lifeline.say(Word.STOP)
        self._words |= self._lifeline.words()
        if Word.READY not in self._words:
            # It may not listen yet, has claimed nothing, and ends at once. If it has just begun to listen, the signal
            # asks for nothing more than the word.
            with suppress(OSError):
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and what its handlers started."""
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def ended(self) -> ProcessEnd:
        """Wait until it has ended, in a thread of its own: Python has no other way that works on every system."""
        loop = asyncio.get_running_loop()
        status: asyncio.Future[int] = loop.create_future()

        def wait() -> None:
            found = self._process.wait()
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(status.set_result, found)

        threading.Thread(target=wait, name="server-jobs-process", daemon=True).start()
        number = await status
        ran = timedelta(seconds=time.monotonic() - self._began)
        end = ProcessEnd(status=number, how=_how(number), words=self._words | self._lifeline.words(), ran=ran)
        self._lifeline.close()
        return end


def _how(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
