"""Error responses in the form of RFC 9457, without params, SQL, paths or tokens.

A response stays small with any number of problems, and any length of names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..errors import (
    MOST_PROBLEMS,
    DatabaseBusyError,
    DatabaseError,
    DuplicateJobError,
    InvalidOptionError,
    InvalidParamsError,
    JobNotFoundError,
    JobNotRetryableError,
    JobRetiredError,
    KeySecretError,
    Problem,
    UnknownJobError,
)

_logger = logging.getLogger("server_jobs")

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER = {"retry-after": "1"}
_LONGEST_TEXT = 500


class RefusedError(Exception):
    """A refused request: status, message, and problems with their place.

    The response lists the first 100 problems, and counts the others plus `left_out`.
    """

    def __init__(
        self,
        status: int,
        title: str,
        problems: Iterable[Problem] = (),
        *,
        headers: Mapping[str, str] | None = None,
        left_out: int = 0,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        found = tuple(problems)
        self.problems = found[:MOST_PROBLEMS]
        self.left_out = left_out + len(found) - len(self.problems)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the response."""
        document: dict[str, object] = {"title": _short(self.title), "status": self.status}
        if self.problems:
            document["errors"] = [
                {"pointer": _short(problem.pointer), "detail": _short(problem.without_values)}
                for problem in self.problems
            ]
        if self.left_out:
            document["more_errors"] = self.left_out
        body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        return Response(body, self.status, self.headers, PROBLEM_TYPE)


def refusal_of(error: Exception) -> RefusedError:
    """Return the refusal for an error. Log errors that the caller did not cause, and hide their details."""
    match error:
        case RefusedError():
            return error
        case ClientDisconnect():
            return RefusedError(400, "the request ended before its body did")
        case HTTPException():
            return RefusedError(error.status_code, error.detail.lower(), headers=error.headers)
        case InvalidParamsError():
            located = (Problem(f"/params{one.pointer}", one.message, one.without_values) for one in error.problems)
            title = f"params of {error.job_name} do not fit its spec"
            return RefusedError(422, title, located, left_out=error.left_out)
        case KeySecretError():
            return _unavailable("the server lacks a secret that this job needs; its log says which", error)
        case InvalidOptionError() | JobRetiredError():
            return RefusedError(422, str(error))
        case UnknownJobError():
            return RefusedError(404, f"no job named {error.name!r} is registered")
        case JobNotFoundError():
            return RefusedError(404, "there is no job with that id")
        case JobNotRetryableError():
            return RefusedError(409, f"the job is {error.status}; only a failed or cancelled job can be retried")
        case DuplicateJobError():
            return RefusedError(409, f"its unique key belongs to the unfinished job {error.job_id}")
        case DatabaseBusyError():
            return _unavailable("the database is busy", error)
        case DatabaseError():
            return _unavailable("the database cannot be used now", error)
        case _:
            _logger.error("a request failed with an unexpected %s", type(error).__name__, exc_info=error)
            return RefusedError(500, "an unexpected error; the log of the server says more")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


async def http_exception(_request: Request, error: Exception) -> Response:
    """Answer errors of Starlette, such as an unknown path."""
    return refusal_of(error).response()


def _unavailable(title: str, error: Exception) -> RefusedError:
    _logger.error("a request could not be served: %s", error)
    return RefusedError(503, title, headers=RETRY_AFTER)
