"""The answers to a call: the messages for its outcomes and errors, with the values of redacted params masked."""

from __future__ import annotations

from pydantic import BaseModel

from ...contract.documents import write_result
from ...contract.values import MAX_ERROR_CHARACTERS
from ...domain.outcomes import Cancel, DoNotRetryError, RetryAfterError, Snooze
from ...domain.text_limits import clean_text
from ...domain.tracebacks import MAX_TRACEBACK_CHARACTERS, Mask, short_traceback
from ...errors import InvalidDocumentError
from ...isolation.messages import Answer, Cancelled, InvalidDocument, Raised, Returned, Snoozed
from ..attempts.error_text import describe


def answer_to_value(job_name: str, result_model: type[BaseModel | None], value: object, mask: Mask) -> Answer:
    """Return the answer for the value that a handler returned. Raises `InvalidDocumentError` if it does not fit."""
    match value:
        case Snooze(delay=delay):
            return Snoozed(delay=delay)
        case Cancel(reason=reason):
            return Cancelled(reason=clean_text(mask(str(reason)), MAX_ERROR_CHARACTERS))
        case _:
            return Returned(result=write_result(job_name, result_model, value)[1])


def answer_to_raised(error: BaseException, mask: Mask) -> Raised:
    """Return the answer for an error that a handler or middleware raised."""
    return Raised(
        description=describe(error, mask),
        traceback=clean_text(short_traceback(error, mask), MAX_TRACEBACK_CHARACTERS),
        is_final=isinstance(error, DoNotRetryError),
        delay=error.delay if isinstance(error, RetryAfterError) else None,
    )


def answer_to_failure(error: BaseException, mask: Mask) -> Answer:
    """Return the answer for an error outside of the handler: of its import, its params or its result."""
    if not isinstance(error, InvalidDocumentError):
        return answer_to_raised(error, mask)
    problems: list[tuple[str, str]] = []
    left = MAX_ERROR_CHARACTERS  # the limit of the row
    for problem in error.problems:
        if left <= 0:
            break
        pointer, message = (clean_text(mask(text), left) for text in (problem.pointer, problem.message))
        problems.append((pointer, message))
        left -= len(pointer) + len(message)
    return InvalidDocument(part="params" if error.part == "params" else "result", problems=problems)
