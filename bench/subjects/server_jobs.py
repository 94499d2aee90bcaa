"""This project with the settings of a new user: a registry and a URL. Variants: postgresql, sqlite, memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from pydantic import BaseModel
from server_jobs import Backend, JobContext, JobStatus, Worker, connect, create_job_registry, define_job
from server_jobs.cli.interpreter import set_up_for_jobs
from server_jobs.memory import InMemoryBackend

from bench.subject import Description, MemorySubject, Ran, Remainder, StoreKind, Subject
from bench.work import Params

from .finished_jobs import copy_finished
from .tables import create_tables


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

_ONE, _MANY = "later", "later_many"
_PROMISES = (
    "params checked, result checked and stored, every write fenced by the claim's token, leases, retries, "
    "at-least-once; commits flushed"
)
# Through the partial indexes, so that looking costs nothing when the table is full of finished jobs.
_UNFINISHED = """
SELECT (SELECT count(*) FROM jobs WHERE status = 'pending' AND concurrency_key IS NULL)
     + (SELECT count(*) FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL)
     + (SELECT count(*) FROM jobs WHERE status = 'running')
"""
_RESULTS = "SELECT count(result) FROM jobs"


class StoredJobs(Subject):
    """On a database."""

    _backend: Backend

    def __init__(self, kind: StoreKind, url: str) -> None:
        self.description = Description(
            store=kind,
            packages=("server-jobs", *(("asyncpg",) if kind is StoreKind.POSTGRESQL else ())),
            promises=_PROMISES,
            bulk_calls=(_MANY,),
            unfinished=_UNFINISHED,
            results=_RESULTS,
        )
        self._url = url if kind is StoreKind.POSTGRESQL else f"sqlite:///{url}"
        self._open = AsyncExitStack()

    async def create_tables(self) -> None:
        create_tables(self._url)

    async def open(self) -> None:
        self._backend = await self._open.enter_async_context(connect(registry, self._url))

    async def close(self) -> None:
        await self._open.aclose()

    async def put(self, params: Params) -> None:
        await SendMessage.later(params)

    async def put_many(self, call: str, jobs: Sequence[Params]) -> None:
        del call
        await SendMessage.later_many(jobs)

    async def work(self, ran: Ran) -> None:
        _ran.append(ran)
        set_up_for_jobs()  # as `server-jobs worker` does
        await Worker(self._backend).run()

    async def add_finished(self, count: int) -> None:
        _ran.append(_forget)
        await SendMessage.now({"to": "", "subject": "", "body": "x" * 200})
        copy_finished(self._url, count)


class JobsInMemory(MemorySubject):
    """Without a database."""

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
        """There are none."""

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
    """As `bench.subject` says."""
    kind = StoreKind(variant)
    return JobsInMemory() if kind is StoreKind.MEMORY else StoredJobs(kind, url)


def _forget(to: str, subject: str) -> None:
    del to, subject
