"""Log records as lines: for a person, or one JSON object each for a program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from server_jobs.domain.tracebacks import short_traceback
from server_jobs.errors import ServerJobsError
from server_jobs.isolation.raised import RaisedInProcessError

from .log_writer import LogWriter
from .output import one_line, printable

_LOGGER = "server_jobs"
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
def logging_through(handler: logging.Handler, level: str = "info") -> Iterator[None]:
    """Send the log of jobs and engine to the handler while the block runs, and then close the handler.

    It also gets the warnings of other libraries that no handler takes; Python would print them on stderr.
    """
    logger = logging.getLogger(_LOGGER)
    earlier, propagate, last_resort = logger.level, logger.propagate, logging.lastResort
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    logging.lastResort = handler
    try:
        yield
    finally:
        logging.lastResort = last_resort
        logger.removeHandler(handler)
        logger.setLevel(earlier)
        logger.propagate = propagate
        handler.close()


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print the log of jobs and engine on stderr, a line each."""
    handler = LogWriter(sys.stderr)
    handler.setFormatter(LineFormatter())
    with logging_through(handler):
        yield


def _traceback(record: logging.LogRecord) -> str:
    """Return the traceback of a record, indented; nothing for our own errors, whose message is enough."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or isinstance(error, RaisedInProcessError):
        # What was raised, or logged, by a handler in a process of its own comes as text.
        text = (record.exc_text if error is None else str(error.__cause__ or "")) or ""
    else:
        text = "" if isinstance(error, ServerJobsError) else record.exc_text or short_traceback(error)
    return "\n".join(f"    {printable(line)}" for line in text.strip().splitlines())
