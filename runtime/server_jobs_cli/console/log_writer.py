"""A log handler that never waits for the reader of its stream."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from io import UnsupportedOperation
from queue import SimpleQueue  # noqa: TID251  its `get` is never given a timeout, and its `put` may interrupt itself
from threading import Event, Thread
from typing import NamedTuple, TextIO

QUEUE_BYTES = 1024 * 1024
"""How much text may wait for a slow or stalled reader."""

LONGEST_STALL = 0.25
"""Seconds without progress after which `flush` and `close` stop waiting for the reader."""

_CATCH_UP = 0.02

_Write = Callable[[bytes], None]


class _Line(NamedTuple):
    """A line to write, and how many lines were dropped just before it."""

    text: bytes
    dropped: int


class LogWriter(logging.Handler):
    """Writes log lines to a stream in its own thread.

    Lines that find `QUEUE_BYTES` waiting are dropped. When the reader goes on, a line says how many were lost.
    """

    def __init__(self, stream: TextIO | None, *, queue_bytes: int = QUEUE_BYTES) -> None:
        super().__init__()
        self._write = _writer_of(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._most = queue_bytes
        self._queue: SimpleQueue[_Line | Event | None] = SimpleQueue()
        self._queued = self._written = 0  # bytes; the first changes in `emit` only, the second in the thread only
        self._dropped = 0
        self._is_closed = self._is_stalled = False
        self._process = os.getpid()
        # A daemon: a stalled reader must not keep the process from ending.
        self.thread = Thread(target=self._write_all, name="server-jobs-log", daemon=True)
        self.thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record, or drop and count it if too much text waits."""
        try:
            text = self._encoded(record)
        except Exception:  # noqa: BLE001  whatever is wrong with the record of some handler
            self.handleError(record)
            return
        if self._process != os.getpid():
            self._write(text)  # a forked process does not have the thread
            return
        # After a drop, wait until the queue is half empty, so that the log does not alternate lines and gaps.
        room = (self._most // 2 if self._dropped else self._most) - self._waiting
        if self._is_closed or (self._waiting and len(text) > room):
            self._dropped += 1
            return
        self._queued += len(text)
        self._queue.put(_Line(text, self._dropped))
        self._dropped = 0

    def catch_up(self) -> None:
        """Let the thread write what was emitted so far; wait a few milliseconds at most, and not for a stalled reader.

        Use it before code that may crash the process or never release the interpreter.
        """
        if not (self._is_stalled and self._waiting):
            self._is_stalled = not self._is_done(_CATCH_UP)

    def flush(self) -> None:
        """Wait until everything emitted so far is written, or the reader stalls."""
        written = -1
        while not self._is_done(LONGEST_STALL) and written != self._written:
            written = self._written

    def close(self) -> None:
        """Write what waits unless the reader stalls, and end the thread."""
        if not self._is_closed:
            self._queue.put(_Line(b"", self._dropped))
            self.flush()
            self._is_closed = True
            self._queue.put(None)
        super().close()

    @property
    def _waiting(self) -> int:
        return self._queued - self._written

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")

    def _is_done(self, patience: float) -> bool:
        """Whether the thread gets that far in time."""
        if self._is_closed or self._process != os.getpid():
            return True
        reached = Event()
        self._queue.put(reached)
        return reached.wait(patience)

    def _write_all(self) -> None:
        lost = 0
        while (item := self._queue.get()) is not None:
            if isinstance(item, Event):
                item.set()
                continue
            lost += item.dropped
            if lost and self._is_written(self._notice(lost)):
                lost = 0
            lost += not self._is_written(item.text)
            self._written += len(item.text)

    def _is_written(self, text: bytes) -> bool:
        """Write it; False if the reader is gone or the disk is full."""
        try:
            self._write(text)
        except (OSError, ValueError):
            return False
        return True

    def _notice(self, lost: int) -> bytes:
        notice = f"{lost} log lines were lost: whatever reads this log is too slow, was stalled or refused them"
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": notice, "lost": lost}
        return self._encoded(logging.makeLogRecord({**fields, "event": "log_lost"}))


def _writer_of(stream: TextIO | None) -> _Write:
    """Return how to write to the stream: where possible to its file descriptor.

    A thread that hangs in `sys.stderr.write` holds a lock that the interpreter needs in order to exit.
    """
    if stream is None:
        return _write_nowhere
    try:
        descriptor = None if sys.platform == "win32" else stream.fileno()
    except (AttributeError, UnsupportedOperation):
        descriptor = None
    if descriptor is None:
        return partial(_write_to_stream, stream)
    stream.flush()
    return partial(_write_to_descriptor, descriptor)


def _write_nowhere(text: bytes) -> None:
    del text


def _write_to_descriptor(descriptor: int, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[os.write(descriptor, left) :]


def _write_to_stream(stream: TextIO, text: bytes) -> None:
    stream.write(text.decode(stream.encoding or "utf-8"))
    stream.flush()
