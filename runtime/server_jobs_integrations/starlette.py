"""Jobs in a FastAPI or Starlette application: its lifespan, and responses to errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from server_jobs.connection import connect, connect_databases
from server_jobs.engine.backend import Backend
from server_jobs.inspection.problem_document import CALLER_ERRORS, PROBLEM_TYPE, response_to
from server_jobs.named_databases import Databases
from server_jobs.registry import JobRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response


def lifespan(
    jobs: JobRegistry | Backend | Databases, url: str | None = None
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """Return a lifespan that binds the jobs while the application runs.

    It takes what `connect` or `connect_databases` takes. Pass a backend if the application also mounts the HTTP routes
    of this backend, and `Databases` if it mounts the routes of one of several databases.

        app = FastAPI(lifespan=lifespan(registry))
    """

    @asynccontextmanager
    async def opened(_app: Starlette) -> AsyncIterator[None]:
        if isinstance(jobs, Databases) or (url is None and isinstance(jobs, JobRegistry) and jobs.routing is not None):
            async with connect_databases(jobs):
                yield
        else:
            async with connect(jobs, url):
                yield

    return opened


def add_exception_handlers(app: Starlette) -> None:
    """Answer errors that callers cause with problem documents (RFC 9457), without values of params.

    Params that do not fit their spec get 422. An unknown job or batch gets 404. A unique key that is taken, and a job
    that cannot be retried, get 409. Handlers that the application adds later replace these.
    """
    for error in CALLER_ERRORS:
        app.add_exception_handler(error, _respond)


async def _respond(_request: Request, error: Exception) -> Response:
    response = response_to(error)
    return Response(response.body, response.status, media_type=PROBLEM_TYPE)
