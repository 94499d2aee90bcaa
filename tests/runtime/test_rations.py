"""How the jobs of one invocation share the queries it has: what a handler may do while it waits, or is put off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel
from server_jobs import DatabaseError, JobContext, JobOptions, JobStatus, create_job_registry, define_job
from server_jobs.cloudflare import CloudflareWorkerBackend, create_cron_handler, database_of
from server_jobs.cloudflare.query_budget import Ration, Rations
from server_jobs.databases.d1.database import D1Database
from server_jobs.domain.record import JobQuery
from server_jobs.stores.sql import SqlStore

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_d1_file

Handler = Callable[["Number", JobContext], Awaitable["Number"]]


class Number(BaseModel):
    """Which of the jobs it is."""

    number: int


async def _same(params: Number, context: JobContext) -> Number:
    del context
    return params


Child = define_job(name="Child", params=Number, result=Number, handler=_same)


async def ask(times: int = 1) -> None:
    """Make so many queries."""
    for _ in range(times):
        await Child.later({"number": 0}, delay=timedelta(days=1))


@pytest.fixture
def binding(tmp_path: Path) -> Iterator[FakeD1]:
    create_d1_file(tmp_path / "jobs.sqlite3")
    binding = FakeD1(tmp_path / "jobs.sqlite3")
    yield binding
    binding.close()


class World:
    """A Worker with these jobs, one of each handler, enqueued in their order."""

    def __init__(self, binding: FakeD1, *handlers: Handler, most: int = 100, timeout: timedelta | None = None) -> None:
        """The last of the jobs has the timeout."""
        self.binding, self.most = binding, most
        last = len(handlers) - 1
        self.jobs = [
            define_job(
                name=f"Job{number}",
                params=Number,
                result=Number,
                handler=handler,
                options=JobOptions(timeout=timeout if number == last else None),
            )
            for number, handler in enumerate(handlers)
        ]
        registry = create_job_registry().register(Child)
        for job in self.jobs:
            registry.register(job)
        self.handler = create_cron_handler(database=database_of, job_registry=registry, max_queries=most)
        self.backend = CloudflareWorkerBackend(database=binding, job_registry=registry)

    async def enqueue(self) -> None:
        """One of each."""
        for number, job in enumerate(self.jobs):
            await job.using(self.backend).later({"number": number})

    async def tick(self) -> tuple[int, int]:
        """One invocation, which keeps within its queries: how many jobs were completed, and how many failed."""
        self.binding.queries = 0
        done = await self.handler.scheduled(None, SimpleNamespace(DB=self.binding), None)
        assert self.binding.queries <= self.most
        return done.completed, done.failed

    async def states(self) -> list[tuple[JobStatus, int]]:
        """The status and the attempts of each job."""
        records = await self.backend.store.list_jobs(JobQuery(limit=1000))
        known = {record.job_name: (record.status, record.attempt_count) for record in records}
        return [known[job.job_name] for job in self.jobs]


async def test_a_job_whose_time_is_up_while_it_waits_for_others_is_put_off_and_not_counted(binding: FakeD1) -> None:
    gone = asyncio.Event()

    async def asks_and_stays(params: Number, context: JobContext) -> Number:
        del context
        await ask()
        await gone.wait()
        return params

    async def waits(params: Number, context: JobContext) -> Number:
        del context
        try:
            await ask()
        finally:
            gone.set()
        return params

    world = World(binding, asks_and_stays, waits, timeout=timedelta(seconds=0.05))
    await world.enqueue()

    assert await world.tick() == (1, 0)
    assert await world.states() == [(JobStatus.COMPLETED, 1), (JobStatus.PENDING, 0)]
    assert await world.tick() == (1, 0)
    assert await world.states() == [(JobStatus.COMPLETED, 1), (JobStatus.COMPLETED, 1)]


async def test_a_job_that_runs_another_one_at_once_asks_for_both(binding: FakeD1) -> None:
    async def runs_another(params: Number, context: JobContext) -> Number:
        del context
        for _ in range(3):
            await Child.now({"number": 1})
        return params

    world = World(binding, runs_another, runs_another, runs_another)
    await world.enqueue()

    assert await world.tick() == (3, 0)


async def test_a_job_that_is_run_by_one_that_is_put_off_is_given_back_too(binding: FakeD1) -> None:
    async def asks_much(params: Number, context: JobContext) -> Number:
        del context
        try:
            await ask(30)
        except asyncio.CancelledError:
            for _ in range(3):  # as a renewal of leases may
                await asyncio.create_task(backend.store.ping(), context=Context())
            raise
        return params

    Inner = define_job(name="Inner", params=Number, result=Number, handler=asks_much)

    async def runs_inner(params: Number, context: JobContext) -> Number:
        del context
        await Inner.now({"number": 0})
        return params

    async def asks_less(params: Number, context: JobContext) -> Number:
        del context
        await ask(15)
        return params

    world = World(binding, runs_inner, asks_less)
    await world.enqueue()
    registry = world.backend.registry.register(Inner)
    backend = CloudflareWorkerBackend(
        database=binding, job_registry=registry, max_queries=50, costs={"Job0": 1, "Job1": 1}
    )
    registry.bind(backend)
    done = await backend.handle_cron()

    assert (done.completed, done.failed) == (1, 0)
    assert await world.states() == [(JobStatus.PENDING, 0), (JobStatus.COMPLETED, 1)]
    (inner,) = await backend.store.list_jobs(JobQuery(job_name="Inner"))
    assert (inner.status, inner.attempt_count) == (JobStatus.PENDING, 0)


async def test_what_is_put_off_unbegun_keeps_within_the_queries_though_leases_were_renewed(binding: FakeD1) -> None:
    async def asks_some(params: Number, context: JobContext) -> Number:
        del context
        await ask()
        return params

    async def asks_too_much(params: Number, context: JobContext) -> Number:
        del context
        try:
            await ask(50)
        except asyncio.CancelledError:
            await asyncio.create_task(backend.store.ping(), context=Context())  # as a renewal does
            raise
        return params

    world = World(binding, asks_some, *[asks_too_much] * 3)
    await world.enqueue()
    backend = CloudflareWorkerBackend(
        database=binding,
        job_registry=world.backend.registry,
        max_queries=50,
        costs={"Job0": 1, "Job1": 1, "Job2": 20, "Job3": 20},
    )
    backend.registry.bind(backend)
    binding.queries = 0
    done = await backend.handle_cron()

    assert (done.completed, done.failed) == (1, 0)
    assert binding.queries <= 50


async def test_a_job_that_asks_many_things_at_the_same_time_is_put_off_and_begun_again_as_a_whole(
    binding: FakeD1,
) -> None:
    async def asks_at_once(params: Number, context: JobContext) -> Number:
        del context
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(ask())
        return params

    world = World(binding, *[asks_at_once] * 3)
    await world.enqueue()

    assert [await world.tick() for _ in range(2)] == [(2, 0), (1, 0)]
    assert await world.states() == [(JobStatus.COMPLETED, 1)] * 3


async def test_a_handler_that_goes_on_after_it_was_put_off_gets_no_further_query(binding: FakeD1) -> None:
    asked: list[int] = []

    async def is_stubborn(params: Number, context: JobContext) -> Number:
        while not context.cancelled or len(asked) < 1000:
            with suppress(asyncio.CancelledError, DatabaseError):
                await ask()
            asked.append(1)
        return params

    async def asks_some(params: Number, context: JobContext) -> Number:
        del context
        await ask(10)
        return params

    world = World(binding, asks_some, is_stubborn)
    await world.enqueue()

    assert await world.tick() == (2, 0)
    assert len(asked) == 1000


@pytest.mark.parametrize("asked", [1, 3])
async def test_a_tick_that_is_cancelled_gives_back_what_waits_and_what_asks(binding: FakeD1, asked: int) -> None:
    stays = asyncio.Event()

    async def asks_and_stays(params: Number, context: JobContext) -> Number:
        del context
        await ask(asked)
        stays.set()
        await asyncio.Event().wait()
        return params

    async def waits(params: Number, context: JobContext) -> Number:
        del context
        await stays.wait()
        await ask()
        return params

    world = World(binding, asks_and_stays, waits)
    await world.enqueue()
    tick = asyncio.ensure_future(world.tick())
    await stays.wait()
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick

    assert await world.states() == [(JobStatus.PENDING, 0)] * 2


async def test_a_job_that_is_given_back_while_it_waits_is_not_begun(binding: FakeD1) -> None:
    began: list[int] = []
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def asks_much(params: Number, context: JobContext) -> Number:
        del context
        began.append(params.number)
        await ask()
        asked.set()
        await goes_on.wait()
        return params

    world = World(binding, asks_much, asks_much)
    await world.enqueue()
    backend = CloudflareWorkerBackend(
        database=binding, job_registry=world.backend.registry, max_queries=60, costs={"Job0": 30, "Job1": 30}
    )
    backend.registry.bind(backend)
    claims = await backend.claim(2)
    first, second = (asyncio.ensure_future(backend.execute(claim)) for claim in claims)
    await asked.wait()
    await backend.give_back(claims)
    goes_on.set()

    assert [(await run).success for run in (first, second)] == [True, False]
    assert began == [0]
    assert await world.states() == [(JobStatus.COMPLETED, 1), (JobStatus.PENDING, 0)]


async def test_a_job_fails_for_its_queries_only_when_no_invocation_has_more_for_it(binding: FakeD1) -> None:
    began: list[int] = []

    async def asks_much(params: Number, context: JobContext) -> Number:
        del context
        began.append(params.number)
        await ask(75)
        return params

    world = World(binding, asks_much)
    for number in range(2):
        await Child.using(world.backend).later_many([{"number": 0}] * 55)
        await world.jobs[0].using(world.backend).later({"number": number})
        assert [await world.tick() for _ in range(2)] == [(55, 0), (1, 0)]

    assert began == [0, 0, 1]


@pytest.mark.parametrize("most", [100, 101])
async def test_jobs_that_ask_for_more_than_those_of_their_name_before_do_not_put_off_each_other_again_and_again(
    binding: FakeD1, most: int
) -> None:
    times = 1

    async def asks(params: Number, context: JobContext) -> Number:
        del context
        await ask(times)
        return params

    world = World(binding, asks, asks, most=most)
    await world.enqueue()
    assert await world.tick() == (2, 0)
    times = 60
    await world.enqueue()

    assert [await world.tick() for _ in range(3)] == [(0, 0), (1, 0), (1, 0)]


async def test_a_store_that_is_kept_is_counted_anew_in_each_invocation(binding: FakeD1) -> None:
    async def asks(params: Number, context: JobContext) -> Number:
        del context
        await ask(60)
        return params

    world = World(binding, asks, asks)
    store = SqlStore(D1Database(binding))
    world.handler = create_cron_handler(database=store, job_registry=world.backend.registry, max_queries=world.most)

    for _ in range(2):
        await world.enqueue()
        async with asyncio.timeout(5):
            assert [await world.tick() for _ in range(2)] == [(1, 0), (1, 0)]


async def test_what_a_job_left_behind_holds_up_no_other_one_when_it_asks() -> None:
    rations = Rations(100, lambda: 100, {"Large": 90})
    over = asyncio.Event()

    async def ask_later(ration: Ration) -> None:
        await over.wait()
        await rations.take(ration, 1)

    with rations.of("Small", lambda: None) as small:
        left_behind = asyncio.create_task(ask_later(small))
    over.set()
    await left_behind

    async with asyncio.timeout(5):
        with rations.of("Large", lambda: None) as large:
            await rations.begin(large)


async def test_what_a_job_left_behind_waits_no_longer_than_the_job() -> None:
    rations = Rations(100, lambda: 60, {})

    with rations.of("First", lambda: None) as first:
        await rations.take(first, 1)
        with rations.of("Second", lambda: None) as second:
            left_behind = asyncio.create_task(rations.take(second, 1))
            await asyncio.sleep(0)
            assert not left_behind.done()
        async with asyncio.timeout(5):
            await left_behind


async def test_an_outlier_is_forgotten_by_and_by() -> None:
    costs = {"Job0": 80}
    for expected in (41, 21, 11, 6, 4, 3, 2):
        rations = Rations(100, lambda: 100, costs)
        with rations.of("Job0", lambda: None) as ration:
            await rations.take(ration, 2)
            rations.note(ration)
        assert costs == {"Job0": expected}
