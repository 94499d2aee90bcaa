"""Jobs in the tests of a Django project."""

from __future__ import annotations

from asgiref.sync import async_to_sync, sync_to_async

from ..domain.record import Outcome
from ..stores.sql import SqlStore
from .database import DjangoDatabase
from .handlers_here import engine_here
from .project import jobs_registry


def run_jobs(*, raises: bool = True) -> int:
    """Run the due jobs with their handlers until none is due, and return how many attempts ran.

    Jobs and handlers use the connection of the test, so that a `TestCase` rolls everything back. Jobs that handlers
    enqueue run too, and the completion jobs of batches. If a handler fails, its error is raised at the end, unless
    `raises` is false.
    """
    count: int = async_to_sync(arun_jobs)(raises=raises)
    return count


async def arun_jobs(*, raises: bool = True) -> int:
    """Like `run_jobs`, for async tests."""
    errors: list[Exception] = []
    registry = await sync_to_async(jobs_registry)()
    store = SqlStore(await sync_to_async(DjangoDatabase)(registry.database_schema))
    count = 0
    async with engine_here(registry, store, errors.append) as backend:
        while (claims := await backend.claim(1)) or await backend.end_batches():
            results = [await backend.execute(claim) for claim in claims]
            count += sum(result.outcome is not Outcome.LOST for result in results)
    if errors and raises:
        raise errors[0]
    return count
