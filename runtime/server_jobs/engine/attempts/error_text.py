"""The stored texts of an error: type, message, place and traceback."""

from __future__ import annotations

import re

from ...contract.values import MAX_ERROR_CHARACTERS
from ...domain.text_limits import clean_text
from ...domain.tracebacks import Mask, error_place, mask_of_names, short_traceback, unmasked
from ...errors import InvalidDocumentError, UpcastError
from ...isolation.raised import HandlerProcessError, TracebackThere

_ERROR_CLASS = re.compile(r"[^\W\d]\w*(?=:|$| \(at )")


def describe(error: BaseException, mask: Mask = unmasked) -> str:
    """Return the text to store for an error: type, message and place, masked. A handler process has masked its own."""
    if isinstance(error, HandlerProcessError):
        return error.description
    message = mask(_message_of(error))[: MAX_ERROR_CHARACTERS + 1]  # cleaning the rest would be wasted
    name = mask_of_names(mask)
    text = f"{name(type(error).__name__)}: {message}" if message else name(type(error).__name__)
    if not isinstance(error, InvalidDocumentError | UpcastError):
        text += name(error_place(error))
    return clean_text(text, MAX_ERROR_CHARACTERS)


def error_class_of(error: str) -> str | None:
    """Return the name of the exception at the start of the text of `describe`."""
    found = _ERROR_CLASS.match(error)
    return None if found is None else found[0]


def traceback_of(error: BaseException, mask: Mask = unmasked) -> str | None:
    """Return the masked traceback from the handler on, or None if it would show the engine only."""
    if isinstance(error, HandlerProcessError):
        return str(error.__cause__.args[0]) if isinstance(error.__cause__, TracebackThere) else None
    return None if isinstance(error, InvalidDocumentError) else short_traceback(error, mask)


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a handler's own class
        return "(its message cannot be read)"
