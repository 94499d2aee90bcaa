"""Errors for callers over HTTP, in the form of RFC 9457. A document stays small with any number of problems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import (
    BatchNotFoundError,
    DuplicateJobError,
    InvalidParamsError,
    JobNotFoundError,
    JobNotRetryableError,
    Problem,
    ServerJobsError,
)

PROBLEM_TYPE = "application/problem+json"
CALLER_ERRORS: tuple[type[ServerJobsError], ...] = (
    InvalidParamsError,
    JobNotFoundError,
    BatchNotFoundError,
    DuplicateJobError,
    JobNotRetryableError,
)
"""The errors that a caller over HTTP causes."""

_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """The response to an error: a status, and a message with problems and their places, without values.

    `left_out` counts further problems.
    """

    status: int
    title: str
    problems: Sequence[Problem] = ()
    left_out: int = 0

    @property
    def body(self) -> bytes:
        """The document, of the type `PROBLEM_TYPE`."""
        document: dict[str, object] = {"title": _short(self.title), "status": self.status}
        if self.problems:
            document["errors"] = [
                {"pointer": _short(problem.pointer), "detail": _short(problem.without_values)}
                for problem in self.problems
            ]
        if self.left_out:
            document["more_errors"] = self.left_out
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def response_to(error: Exception) -> ErrorResponse:
    """Return the response to one of `CALLER_ERRORS`. Raises any other error."""
    match error:
        case InvalidParamsError():
            title = f"params of {error.job_name} do not fit its spec"
            return ErrorResponse(422, title, error.problems, error.left_out)
        case JobNotFoundError():
            return ErrorResponse(404, "there is no job with that id")
        case BatchNotFoundError():
            return ErrorResponse(404, "there is no batch with that id")
        case DuplicateJobError():
            return ErrorResponse(409, f"its unique key belongs to the unfinished job {error.job_id}")
        case JobNotRetryableError():
            return ErrorResponse(409, f"the job is {error.status}; only a failed or cancelled job can be retried")
        case _:
            raise error


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
