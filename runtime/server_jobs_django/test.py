"""Jobs in the tests of a Django project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from server_jobs.definition import AnyDefinition, D, P, R
from server_jobs.domain.record import LONGEST_PAGE, JobQuery, JobRecord, Outcome
from server_jobs.job import Job
from server_jobs.testing.enqueued import EnqueuedJob, check_names, enqueued_among, expect_none, expect_one

from .backend import DjangoBackend
from .database import DjangoDatabase, DjangoStore
from .handlers_here import engine_here
from .project import jobs_registry


def assert_enqueued(job: type[Job[P, R, D]], /, **expected: object) -> EnqueuedJob[P]:
    """Return the first job that was enqueued with these params and options, as in `InMemoryJobs.assert_enqueued`.

    Raises `AssertionError`, which lists the jobs that were enqueued instead. In an async test, write
    `await sync_to_async(assert_enqueued)(SendEmail)`.
    """
    __tracebackhide__ = True
    return expect_one(_found, job, expected)


def refute_enqueued(job: AnyDefinition | None = None, /, **expected: object) -> None:
    """Raise `AssertionError` if a job was enqueued with these params and options; without arguments, for any job."""
    __tracebackhide__ = True
    expect_none(_found, job, expected)


def run_stored_jobs(*, raise_errors: bool = True) -> int:
    """Run the due jobs with their handlers until none is due, and return how many attempts ran.

    Jobs and handlers use the connection of the test, so that a `TestCase` rolls everything back. Jobs that handlers
    enqueue run too, and the completion jobs of batches. Jobs that have expired are cancelled first. If a handler fails,
    its error is raised at the end, unless `raise_errors` is false.
    """
    count: int = async_to_sync(arun_stored_jobs)(raise_errors=raise_errors)
    return count


async def arun_stored_jobs(*, raise_errors: bool = True) -> int:
    """Like `run_stored_jobs`, for async tests."""
    errors: list[Exception] = []
    registry = await sync_to_async(jobs_registry)()
    store = DjangoStore(await sync_to_async(DjangoDatabase)(registry.database_schema))
    count = 0
    async with engine_here(registry, store, errors.append) as backend:
        execution = backend.execution
        await execution.chores.cancel_late()
        while (attempts := await execution.take(1)) or await backend.end_batches():
            outcomes = [await execution.run(attempt) for attempt in attempts]
            count += sum(outcome is not Outcome.LOST for outcome, _ in outcomes)
    if errors and raise_errors:
        raise errors[0]
    return count


def _found(job: AnyDefinition | None, expected: Mapping[str, object]) -> Sequence[EnqueuedJob[Any]]:
    check_names(job, expected)
    registry = jobs_registry()
    name = None if job is None else job.job_name
    backend = DjangoBackend(registry)

    async def stored() -> list[JobRecord]:
        records: list[JobRecord] = []
        before = None
        while page := await backend.store.list_jobs(JobQuery(job_name=name, before=before, limit=LONGEST_PAGE)):
            records += page
            before = page[-1].id
        return records[::-1]

    return enqueued_among(backend.run_blocking(stored), registry, job, expected)
