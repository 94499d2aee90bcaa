"""Error responses in the form of RFC 9457, without params, SQL, paths or tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from server_jobs.errors import (
    MOST_PROBLEMS,
    DatabaseBusyError,
    DatabaseError,
    DuplicateJobError,
    InvalidOptionError,
    InvalidParamsError,
    JobNotFoundError,
    JobNotOfferedError,
    JobNotRetryableError,
    JobRetiredError,
    KeySecretError,
    Problem,
    ScheduleConflictError,
    ScheduleNotFoundError,
    UnknownJobError,
    UpcastError,
)
from server_jobs.inspection.problem_document import PROBLEM_TYPE, ErrorResponse, response_to
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

_logger = logging.getLogger("server_jobs")

RETRY_AFTER = {"retry-after": "1"}


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
        body = ErrorResponse(self.status, self.title, self.problems, self.left_out).body
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
            return params_refusal(error, "/params")
        case KeySecretError():
            return _unavailable("the server lacks a secret that this job needs; its log says which", error)
        case ScheduleConflictError():
            return RefusedError(409, str(error))
        case ScheduleNotFoundError():
            return RefusedError(404, "the job has no schedule with that name")
        case UpcastError():
            return RefusedError(409, "the params are of a version that cannot be read here; change them")
        case InvalidOptionError() | JobRetiredError() | JobNotOfferedError():
            return RefusedError(422, str(error))
        case UnknownJobError():
            return RefusedError(404, f"no job named {error.name!r} is registered")
        case JobNotFoundError() | JobNotRetryableError() | DuplicateJobError():
            response = response_to(error)
            return RefusedError(response.status, response.title)
        case DatabaseBusyError():
            return _unavailable("the database is busy", error)
        case DatabaseError():
            return _unavailable("the database cannot be used now", error)
        case _:
            _logger.error("a request failed with an unexpected %s", type(error).__name__, exc_info=error)
            return RefusedError(500, "an unexpected error; the log of the server says more")


def params_refusal(error: InvalidParamsError, place: str) -> RefusedError:
    """Return the refusal of params at this place of the body, a JSON pointer."""
    located = (Problem(f"{place}{one.pointer}", one.message, one.without_values) for one in error.problems)
    title = f"params of {error.job_name} do not fit its spec"
    return RefusedError(422, title, located, left_out=error.left_out)


async def http_exception(_request: Request, error: Exception) -> Response:
    """Answer errors of Starlette, such as an unknown path."""
    return refusal_of(error).response()


def _unavailable(title: str, error: Exception) -> RefusedError:
    _logger.error("a request could not be served: %s", error)
    return RefusedError(503, title, headers=RETRY_AFTER)
