"""Jobs, a registry, and every way to enqueue, for the tests of `InMemoryJobs` and `FakeJob`."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import httpx
from pydantic import BaseModel
from server_jobs import Backend, JobContext, Schedule, connect, create_job_registry, define_job
from server_jobs.registry import JobRegistry
from server_jobs.testing import InMemoryBackend
from server_jobs_http import Tokens, create_app, new_token
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tests.django_settings import configure_django


class Mail(BaseModel):
    to: str
    subject: str = "Hello"


class Sent(BaseModel):
    message_id: str


async def send(params: Mail, context: JobContext) -> Sent:
    return Sent(message_id=f"<1@{params.to}>")


def welcome(params: Mail, context: JobContext) -> Sent:
    """A plain handler that enqueues another job."""
    return Sent(message_id=Send.later_sync(params))


Send = define_job(
    name="Send",
    params=Mail,
    result=Sent,
    handler=send,
    schedules=(Schedule(name="hourly", cron="0 * * * *", params='{"to": "ada"}'),),
)
Welcome = define_job(name="Welcome", params=Mail, result=Sent, handler=welcome)

PARAMS = {"to": "ada"}


def new_registry() -> JobRegistry:
    return create_job_registry().register(Send).register(Welcome)


Enqueue = Callable[[Path], Awaitable[object]]


async def by_the_class(folder: Path) -> None:
    await Send.later(PARAMS)


async def many(folder: Path) -> None:
    await Send.later_many([PARAMS])


async def from_a_thread_without_a_loop(folder: Path) -> None:
    await asyncio.to_thread(Send.later_sync, PARAMS)


async def from_a_background_thread(folder: Path) -> None:
    thread = threading.Thread(target=lambda: asyncio.run(by_the_class(folder)))
    thread.start()
    await asyncio.to_thread(thread.join)


async def with_a_backend(folder: Path) -> None:
    await Send.using(Backend(database=url(folder), job_registry=new_registry())).later(PARAMS)


async def while_connected(folder: Path) -> None:
    async with connect(new_registry(), url(folder)):
        await Send.later(PARAMS)


async def by_name(folder: Path) -> None:
    backend = Backend(database=url(folder), job_registry=new_registry())
    await backend.insert([Send.new_job(PARAMS)])


async def over_http(folder: Path) -> None:
    token = new_token()
    app = create_app(Backend(database=url(folder), job_registry=new_registry()), Tokens(token))
    transport, headers = httpx.ASGITransport(app), {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        reply = await client.post("/jobs/Send", json={"params": PARAMS})
    assert reply.status_code == 201, reply.text


async def in_a_session(folder: Path) -> None:
    with Session(create_engine("sqlite://")) as session, session.begin():
        Send.later_in(session, PARAMS)


async def many_in_a_connection(folder: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        Send.later_many_in(connection, [PARAMS])


async def in_the_transaction_of_django(folder: Path) -> None:
    configure_django()
    await asyncio.to_thread(Send.later_in, "default", PARAMS)


async def in_a_handler(folder: Path) -> None:
    backend = InMemoryBackend(job_registry=new_registry())
    assert (await Welcome.using(backend).now(PARAMS)).ok


EVERY_WAY: tuple[Enqueue, ...] = (
    by_the_class,
    many,
    from_a_thread_without_a_loop,
    from_a_background_thread,
    with_a_backend,
    while_connected,
    by_name,
    over_http,
    in_a_session,
    many_in_a_connection,
    in_the_transaction_of_django,
    in_a_handler,
)


def url(folder: Path) -> str:
    """Return the URL of a database that does not exist."""
    return f"sqlite:///{folder}/real.sqlite3"
