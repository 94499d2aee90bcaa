"""Log records of handler processes. The worker logs them with its own format and filters."""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import PurePath
from typing import cast

from ..domain.text_limits import clean_text
from .messages import Logged

_MAX_CHARACTERS = 1024 * 1024
_formatter = logging.Formatter()


def logged(record: logging.LogRecord) -> Logged:
    """Return the message for a record: text formatted, extras as JSON or, if they are not JSON, as text."""
    return Logged(
        name=record.name,
        level=record.levelno,
        message=clean_text(record.getMessage(), _MAX_CHARACTERS),
        created=record.created,
        path=clean_text(record.pathname, _MAX_CHARACTERS),
        line=record.lineno,
        function=record.funcName,
        thread=record.threadName,
        traceback=_traceback(record),
        extras=_extras(record),
    )


def log_here(message: Logged, process_id: int) -> None:
    """Pass the record to the logger with its name in this process, if the logger is enabled for its level."""
    logger = logging.getLogger(message.name)
    if not logger.isEnabledFor(message.level):
        return
    path = PurePath(message.path)
    fields: dict[str, object] = {
        "name": message.name,
        "levelno": message.level,
        "levelname": logging.getLevelName(message.level),
        "msg": message.message,
        "args": None,
        "created": message.created,
        "msecs": message.created % 1 * 1000,
        "pathname": message.path,
        "filename": path.name,
        "module": path.stem,
        "lineno": message.line,
        "funcName": message.function,
        "threadName": message.thread,
        "process": process_id,
        "exc_text": message.traceback,
    }
    logger.handle(logging.makeLogRecord(cast("dict[str, object]", json.loads(message.extras)) | fields))


def levels() -> dict[str, int]:
    """Return the levels set in this process, by name of the logger; `""` is the root."""
    loggers = logging.root.manager.loggerDict.items()
    found = {name: logger.level for name, logger in loggers if isinstance(logger, logging.Logger) and logger.level}
    return {**found, "": logging.root.level}


def _traceback(record: logging.LogRecord) -> str | None:
    text = record.exc_text or (_formatter.formatException(record.exc_info) if record.exc_info else None)
    return None if text is None else clean_text(text, _MAX_CHARACTERS)


@cache
def _standard() -> frozenset[str]:
    return frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


def _extras(record: logging.LogRecord) -> str:
    found = {name: value for name, value in vars(record).items() if name not in _standard()}
    try:
        text = json.dumps(found, default=str)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps({name: _shown(value) for name, value in found.items()})
    return text if len(text) <= _MAX_CHARACTERS else "{}"


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a class of the user
        return f"a value of type {type(value).__name__} that cannot be shown"
