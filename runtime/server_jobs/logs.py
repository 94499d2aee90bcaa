"""Log records of handlers: the ids of their job, and the handlers of logging that print them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

from .binding import current_run

_FIELDS = ("job_id", "job_name", "attempt", "correlation_id")
_PACKAGE = "server_jobs"


class JobLogFilter(logging.Filter):
    """Adds `job_id`, `job_name`, `attempt` and `correlation_id` of the running job to each record.

    They are None outside of a handler. Extras of the record with these names stay. Add the filter to a handler of
    logging: a filter of a logger does not see the records of the loggers below it. `server-jobs worker` uses it for its
    own log. For an application that configures logging itself:

        import logging

        handler = logging.StreamHandler()
        handler.addFilter(JobLogFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s %(job_name)s %(job_id)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids. Return True."""
        run = current_run.get()
        context = None if run is None else run.context
        fields = vars(record)
        for name in _FIELDS:
            if name not in fields:
                fields[name] = None if context is None else getattr(context, name)
        return True


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
