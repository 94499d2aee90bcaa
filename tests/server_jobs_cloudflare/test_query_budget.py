"""The query budget of one invocation of a Worker: which jobs start on it, and which queries handlers may make."""

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
from server_jobs.databases.query_check import check_queries
from server_jobs.domain.record import JobQuery, JobRecord, Outcome
from server_jobs.memory import InMemoryBackend
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cloudflare import CloudflareWorkerBackend, create_cron_handler, database_of
from server_jobs_cloudflare.databases.d1 import D1Database
from server_jobs_cloudflare.query_budget import QueryBudget

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_d1_file

Handler = Callable[["Number", JobContext], Awaitable["Number"]]


class Number(BaseModel):
    """The position of a job among the jobs of a test."""

    number: int


async def _same(params: Number, context: JobContext) -> Number:
    del context
    return params


Child = define_job(name="Child", params=Number, result=Number, handler=_same)


async def ask(times: int = 1) -> None:
    """Make this number of queries, one after another."""
    for _ in range(times):
        await Child.later({"number": 0}, delay=timedelta(days=1))


def asks(times: int) -> Handler:
    """Return a handler that makes this number of queries."""

    async def handler(params: Number, context: JobContext) -> Number:
        del context
        await ask(times)
        return params

    return handler


async def asks_until_refused(params: Number, context: JobContext) -> Number:
    """Make queries until the budget refuses one, and complete."""
    del context
    with suppress(DatabaseError):
        await ask(1000)
    return params


@pytest.fixture
def binding(tmp_path: Path) -> Iterator[FakeD1]:
    create_d1_file(tmp_path / "jobs.sqlite3")
    binding = FakeD1(tmp_path / "jobs.sqlite3")
    yield binding
    binding.close()


class World:
    """A Worker with one job for each handler, enqueued in their order."""

    def __init__(self, binding: FakeD1, *handlers: Handler, most: int = 100) -> None:
        self.binding, self.most = binding, most
        self.jobs = [
            define_job(
                name=f"Job{number}",
                params=Number,
                result=Number,
                handler=handler,
                options=JobOptions(max_attempts=1),
            )
            for number, handler in enumerate(handlers)
        ]
        self.registry = create_job_registry().register(Child)
        for job in self.jobs:
            self.registry.register(job)
        self.handler = create_cron_handler(database=database_of, job_registry=self.registry, max_queries=most)
        self.backend = CloudflareWorkerBackend(database=binding, job_registry=self.registry)

    async def enqueue(self) -> None:
        """Enqueue each job once."""
        for number, job in enumerate(self.jobs):
            await job.using(self.backend).later({"number": number})

    async def tick(self) -> tuple[int, int]:
        """Run one invocation, check its queries, and return the numbers of completed and failed jobs."""
        self.binding.queries = 0
        done = await self.handler.scheduled(None, SimpleNamespace(DB=self.binding), None)
        assert self.binding.queries <= self.most
        return done.completed, done.failed

    async def records(self) -> list[JobRecord]:
        """Return the newest record of each job, in the order of the handlers."""
        store = self.backend.store
        return [(await store.list_jobs(JobQuery(job_name=job.job_name, limit=1)))[0] for job in self.jobs]

    async def states(self) -> list[tuple[JobStatus, int]]:
        """Return the status and the attempts of each job."""
        return [(record.status, record.attempt_count) for record in await self.records()]

    async def children(self) -> int:
        """Return the number of jobs that handlers enqueued."""
        counts = await self.backend.store.count_jobs()
        return sum(count.count for count in counts if count.job_name == "Child")

    def invocation(self) -> CloudflareWorkerBackend:
        """Return a backend with a fresh budget, which its jobs use."""
        backend = CloudflareWorkerBackend(database=self.binding, job_registry=self.registry, max_queries=self.most)
        self.registry.bind(backend)
        self.binding.queries = 0
        return backend


@pytest.mark.parametrize(
    ("jobs", "children", "most", "ticks"),
    [
        *((10, 2, 20, 10), (40, 2, 50, 5), (10, 5, 50, 2), (40, 0, 100, 1)),
        *((10, 10, 100, 2), (40, 10, 200, 3), (40, 50, 1000, 3)),
    ],
)
async def test_jobs_within_their_reserve_run_once_in_as_many_invocations_as_they_need(
    binding: FakeD1, jobs: int, children: int, most: int, ticks: int
) -> None:
    world = World(binding, *[asks(children)] * jobs, most=most)
    await world.enqueue()

    done = [await world.tick() for _ in range(ticks)]

    assert all(completed and not failed for completed, failed in done)
    assert await world.states() == [(JobStatus.COMPLETED, 1)] * jobs
    assert await world.children() == jobs * children


async def test_the_fewest_queries_are_enough_for_a_job_in_ticks_that_each_report(binding: FakeD1) -> None:
    world = World(binding, *[asks(2)] * 3, most=20)
    await world.enqueue()

    for _ in range(3):
        assert await world.tick() == (1, 0)
        binding.execute("UPDATE job_workers SET last_seen_at = last_seen_at - 600000")


async def test_a_job_that_was_claimed_starts_only_if_its_queries_remain(binding: FakeD1) -> None:
    world = World(binding, asks_until_refused, asks(1))
    await world.enqueue()
    backend = world.invocation()
    claims = (await backend.poll_and_claim(2)).claimed_jobs

    outcomes = [(await backend.execute(claim)).outcome for claim in claims]

    assert outcomes == [Outcome.COMPLETED, Outcome.RELEASED]
    assert binding.queries <= world.most
    assert await world.states() == [(JobStatus.COMPLETED, 1), (JobStatus.PENDING, 0)]
    assert await world.tick() == (1, 0)
    assert await world.states() == [(JobStatus.COMPLETED, 1)] * 2


async def test_without_the_check_a_claimed_job_starts_although_its_queries_do_not_remain(
    binding: FakeD1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBudget, "may_start", lambda self: True)

    with pytest.raises(AssertionError):
        await test_a_job_that_was_claimed_starts_only_if_its_queries_remain(binding)


async def test_outcomes_are_stored_although_handlers_use_all_that_they_may(binding: FakeD1) -> None:
    world = World(binding, *[asks_until_refused] * 10, most=200)
    await world.enqueue()

    assert await world.tick() == (10, 0)
    assert binding.queries > 150
    assert await world.states() == [(JobStatus.COMPLETED, 1)] * 10


@pytest.mark.slow
async def test_without_the_check_of_handlers_an_invocation_makes_more_queries_than_it_may(
    binding: FakeD1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBudget, "_take", lambda *_: None)

    with pytest.raises(AssertionError):
        await test_outcomes_are_stored_although_handlers_use_all_that_they_may(binding)


async def test_a_greedy_job_leaves_other_running_jobs_their_reserve(binding: FakeD1) -> None:
    refused = asyncio.Event()

    async def is_greedy(params: Number, context: JobContext) -> Number:
        await asks_until_refused(params, context)
        refused.set()
        return params

    async def comes_later(params: Number, context: JobContext) -> Number:
        del context
        await refused.wait()
        await ask(5)
        return params

    world = World(binding, is_greedy, *[comes_later] * 4)
    await world.enqueue()

    assert await world.tick() == (5, 0)


async def test_a_job_that_needs_more_than_the_budget_fails_with_advice(binding: FakeD1) -> None:
    world = World(binding, asks(500), asks(5))
    await world.enqueue()

    assert await world.tick() == (1, 1)
    error = (await world.records())[0].error
    assert error is not None
    assert "this invocation of the Worker has 100 queries" in error
    assert "enqueue many jobs with later_many" in error


async def test_a_renewal_and_the_outcome_are_within_the_budget_after_a_handler_was_refused(binding: FakeD1) -> None:
    async def is_refused(params: Number, context: JobContext) -> Number:
        await asks_until_refused(params, context)
        await asyncio.create_task(backend.store.ping(), context=Context())  # as a renewal does
        return params

    world = World(binding, *[is_refused] * 3, most=50)
    await world.enqueue()
    backend = world.invocation()
    done = await backend.handle_cron()

    assert done.completed == 3
    assert binding.queries <= 50


async def test_a_job_that_runs_another_one_at_once_pays_for_both(binding: FakeD1) -> None:
    async def runs_another(params: Number, context: JobContext) -> Number:
        del context
        for _ in range(3):
            await Child.now({"number": 1})
        return params

    world = World(binding, runs_another, runs_another, runs_another)
    await world.enqueue()

    assert await world.tick() == (3, 0)


async def test_queries_that_a_job_makes_at_the_same_time_keep_within_the_budget(binding: FakeD1) -> None:
    async def asks_at_once(params: Number, context: JobContext) -> Number:
        del context
        await asyncio.gather(*(ask() for _ in range(200)))
        return params

    world = World(binding, asks_at_once)
    await world.enqueue()

    assert await world.tick() == (0, 1)
    assert await world.states() == [(JobStatus.FAILED, 1)]


async def test_a_handler_that_ignores_refusals_gets_no_further_query(binding: FakeD1) -> None:
    tried: list[int] = []

    async def is_stubborn(params: Number, context: JobContext) -> Number:
        del context
        while len(tried) < 1000:
            with suppress(DatabaseError):
                await ask()
            tried.append(1)
        return params

    world = World(binding, is_stubborn, asks(5))
    await world.enqueue()

    assert await world.tick() == (2, 0)
    assert len(tried) == 1000


async def test_a_cancelled_tick_releases_jobs_that_made_queries(binding: FakeD1) -> None:
    stays = asyncio.Event()

    async def asks_and_stays(params: Number, context: JobContext) -> Number:
        del context
        await ask(3)
        stays.set()
        await asyncio.Event().wait()
        return params

    world = World(binding, asks_and_stays, asks_and_stays)
    await world.enqueue()
    tick = asyncio.ensure_future(world.tick())
    await stays.wait()
    tick.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tick

    assert await world.states() == [(JobStatus.PENDING, 0)] * 2


async def test_each_invocation_of_a_shared_store_has_a_fresh_budget(binding: FakeD1) -> None:
    world = World(binding, asks(60))
    store = SqlStore(D1Database(binding))
    world.handler = create_cron_handler(database=store, job_registry=world.registry, max_queries=world.most)

    for _ in range(3):
        await world.enqueue()
        assert await world.tick() == (1, 0)


async def test_a_task_that_outlives_its_job_cannot_use_the_reserve_of_another_one(binding: FakeD1) -> None:
    database = D1Database(binding)
    budget = QueryBudget(100, 1, database, lambda: 1)
    starts = asyncio.Event()

    async def outlives() -> None:
        await starts.wait()
        check_queries(50)

    with budget.running_job():
        left_behind = asyncio.create_task(outlives())
    with budget.running_job():
        starts.set()
        with pytest.raises(DatabaseError, match="reserved for other jobs"):
            await left_behind
        check_queries(50)


async def test_without_counted_queries_there_is_no_budget() -> None:
    registry = create_job_registry().register(Child)
    store = InMemoryBackend(job_registry=registry).store
    backend = CloudflareWorkerBackend(database=store, job_registry=registry, max_queries=20)
    await Child.using(backend).later_many([{"number": 0}] * 200)

    assert backend.allowance() is None
    assert (await backend.handle_cron()).completed == 200
