"""Short tracebacks of handlers, without the frames of the engine."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from traceback import TracebackException
from typing import TYPE_CHECKING

from .text_limits import clean_text

if TYPE_CHECKING:
    from types import CodeType, FrameType

MAX_TRACEBACK_BYTES = 16 * 1024
"""Longest stored traceback, in bytes of UTF-8."""
MAX_TRACEBACK_CHARACTERS = 64 * 1024
HIDDEN = "•••"
"""The mask of a redacted value."""
LONGEST_MESSAGE = 8 * 1024
"""Most characters of one message or frame, so that chained errors have room too."""

_ENGINE = str(Path(__file__).parents[1])


Mask = Callable[[str], str]
"""Returns a text without the values of redacted params."""


def unmasked(text: str) -> str:
    """Return the text. The mask of jobs that redact nothing."""
    return text


def mask_of_names(mask: Mask) -> Mask:
    """Return the mask for names of classes, functions and files. A mask that hides every text leaves names."""
    return unmasked if mask("") else mask


def short_traceback(error: BaseException, mask: Mask = unmasked) -> str:
    """Return the masked traceback from the handler on. Truncate long parts."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(_ENGINE):
        trace = trace.tb_next
    text, last, left = "", "", MAX_TRACEBACK_CHARACTERS
    for part in TracebackException(type(error), error, trace, compact=True).format():
        if left <= 0:
            return f"{text}…\n"
        shown = mask(part)  # before it is truncated: the beginning of a value is not recognized
        if shown == last == HIDDEN:
            continue
        last = shown
        cut = shown if len(shown) <= LONGEST_MESSAGE else f"{shown[:LONGEST_MESSAGE]}…"
        text += cut if cut.endswith("\n") else f"{cut}\n"
        left -= len(cut)
    return text


def stored_traceback(text: str) -> str:
    """Return the end of a traceback as every store accepts it, at most `MAX_TRACEBACK_BYTES`."""
    cleaned = clean_text(text, len(text) + 1).encode()
    if len(cleaned) <= MAX_TRACEBACK_BYTES:
        return cleaned.decode()
    # The end names the error. The mark has three bytes, and cutting may leave a part of a character.
    return "…" + cleaned[3 - MAX_TRACEBACK_BYTES :].decode(errors="ignore")


def log_with_traceback(
    logger: logging.Logger,
    level: int,
    error: BaseException | None,
    text: str | None,
    message: str,
    *args: object,
    extra: Mapping[str, object] | None = None,
) -> None:
    """Log like `logger.log(level, message, *args, exc_info=error, extra=extra)`, with `text` as the traceback.

    Pass no error if its own texts must not be shown.
    """
    if not logger.isEnabledFor(level):
        return
    path, line, function, _ = logger.findCaller(stacklevel=2)
    exception = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(logger.name, level, path, line, message, args, exception, function, extra)
    record.exc_text = text
    logger.handle(record)


def error_place(error: BaseException) -> str:
    """Return the innermost line of user code as ` (at …)`, or an empty text.

    Skips lines of pydantic and of this package, which raise errors about values and attributes of models.
    """
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_ours(frame)]
    if not frames:
        return ""
    code, line = frames[-1][0].f_code, frames[-1][1]
    return f" (at {code_place(code, line)} in {code.co_name})"


def code_place(code: CodeType, line: int | None = None) -> str:
    """Return `folder/file.py:line` of this line of the code, or of its first line."""
    return f"{'/'.join(PurePath(code.co_filename).parts[-2:])}:{line or code.co_firstlineno}"


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in ("server_jobs", "pydantic")
