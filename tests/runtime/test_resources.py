"""A lifespan opens its resources once per process, before the first attempt, and closes them after the last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from server_jobs import (
    Backend,
    InvalidOptionError,
    JobContext,
    ResourceNotFoundError,
    SetupError,
    Worker,
    create_job_context,
    create_job_registry,
    tick,
)
from server_jobs.binding import current_run
from server_jobs.memory import InMemoryBackend
from server_jobs.resources import Lifespan, OpenLifespans
from server_jobs.stores.memory import MemoryStore

from tests.runtime.example_jobs import Text, TextJob, echo, text_job, turns

PARAMS = {"text": "hello"}


class Mailer:
    """A resource."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes


class LoudMailer(Mailer):
    """A resource of a subclass."""


class Clock:
    """Another resource."""


class Opened:
    """A lifespan that notes its calls and yields a mailer and a clock."""

    def __init__(self, name: str = "") -> None:
        self.notes: list[str] = []
        self.name = name
        self.tasks: list[asyncio.Task[object] | None] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[tuple[Mailer, Clock]]:
        self.notes.append("open")
        self.tasks.append(asyncio.current_task())
        try:
            yield Mailer(self.notes), Clock()
        finally:
            self.tasks.append(asyncio.current_task())
            self.notes.append("close")


async def send(params: Text, context: JobContext) -> Text:
    """Use the mailer."""
    context.resource(Mailer).notes.append("send")
    return params


def send_plainly(params: Text, context: JobContext) -> Text:
    """Use the mailer in a thread."""
    context.resource(Mailer).notes.append(threading.current_thread().name)
    return params


def memory(job: TextJob, *lifespans: Lifespan) -> InMemoryBackend:
    """Return a backend with this job bound to it."""
    registry = create_job_registry().register(job)
    for lifespan in lifespans:
        registry.lifespan(lifespan)
    backend = InMemoryBackend(job_registry=registry)
    registry.bind(backend)
    return backend


async def test_a_worker_opens_resources_once_and_shutdown_closes_them() -> None:
    opened, job = Opened(), text_job(send)
    backend = memory(job, opened)
    await job.later_many([PARAMS, PARAMS])
    assert opened.notes == []
    await Worker(backend, until_empty=True).run()
    await job.later(PARAMS)
    await tick(backend)
    assert opened.notes == ["open", "send", "send", "send"]
    await backend.shutdown()
    assert opened.notes[-1] == "close"
    assert opened.tasks[0] is opened.tasks[1]


async def test_resources_are_open_before_the_first_claim() -> None:
    opened = Opened()
    backend = memory(text_job(send), opened)
    worker = Worker(backend)
    running = asyncio.create_task(worker.run())
    await turns()
    assert opened.notes == ["open"]
    worker.stop()
    await running
    await backend.shutdown()


async def test_resources_are_closed_after_the_last_attempt_has_ended() -> None:
    opened = Opened()

    async def handler(params: Text, context: JobContext) -> Text:
        try:
            await asyncio.Event().wait()
        finally:
            context.resource(Mailer).notes.append("ended")
        return params

    job = text_job(handler)
    backend = memory(job, opened)
    running = asyncio.create_task(job.now(PARAMS))
    await turns()
    await backend.shutdown()
    assert opened.notes == ["open", "ended", "close"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_runs_without_a_worker_have_resources_too() -> None:
    opened, job = Opened(), text_job(send)
    backend = memory(job, opened)
    assert (await job.now(PARAMS)).ok
    assert (await job.now(PARAMS, persist=False)).ok
    assert (await job.execute_from_database(await job.later(PARAMS))).ok
    assert opened.notes == ["open", "send", "send", "send"]
    await backend.shutdown()
    assert (await job.now(PARAMS)).ok
    await backend.shutdown()
    assert opened.notes[4:] == ["close", "open", "send", "close"]


async def test_runs_at_the_same_time_share_one_opening() -> None:
    opened, job = Opened(), text_job(send)
    backend = memory(job, opened)
    await asyncio.gather(*(job.now(PARAMS) for _ in range(5)))
    assert opened.notes.count("open") == 1
    await backend.shutdown()


async def test_a_run_without_a_backend_opens_resources_for_itself() -> None:
    opened, job = Opened(), text_job(send)
    registry = create_job_registry().register(job).lifespan(opened)
    assert (await job.now(PARAMS, persist=False)).ok
    assert opened.notes == ["open", "send", "close"]
    assert not registry.hooks.is_empty


async def test_a_plain_handler_has_the_same_resources() -> None:
    opened, job = Opened(), text_job(send_plainly)
    backend = memory(job, opened)
    assert (await job.now(PARAMS)).ok
    assert opened.notes == ["open", "server-jobs-handler"]
    await backend.shutdown()


async def test_enqueueing_opens_nothing() -> None:
    opened, job = Opened(), text_job(send)
    backend = memory(job, opened)
    await job.later(PARAMS)
    await backend.shutdown()
    assert opened.notes == []


async def test_lifespans_open_in_order_and_close_in_reverse_order() -> None:
    notes: list[str] = []

    def lifespan(name: str) -> Lifespan:
        @asynccontextmanager
        async def opened() -> AsyncIterator[None]:
            notes.append(f"open {name}")
            yield
            notes.append(f"close {name}")

        return opened

    job = text_job(echo)
    backend = memory(job, lifespan("a"), lifespan("b"))
    assert (await job.now(PARAMS)).ok
    await backend.shutdown()
    assert notes == ["open a", "open b", "close b", "close a"]


async def test_a_lifespan_that_does_not_open_ends_the_worker() -> None:
    first = Opened()

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        if first.notes:
            raise ConnectionRefusedError("no mail server")
        yield

    job = text_job(send)
    backend = memory(job, first, broken)
    job_id = await job.later(PARAMS)
    with pytest.raises(SetupError, match="a lifespan of the registry failed: ConnectionRefusedError: no mail server"):
        await Worker(backend, until_empty=True).run()
    assert first.notes == ["open", "close"]
    assert (await job_id.record()).attempt_count == 0
    with pytest.raises(SetupError):
        await job.now(PARAMS)
    assert first.notes == ["open", "close"] * 2


async def test_a_lifespan_that_does_not_close_is_logged_and_the_others_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = Opened()

    @asynccontextmanager
    async def sticky() -> AsyncIterator[None]:
        yield
        raise OSError("still open")

    job = text_job(echo)
    backend = memory(job, first, sticky)
    assert (await job.now(PARAMS)).ok
    await backend.shutdown()
    assert first.notes == ["open", "close"]
    assert "a lifespan ended with an error" in caplog.text
    assert "still open" in caplog.text


async def test_a_lifespan_runs_outside_of_the_context_of_the_first_run() -> None:
    runs: list[object] = []

    @asynccontextmanager
    async def looking() -> AsyncIterator[None]:
        runs.append(current_run.get())
        yield

    inner = text_job(echo, "Inner")
    backend = memory(inner, looking)

    async def outer(params: Text, context: JobContext) -> Text:
        assert current_run.get() is not None
        await inner.using(backend).now(params)
        return params

    assert (await text_job(outer).now(PARAMS, persist=False)).error is None
    assert runs == [None]
    await backend.shutdown()


def test_a_new_event_loop_opens_new_resources() -> None:
    opened, job = Opened(), text_job(send)
    registry = create_job_registry().register(job).lifespan(opened)
    backend = Backend(database=MemoryStore(), job_registry=registry)
    registry.bind(backend)
    for _ in range(2):
        assert asyncio.run(job.now(PARAMS)).ok
    assert opened.notes == ["open", "send", "close"] * 2


async def test_the_backend_of_a_test_may_have_resources_instead() -> None:
    opened, job = Opened(), text_job(send)
    registry = create_job_registry().register(job).lifespan(opened)
    fake = LoudMailer([])
    backend = InMemoryBackend(job_registry=registry, resources=(fake,))
    assert (await job.using(backend).now(PARAMS)).ok
    await job.using(backend).later(PARAMS)
    await tick(backend)
    await backend.shutdown()
    assert fake.notes == ["send", "send"]
    assert opened.notes == []


def test_a_context_finds_a_resource_by_its_type() -> None:
    mailer, loud, clock = Mailer([]), LoudMailer([]), Clock()
    assert create_job_context(resources=(loud, mailer)).resource(Mailer) is mailer
    assert create_job_context(resources=(loud, clock)).resource(Mailer) is loud
    assert create_job_context(resources=(loud, clock)).resource(Clock) is clock


def test_a_missing_resource_is_an_error_that_lists_the_types() -> None:
    with pytest.raises(ResourceNotFoundError, match="no resource has the type Mailer; resources: Clock; yield"):
        create_job_context(resources=(Clock(),)).resource(Mailer)
    with pytest.raises(ResourceNotFoundError, match="no resource has the type Mailer; resources: none; "):
        create_job_context().resource(Mailer)
    with pytest.raises(ResourceNotFoundError, match="2 resources have the type Mailer; resources: LoudMailer, L"):
        create_job_context(resources=(LoudMailer([]), LoudMailer([]))).resource(Mailer)


def test_a_lifespan_that_is_no_function_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="pass the function itself, without \\(\\)"):
        create_job_registry().lifespan(Opened()())  # type: ignore[arg-type]


def test_a_lifespan_without_the_decorator_of_a_context_manager_is_refused() -> None:
    async def bare() -> AsyncIterator[None]:
        yield

    with pytest.raises(InvalidOptionError, match=r"a lifespan must .* add @asynccontextmanager and `yield` once"):
        create_job_registry().lifespan(bare)  # type: ignore[arg-type]


async def test_closing_what_is_not_open_does_nothing() -> None:
    await OpenLifespans(lambda: ()).close()
