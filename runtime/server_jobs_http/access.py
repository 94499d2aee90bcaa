"""The scope that a route needs, and the queues for which a caller has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from server_jobs.contract.job_keys import is_unique_by_secret
from server_jobs.domain.options import JobOptions
from server_jobs.domain.record import JobSummary
from server_jobs.errors import JobNotFoundError
from server_jobs.security.tokens import Caller, Scope
from starlette.requests import Request
from starlette.responses import Response

from .gate import backend_of, caller_of
from .problem_document import RefusedError

Endpoint = Callable[[Request], Awaitable[Response]]


def for_every_queue(scope: Scope, endpoint: Endpoint) -> Endpoint:
    """Return an endpoint for callers with the scope for every queue."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        caller = _caller_with(scope, request)
        if not caller.may(scope):
            raise _lacks(scope, "for every queue")
        return await endpoint(request)

    return checked


def for_some_queue(scope: Scope, endpoint: Endpoint) -> Endpoint:
    """Return an endpoint for callers with the scope for some queue. The endpoint checks the queues."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        check_scope(request, scope)
        return await endpoint(request)

    return checked


def for_its_job(scope: Scope, endpoint: Endpoint) -> Endpoint:
    """Return an endpoint for callers with the scope for the queue of the job in the path.

    Other callers get 404, so that they learn nothing about the job. The queue of a job never changes.
    """

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        caller = _caller_with(scope, request)
        if not caller.may(scope):
            job_id: str = request.path_params["id"]
            summary = await backend_of(request).store.summary(job_id)
            if summary is None or not caller.may(scope, summary.queue):
                raise JobNotFoundError(job_id)
        return await endpoint(request)

    return checked


async def summary_for(request: Request) -> JobSummary:
    """Return the summary of the job in the path. Raises `JobNotFoundError`."""
    job_id: str = request.path_params["id"]
    summary = await backend_of(request).store.summary(job_id)
    if summary is None:
        raise JobNotFoundError(job_id)
    return summary


def check_queue(request: Request, scope: Scope, queue: str) -> None:
    """Raise `RefusedError` unless the caller has the scope for this queue."""
    if not caller_of(request).may(scope, queue):
        raise _lacks(scope, f"for the queue {queue!r}")


def check_enqueues(caller: Caller, options: JobOptions) -> None:
    """Raise `RefusedError` unless the caller may enqueue jobs with these options.

    The answer tells whether an unfinished job has the same unique key. If the key has a redacted value, the caller
    could find the value by trying: only who reads the jobs may.
    """
    if not caller.may(Scope.ENQUEUE, options.queue):
        raise _lacks(Scope.ENQUEUE, f"for the queue {options.queue!r}")
    if is_unique_by_secret(options) and not caller.may(Scope.READ, options.queue):
        raise _lacks(Scope.READ, f"for the queue {options.queue!r}, which jobs with a redacted unique key need too")


def check_scope(request: Request, scope: Scope) -> None:
    """Raise `RefusedError` unless the caller has the scope for some queue."""
    _caller_with(scope, request)


def _caller_with(scope: Scope, request: Request) -> Caller:
    caller = caller_of(request)
    if scope not in caller.rights:
        raise _lacks(scope)
    return caller


def _lacks(scope: Scope, reach: str = "") -> RefusedError:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    title = f"the token lacks the scope {scope} {reach}".rstrip()
    return RefusedError(403, title, headers={"www-authenticate": challenge})
