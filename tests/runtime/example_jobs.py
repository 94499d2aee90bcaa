"""Jobs for the tests of the engine: one model for params and result, and common handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from pydantic import BaseModel
from server_jobs import Job, JobContext, JobOptions, JobRecord, JobStatus, RetryPolicy, create_job_registry, define_job
from server_jobs.definition import Handler
from server_jobs.domain.interfaces import Store
from server_jobs.engine.backend import Backend
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.job import AnyJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

SECOND = timedelta(seconds=1)
SOON = timedelta(milliseconds=20)


class Text(BaseModel):
    """Params and result alike."""

    text: str


TextJob = type[Job[Text, Text, Mapping[str, object]]]


def text_job(handler: Handler[Text, Text], name: str = "Echo", options: JobOptions | None = None) -> TextJob:
    """Return a new job class with that handler."""
    return define_job(name=name, params=Text, result=Text, handler=handler, options=options)


def retried_at_once(max_attempts: int = 3) -> JobOptions:
    """Return options without a pause between attempts."""
    return JobOptions(max_attempts=max_attempts, retry=RetryPolicy(initial=timedelta(0), jitter=0))


async def echo(params: Text, context: JobContext) -> Text:
    """Return the params."""
    return Text(text=params.text)


async def fail(params: Text, context: JobContext) -> Text:
    """Always fail."""
    raise ValueError(f"no good: {params.text}")


class Gate:
    """An async handler that waits until it is opened. It records its contexts, and whether it was cancelled."""

    def __init__(self) -> None:
        self.contexts: list[JobContext] = []
        self.cancelled = 0
        self.opened = asyncio.Event()

    async def __call__(self, params: Text, context: JobContext) -> Text:
        self.contexts.append(context)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Text(text=params.text)


def backend_on(
    store: Store | None = None,
    *jobs: AnyJob,
    clock: FakeClock | None = None,
    lease: timedelta = timedelta(minutes=5),
    poll_interval: timedelta = SOON,
    max_concurrency: int = 5,
) -> PollingBackend:
    """Return a backend with these jobs bound to it."""
    registry = create_job_registry()
    for job in jobs:
        registry.register(job)
    backend = PollingBackend(
        database=store or MemoryStore(clock),
        job_registry=registry,
        lease=lease,
        poll_interval=poll_interval,
        max_concurrency=max_concurrency,
        clock=clock,
    )
    registry.bind(backend)
    return backend


async def turns(count: int = 30) -> None:
    """Run the event loop until nothing is left to do without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: asyncio.Event | asyncio.Task[object]) -> None:
    """Wait for an event or a task that must end soon."""
    waiting = condition.wait() if isinstance(condition, asyncio.Event) else asyncio.shield(condition)
    await asyncio.wait_for(waiting, 30)


async def read(backend: Backend, job_id: str) -> JobRecord:
    """Return the row of an existing job."""
    record = await backend.store.get(str(job_id))
    assert record is not None
    return record


async def status_of(backend: Backend, job_id: str) -> JobStatus:
    """Return the status of that job."""
    return (await read(backend, job_id)).status
