"""Log records as lines: for a person, or one JSON object each for a program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_exception

from ..errors import ServerJobsError
from ..processes.raised import RaisedInProcessError
from .output import one_line, printable

_LOGGER = "server_jobs"
_ENGINE = str(Path(__file__).parent.parent)
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class LineFormatter(logging.Formatter):
    """`2026-01-31 09:00:00 warning  message`, and below it the traceback of what a handler raised.

    A message stays on its line, and nothing in it reaches the terminal as a control character.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        line = f"{moment:%Y-%m-%d %H:%M:%S} {record.levelname.lower():<8} {one_line(record.getMessage())}"
        trace = _traceback(record) if self._tracebacks else ""
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `message`, and whatever the record carries besides."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        document |= {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        if trace := _traceback(record):
            document["traceback"] = trace
        return printable(json.dumps(document, ensure_ascii=False, default=str))


@contextmanager
def logging_through(handler: logging.Handler) -> Iterator[None]:
    """Let that handler have the log of jobs and engine while the block runs."""
    logger = logging.getLogger(_LOGGER)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print the log of jobs and engine on stderr, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    with logging_through(handler):
        yield


def _traceback(record: logging.LogRecord) -> str:
    """The traceback of a record, indented; none for our own errors, whose message says it all."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or isinstance(error, RaisedInProcessError):
        # What was raised, or logged, by a handler in a process of its own comes as text.
        text = (record.exc_text if error is None else str(error.__cause__ or "")) or ""
    else:
        text = "" if isinstance(error, ServerJobsError) else _from_the_handler_on(error)
    return "\n".join(f"    {printable(line)}" for line in text.strip().splitlines())


def _from_the_handler_on(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(_ENGINE):
        trace = trace.tb_next  # what led to the handler is the same for every job
    return "".join(format_exception(type(error), error, trace))
