"""The log as lines, text for people or JSON for programs, in a handler that never blocks on a stalled reader."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from io import UnsupportedOperation
from queue import SimpleQueue  # noqa: TID251  its `get` is never given a timeout, and its `put` may interrupt itself
from threading import Event, Thread
from typing import NamedTuple, TextIO

from server_jobs.binding import current_run
from server_jobs.domain.tracebacks import short_traceback
from server_jobs.errors import ServerJobsError
from server_jobs.isolation.raised import RaisedInProcessError
from server_jobs.logs import JobLogFilter, is_ours, is_printed

from .output import one_line, printable

QUEUE_BYTES = 1024 * 1024
"""Bytes of text that may wait for a slow or stalled reader."""

LONGEST_STALL = 0.25
"""Seconds without progress after which `flush`, `close` and `end` stop waiting for the reader."""

_CATCH_UP = 0.02

_Write = Callable[[bytes], None]
_LOGGER = "server_jobs"
_JOB_LOG = "server_jobs.job"
_AUDIT_LOG = "server_jobs.audit"
_OUR_LIBRARIES = ("httpx", "httpcore")  # the requests of the engine to Turso, one per statement
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class _Line(NamedTuple):
    """A line to write, and the number of lines dropped just before it."""

    text: bytes
    dropped: int


class LogWriter(logging.Handler):
    """Writes log lines to a stream in its own thread.

    Drops lines while `QUEUE_BYTES` wait. Once the reader continues, a line reports how many lines were lost.
    """

    def __init__(self, stream: TextIO | None, *, queue_bytes: int = QUEUE_BYTES) -> None:
        super().__init__()
        self._write = _writer_of(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._most = queue_bytes
        self._queue: SimpleQueue[_Line | Event | None] = SimpleQueue()
        self._queued = self._written = 0  # Bytes. `emit` alone changes the first, the thread alone the second.
        self._dropped = 0
        self._is_ended = self._is_stalled = False
        self._process = os.getpid()
        # A daemon thread, because a stalled reader must not keep the process alive.
        self.thread = Thread(target=self._write_all, name="server-jobs-log", daemon=True)
        self.thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record, or drop and count it while too much text waits."""
        try:
            text = self._encoded(record)
        except Exception:  # noqa: BLE001  whatever is wrong with the record of some handler
            self.handleError(record)
            return
        if self._process != os.getpid():
            self._write(text)  # a forked process does not have the thread
            return
        # After a drop, wait until the queue is half empty. Otherwise lines and gaps would alternate.
        room = (self._most // 2 if self._dropped else self._most) - self._waiting
        if self._is_ended or (self._waiting and len(text) > room):
            self._dropped += 1
            return
        self._queued += len(text)
        self._queue.put(_Line(text, self._dropped))
        self._dropped = 0

    def catch_up(self) -> None:
        """Let the thread write the emitted lines. Wait a few milliseconds at most, and not for a stalled reader.

        Call it before code that may crash the process or never release the interpreter.
        """
        if not (self._is_stalled and self._waiting):
            self._is_stalled = not self._is_done(_CATCH_UP)

    def flush(self) -> None:
        """Wait until every emitted line is written, or the reader stalls."""
        written = -1
        while not self._is_done(LONGEST_STALL) and written != self._written:
            written = self._written

    def close(self) -> None:
        """Write the waiting lines unless the reader stalls. Later lines are written too.

        An application that calls `logging.config.dictConfig` closes every handler of the process with it, this one
        included.
        """
        if not self._is_ended:
            self._queue.put(_Line(b"", self._dropped))
            self._dropped = 0
            self.flush()
        super().close()

    def end(self) -> None:
        """Close the handler, and end the thread."""
        self.close()
        if not self._is_ended:
            self._is_ended = True
            self._queue.put(None)

    @property
    def _waiting(self) -> int:
        return self._queued - self._written

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")

    def _is_done(self, patience: float) -> bool:
        """Return whether the thread gets that far in time."""
        if self._is_ended or self._process != os.getpid():
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
        """Write the text. Return False if the reader is gone or the disk is full."""
        try:
            self._write(text)
        except (OSError, ValueError):
            return False
        return True

    def _notice(self, lost: int) -> bytes:
        notice = f"{lost} log lines were lost: the reader of this log was too slow, stalled or failed"
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": notice, "lost": lost}
        return self._encoded(logging.makeLogRecord({**fields, "event": "log_lost"}))


def _writer_of(stream: TextIO | None) -> _Write:
    """Return a function that writes to the stream, to its file descriptor if possible.

    A thread that hangs in `sys.stderr.write` keeps a lock that the interpreter needs in order to exit.
    """
    if stream is None:
        return lambda _: None
    try:
        descriptor = None if sys.platform == "win32" else stream.fileno()
    except (AttributeError, UnsupportedOperation):
        descriptor = None
    if descriptor is None:
        return partial(_write_to_stream, stream)
    stream.flush()
    return partial(_write_to_descriptor, descriptor)


def _write_to_descriptor(descriptor: int, text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[os.write(descriptor, left) :]


def _write_to_stream(stream: TextIO, text: bytes) -> None:
    stream.write(text.decode(stream.encoding or "utf-8"))
    stream.flush()


class LineFormatter(logging.Formatter):
    """Formats `2026-01-31 09:00:00 warning  message`, and below it the traceback of a handler's error.

    A message of a handler, or of a library that it calls, starts with its job and its logger:
    `[SendEmail 0198f2c4 attempt 1 order-17] shop.mail: message`. The third part is the correlation id, if there is one.

    A message stays on one line, and control characters are escaped. With `worker`, each message starts with
    `worker[2]`.
    """

    def __init__(self, *, tracebacks: bool = True, worker: int | None = None) -> None:
        super().__init__()
        self._tracebacks = tracebacks
        self._prefix = "" if worker is None else f"worker[{worker}] "

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S} {record.levelname.lower():<8} {one_line(self._prefix + _message(record))}"
        trace = _traceback(record) if self._tracebacks else ""
        return "\n    ".join([line, *map(printable, trace.splitlines())])


class JsonFormatter(logging.Formatter):
    """Formats one JSON object a line: `time`, `level`, `logger`, `message`, the extras of the record, and `worker`.

    An extra with one of these names is left out.
    """

    def __init__(self, *, worker: int | None = None) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        hidden = _STANDARD | document.keys()
        document |= {name: value for name, value in vars(record).items() if name not in hidden and value is not None}
        if self._worker is not None:
            document["worker"] = self._worker
        if trace := _traceback(record):
            document["traceback"] = trace
        return printable(json.dumps(document, ensure_ascii=False, default=str))


@contextmanager
def logging_through(handler: logging.Handler, level: str = "info") -> Iterator[None]:
    """Send the log of jobs and engine to the handler while the block runs, then close the handler, or end it.

    The handler also gets warnings of other libraries that have no handler, which Python would print on stderr. Inside
    of `application_logging`, it gets the other records of the application too.
    """
    handler.addFilter(JobLogFilter())
    logger = logging.getLogger(_LOGGER)
    earlier, propagate, last_resort = logger.level, logger.propagate, logging.lastResort
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    logging.lastResort = handler
    outer = _output.set(_Output(handler, level.upper()))
    try:
        yield
    finally:
        _output.reset(outer)
        logging.lastResort = last_resort
        logger.removeHandler(handler)
        logger.setLevel(earlier)
        logger.propagate = propagate
        if isinstance(handler, LogWriter):
            handler.end()
        else:
            handler.close()


@contextmanager
def application_logging() -> Iterator[None]:
    """Send records of handlers and libraries to the handler of `logging_through` while the block runs.

    Call it after the import of the application. If the application has given the root logger a handler, its
    configuration stays as it is, and its records go only there. Otherwise the root logger gets the level of
    `logging_through`, unless the application has set one. A record that a handler of the application prints on stdout
    or stderr is not written again.
    """
    root, output = logging.getLogger(), _output.get()
    if output is None or any(not isinstance(handler, logging.NullHandler) for handler in root.handlers):
        yield
        return
    handler, earlier = _OfApplication(output.handler), root.level
    if earlier == logging.WARNING:  # the default
        root.setLevel(output.level)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(earlier)


class _Output(NamedTuple):
    """The handler of `logging_through`, and its level."""

    handler: logging.Handler
    level: str


_output: ContextVar[_Output | None] = ContextVar("_output", default=None)


class _OfApplication(logging.Handler):
    """Passes records of the application on."""

    def __init__(self, output: logging.Handler) -> None:
        super().__init__()
        self._output = output

    def handle(self, record: logging.LogRecord) -> bool:
        is_noise = record.levelno < logging.WARNING and record.name.startswith(_OUR_LIBRARIES)
        if is_printed(record) or (is_noise and current_run.get() is None):
            return False
        self._output.handle(record)
        return True


@contextmanager
def logging_to_stderr(*, with_audit: bool = False) -> Iterator[None]:
    """Print the log of jobs and engine on stderr.

    The lines of the audit log are for programs that make changes for others. A command reports its own changes itself.
    """
    handler = LogWriter(sys.stderr)
    if not with_audit:
        handler.addFilter(lambda record: record.name != _AUDIT_LOG)
    handler.setFormatter(LineFormatter())
    with logging_through(handler):
        yield


def _message(record: logging.LogRecord) -> str:
    """Return the message, behind the job and the logger if it is not ours."""
    message, fields = record.getMessage(), vars(record)
    if is_ours(record.name) and record.name != _JOB_LOG:
        return message  # it names its job
    name = fields.get("job_name")
    if record.name == _JOB_LOG:
        message = message.removeprefix(f"{name}: ")
    elif record.name != "root":
        message = f"{record.name}: {message}"
    if name is None:
        return message
    attempt = fields.get("attempt")
    ids = (name, fields.get("job_id"), attempt and f"attempt {attempt}", fields.get("correlation_id"))
    return f"[{' '.join(str(each) for each in ids if each)}] {message}"


def _traceback(record: logging.LogRecord) -> str:
    """Return the traceback of a record.

    Errors of the engine have none, because their message is enough; failures of handlers always have one.
    """
    error = record.exc_info[1] if record.exc_info else None
    text = record.exc_text
    if text is None and isinstance(error, RaisedInProcessError):
        text = str(error.__cause__ or "")  # it arrives as text
    elif text is None and error is not None and not (isinstance(error, ServerJobsError) and is_ours(record.name)):
        text = short_traceback(error)
    return (text or "").strip()
