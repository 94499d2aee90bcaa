"""This project with the setup of a new user: created by `init`, jobs from specs, `server-jobs worker` with defaults.

Variants: `postgresql`, `sqlite` and `memory`. The suffix `-library` runs `Worker(backend)` in a script instead of the
command. The suffix `-limited` adds jobs with limits to the project. With the suffix `-waiting`, handlers wait for some
milliseconds, and the worker has a slot for each of many.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from server_jobs import Backend, Job, JobContext, JobStatus, Worker, connect, create_job_registry, define_job
from server_jobs.memory import InMemoryBackend
from server_jobs_cli.interpreter import set_up_interpreter

from bench.project import BY_CONCURRENCY, BY_RATE, PLAIN, WAITING_AT_ONCE, Project
from bench.subject import Description, MemorySubject, Ran, Remainder, StoreKind, Subject
from bench.work import Params

from .finished_jobs import copy_finished

_MANY = "later_many"


class Message(BaseModel):
    to: str
    subject: str
    body: str


class Sent(BaseModel):
    sent: bool


async def send(params: Message, context: JobContext) -> Sent:
    del context
    _ran[0](params.to, params.subject)
    return Sent(sent=True)


_ran: list[Ran] = []
SendMessage = define_job(name="SendMessage", params=Message, result=Sent, handler=send)
registry = create_job_registry().register(SendMessage)

_CALLS = {_MANY: PLAIN, f"{_MANY}, concurrency by key": BY_CONCURRENCY, f"{_MANY}, rate by key": BY_RATE}
_PROMISES = (
    "params checked, result checked and stored, every write fenced by the claim's token, leases, retries, "
    "at-least-once; commits flushed"
)
# This uses the partial indexes, so it is fast even if the table is full of finished jobs.
_UNFINISHED = """
SELECT (SELECT count(*) FROM jobs WHERE status = 'pending' AND concurrency_key IS NULL)
     + (SELECT count(*) FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL)
     + (SELECT count(*) FROM jobs WHERE status = 'running')
"""
_RESULTS = "SELECT count(result) FROM jobs"
# Like `server-jobs pause` and `resume`, but without a process that may still be exiting when the measurement begins.
_HOLD = "INSERT INTO paused_queues (name, paused_at) VALUES ('default', {now}) RETURNING 1"
_RELEASE = {
    StoreKind.POSTGRESQL: """
        WITH resumed AS (DELETE FROM paused_queues RETURNING name)
        SELECT count(*), pg_notify('server_jobs', '') FROM resumed""",
    StoreKind.SQLITE: "DELETE FROM paused_queues RETURNING 1",
}


class StoredJobs(Subject):
    """This project on PostgreSQL or SQLite."""

    _backend: Backend

    def __init__(self, kind: StoreKind, url: str, setup: str) -> None:
        is_command = setup != "library"
        self._has_limits, self._is_waiting = setup == "limited", setup == "waiting"
        options = ("--concurrency", str(WAITING_AT_ONCE)) if self._is_waiting else ()
        self.description = Description(
            store=kind,
            packages=("server-jobs", *(("asyncpg",) if kind is StoreKind.POSTGRESQL else ())),
            promises=_PROMISES if is_command else f"{_PROMISES}; `Worker(backend)` in a script, no log of jobs",
            bulk_calls=tuple(_CALLS) if self._has_limits else (_MANY,),
            unfinished=_UNFINISHED,
            results=_RESULTS,
            hold=_HOLD.format(now="now()" if kind is StoreKind.POSTGRESQL else "0"),
            release=_RELEASE[kind],
            worker=("server-jobs", "worker", *options) if is_command else (),
        )
        self._url = url if kind is StoreKind.POSTGRESQL else f"sqlite:///{url}"
        self._open = AsyncExitStack()
        self._project = Project(Path.cwd())

    async def create_tables(self) -> None:
        self._project.make(with_limits=self._has_limits, is_waiting=self._is_waiting)
        self._project.migrate(self._url)

    async def open(self) -> None:
        sys.path.insert(0, str(Path.cwd()))
        registry = import_module("generated.registry").registry
        self._backend = await self._open.enter_async_context(connect(registry, self._url))

    async def close(self) -> None:
        await self._open.aclose()

    async def put(self, params: Params) -> None:
        await _job(PLAIN).later(params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        await _job(_CALLS[call]).later_many(jobs)

    async def work(self, ran: Ran) -> None:
        del ran  # the handlers use the ledger in `project_handler`
        set_up_interpreter()  # as `server-jobs worker` does
        await Worker(self._backend).run()

    async def add_finished(self, count: int) -> None:
        await _job(PLAIN).now({"to": "", "subject": "", "body": "x" * 200})
        copy_finished(self._url, count)


def _job(name: str) -> type[Job[Any, Any, Any]]:
    """Return a job class of the project in the working directory."""
    job: type[Job[Any, Any, Any]] = getattr(import_module("generated.jobs"), name)
    return job


class JobsInMemory(MemorySubject):
    """This project in memory."""

    description = Description(
        store=StoreKind.MEMORY,
        packages=("server-jobs",),
        promises=_PROMISES.replace("commits flushed", "nothing outlives the process"),
        bulk_calls=(_MANY,),
        is_flushed=False,
    )

    def __init__(self) -> None:
        self._backend = InMemoryBackend(job_registry=registry)

    async def create_tables(self) -> None:
        """Do nothing: a memory store has no tables."""

    async def open(self) -> None:
        await self._backend.initialize()
        registry.bind(self._backend)

    async def close(self) -> None:
        await self._backend.shutdown()

    async def put(self, params: Params) -> None:
        await SendMessage.later(params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        await SendMessage.later_many(jobs)

    async def work(self, ran: Ran) -> None:
        _ran.append(ran)
        await Worker(self._backend, until_empty=True).run()

    async def remainder(self) -> Remainder:
        counts = await self._backend.store.count_jobs()
        completed = sum(count.count for count in counts if count.status is JobStatus.COMPLETED)
        return Remainder(unfinished=sum(count.count for count in counts) - completed, results=completed)


def subject(variant: str, url: str) -> Subject:
    """Return the subject. See `bench.subject`."""
    name, _, setup = variant.partition("-")
    kind = StoreKind(name)
    return JobsInMemory() if kind is StoreKind.MEMORY else StoredJobs(kind, url, setup)
