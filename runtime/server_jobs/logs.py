"""Log records of handlers: the ids of their job, and the handlers of logging that print them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from functools import cache

from .binding import current_run
from .contract.masking import masked_value
from .domain.tracebacks import Mask, short_traceback, unmasked

_FIELDS = ("job_id", "job_name", "attempt", "correlation_id")
_NAMES = ("name", "funcName", "threadName", "taskName", "stack_info")
"""Texts of a record that a handler may choose."""
_PACKAGE = "server_jobs"


class JobLogFilter(logging.Filter):
    """Adds `job_id`, `job_name`, `attempt` and `correlation_id` of the running job to each record.

    Masks the values of redacted params of the running job in the message, the extras and the traceback.

    The fields are None outside of a handler. Extras of the record with these names stay. Add the filter to a handler of
    logging: a filter of a logger does not see the records of the loggers below it. `server-jobs worker` uses it for its
    own log. For an application that configures logging itself:

        import logging

        handler = logging.StreamHandler()
        handler.addFilter(JobLogFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s %(job_name)s %(job_id)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids, and mask. Return True."""
        run = current_run.get()
        context = None if run is None else run.context
        if context is not None and context.mask is not unmasked:
            _mask(record, context.mask)
        fields = vars(record)
        for name in _FIELDS:
            if name not in fields:
                fields[name] = None if context is None else getattr(context, name)
        return True


def _mask(record: logging.LogRecord, mask: Mask) -> None:
    """Mask the texts of a record in place. A message that cannot be formatted is hidden."""
    try:
        record.msg = mask(record.getMessage())
    except Exception:  # noqa: BLE001  the format of the application does not fit its values
        record.msg = f"a message of {record.name} that cannot be formatted"
    record.args = None
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.exc_text = short_traceback(error, mask)
    elif record.exc_text:
        record.exc_text = mask(record.exc_text)
    record.exc_info = None
    fields = vars(record)
    fields |= {name: mask(str(fields[name])) for name in _NAMES if fields.get(name)}
    extras = {name: fields.pop(name) for name in fields.keys() - _standard()}
    fields |= {mask(name): masked_value(value, mask) for name, value in extras.items()}


@cache
def _standard() -> frozenset[str]:
    """Return the attributes of every record. Not at import, because making a record reads the clock."""
    return frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", *_FIELDS})


def is_ours(name: str) -> bool:
    """Whether a logger belongs to this package."""
    return name == _PACKAGE or name.startswith(f"{_PACKAGE}.")


def is_printed(record: logging.LogRecord) -> bool:
    """Whether a handler of the application, below the root logger, prints the record on stdout or stderr."""
    return any(
        record.levelno >= handler.level
        and _stream_of(handler) in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for handler in _handlers_below_root(record.name)
    )


def enable_our_loggers() -> None:
    """Enable the loggers of this package. `logging.config.dictConfig` disables all existing ones by default."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and is_ours(name):
            logger.disabled = False


def _handlers_below_root(name: str) -> Iterator[logging.Handler]:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger is not logging.root:
        yield from logger.handlers
        logger = logger.parent


def _stream_of(handler: logging.Handler) -> object:
    """Return the stream of a handler of the standard library, or of a handler of rich; else an object of its own."""
    console = getattr(handler, "console", None)
    return getattr(handler, "stream", None) or getattr(console, "file", None) or handler
