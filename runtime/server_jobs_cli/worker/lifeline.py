"""What ties a worker process to its supervisor: a pair of sockets, the worker's end of which is its stdin.

Not signals, for two reasons. Whoever stops a group of processes (`systemctl stop`, `pkill`) sends SIGTERM to supervisor
and workers alike, and one that is passed on would be the second for the worker. And the end of a supervisor, however
it came, is the end of the line: it is noticed by every worker at once.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from enum import Enum


class Word(Enum):
    """What is said over the line."""

    STOP = b"s"
    """From the supervisor: stop within the drain timeout. Said once more: stop at once."""
    READY = b"r"
    """From the worker: it listens to signals and to this line from now on, and begins to work."""
    DONE = b"d"
    """From the worker: it stopped as it was asked to, or found its queues empty."""
    UNUSABLE = b"u"
    """From the worker: it cannot be set up, and the database is not why."""


class Lifeline:
    """One end of the line."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    @classmethod
    def of_this_process(cls) -> Lifeline:
        """The worker's end. It is taken away from stdin: what handlers start does not inherit it.

        Raises `OSError` when stdin is no socket.
        """
        end = socket.socket(fileno=os.dup(0))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(end)

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, word: Word) -> None:
        """Say it, or nothing when the other end is gone."""
        with suppress(OSError):
            self._end.send(word.value)

    def stops(self) -> int | None:
        """How often STOP was said since it was last asked; None when the other end is gone."""
        heard = self._hear()
        return None if heard == b"" else (heard or b"").count(Word.STOP.value)

    def words(self) -> frozenset[Word]:
        """What was said since it was last asked."""
        heard = self._hear() or b""
        return frozenset(word for word in Word if word.value in heard)

    def close(self) -> None:
        self._end.close()

    def _hear(self) -> bytes | None:
        """Empty at the end of the line, None when nothing was said."""
        try:
            return self._end.recv(1_024)
        except BlockingIOError:
            return None
        except OSError:
            return b""
