"""One worker for several shards: isolation, equal parts of the slots, and handlers that enqueue into other shards."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from server_jobs import Backend, InvalidOptionError, JobContext, JobQuery, Worker, create_job_registry, tick
from server_jobs.engine import worker as worker_module
from server_jobs.engine.sharded.capacity import Capacity
from server_jobs.errors import SetupError
from server_jobs.integrations.prometheus import WorkerMetrics
from server_jobs.stores.sharded import ShardedStore

from tests.conformance.stores import create_sqlite_file

from .letters import SHARDS, TABLE, TENANTS, CleanUp, Heavy, Letter, LetterParams, Sent, clean, registry, send
from .outage import UnreliableStore


@pytest.fixture
def store() -> ShardedStore:
    return ShardedStore({name: UnreliableStore() for name in SHARDS}, TABLE)


@pytest.fixture
def backend(store: ShardedStore) -> Backend:
    return Backend(database=store, job_registry=registry, poll_interval=timedelta(seconds=0.05))


def unreliable(store: ShardedStore, shard: str) -> UnreliableStore:
    found = store.stores[shard]
    assert isinstance(found, UnreliableStore)
    return found


@asynccontextmanager
async def working(backend: Backend, concurrency: int = 4) -> AsyncIterator[Worker]:
    """Run a worker while the block runs."""
    worker = Worker(backend, concurrency=concurrency, drain_timeout=timedelta(seconds=0.2))
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, 10)


async def jobs_of_others_complete(backend: Backend, store: ShardedStore) -> bool:
    """Whether jobs of three shards complete within two seconds, while the fourth never answers."""
    letter = Letter.using(backend)
    async with working(backend):
        await letter.later({"tenant": TENANTS["eu"]})
        unreliable(store, "eu").hangs = True
        handles = [await letter.later({"tenant": TENANTS[one], "text": "x"}) for one in SHARDS if one != "eu"]
        try:
            await asyncio.gather(*(one.result(timeout=timedelta(seconds=2)) for one in handles))
        except TimeoutError:
            return False
        finally:
            unreliable(store, "eu").hangs = False
    return True


async def test_a_shard_that_never_answers_delays_only_its_own_jobs(backend: Backend, store: ShardedStore) -> None:
    assert await jobs_of_others_complete(backend, store)


async def test_sabotage_one_loop_for_all_shards_is_noticed(
    backend: Backend, store: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "shard_backends", lambda backend: [])
    assert not await jobs_of_others_complete(backend, store)


async def test_a_shard_that_is_down_at_the_start_is_used_when_it_is_back(
    backend: Backend, store: ShardedStore, caplog: pytest.LogCaptureFixture
) -> None:
    eu, letter = unreliable(store, "eu"), Letter.using(backend)
    waiting = await letter.later({"tenant": TENANTS["eu"]})
    eu.is_down = True
    with caplog.at_level(logging.ERROR):
        async with working(backend) as worker:
            await (await letter.later({"tenant": TENANTS["us"]})).result(timeout=timedelta(seconds=5))
            assert worker.unready() is None
            eu.is_down = False
            assert (await waiting.result(timeout=timedelta(seconds=5))).ok
    assert [one.message for one in caplog.records] == ["shard eu cannot be used, trying again: the server is down"]


async def test_a_handler_enqueues_into_the_shards_of_other_tenants(backend: Backend, store: ShardedStore) -> None:
    letter = Letter.using(backend)
    async with working(backend):
        await letter.later({"tenant": TENANTS["eu"], "text": "a", "copies": [TENANTS["us"], TENANTS["sa"]]})
        deadline = asyncio.get_running_loop().time() + 5
        while sum(one.count for one in await store.count_jobs()) < 3:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
    places = {shard: sum(one.count for one in await each.count_jobs()) for shard, each in store.stores.items()}
    assert places == {"asia": 0, "eu": 1, "sa": 1, "us": 1}


async def test_a_handler_in_its_own_process_does_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for shard in SHARDS:
        create_sqlite_file(tmp_path / shard)
        monkeypatch.setenv(f"URL_{shard}", f"sqlite:///{tmp_path / shard}")
    url = "shards:" + ",".join(f"{shard}=URL_{shard}" for shard in SHARDS)
    backend = Backend(database=url, job_registry=create_job_registry().register(Letter).register(Heavy))
    try:
        async with working(backend):
            heavy = await Heavy.using(backend).later({"tenant": TENANTS["eu"], "copies": [TENANTS["us"]]})
            assert (await heavy.result(timeout=timedelta(seconds=30))).ok
        assert isinstance(backend.store, ShardedStore)
        assert [job.job_name for job in await backend.store.stores["us"].list_jobs(JobQuery())] == ["Letter"]
    finally:
        await backend.shutdown()


async def test_a_worker_is_one_worker_in_all_shards(backend: Backend, store: ShardedStore) -> None:
    async with working(backend) as worker:
        while len(await store.workers()) < 1 or not all([await one.workers() for one in store.stores.values()]):
            await asyncio.sleep(0.01)
        (found,) = await store.workers()
        assert (found.report.id, found.report.concurrency, found.is_alive) == (worker.id, 4, True)


async def test_the_metrics_of_a_worker_have_the_label_shard(backend: Backend) -> None:
    exported = CollectorRegistry()
    exported.register(metrics := WorkerMetrics(backend))
    letter = Letter.using(backend)
    await letter.later_many([{"tenant": TENANTS["eu"], "text": text} for text in "ab"])
    await letter.later({"tenant": TENANTS["us"]})
    await Worker(backend, until_empty=True, listener=metrics).run()
    for shard, count in (("eu", 2), ("us", 1), ("sa", None)):
        labels = {"queue": "default", "job_name": "Letter", "shard": shard}
        for name in ("completed_total", "wait_seconds_count", "run_seconds_count"):
            assert exported.get_sample_value(f"server_jobs_worker_{name}", labels) == count
        by_outcome = {**labels, "outcome": "completed"}
        assert exported.get_sample_value("server_jobs_worker_attempts_total", by_outcome) == count
        assert exported.get_sample_value("server_jobs_worker_running_jobs", labels) == (count and 0)


async def test_a_schedule_for_each_shard_makes_a_job_in_each(backend: Backend, store: ShardedStore) -> None:
    await tick(backend)
    for one in store.stores.values():
        assert isinstance(one, UnreliableStore)
        (schedule,) = [each for each in await one.list_schedules() if each.name == "everywhere"]
        assert schedule.next_run_at is not None
        one._schedules[schedule.id] = replace(schedule, next_run_at=datetime.now(UTC).replace(second=0, microsecond=0))
    done = await tick(backend)
    assert done.scheduled == 4
    jobs = [job.id for one in store.stores.values() for job in await one.list_jobs(JobQuery())]
    assert len({*jobs}) == 4


async def test_fewer_slots_than_shards_are_refused(backend: Backend) -> None:
    with pytest.raises(InvalidOptionError, match=r"^concurrency must be at least 4, one slot for each shard, not 3$"):
        Worker(backend, concurrency=3)


async def test_a_schedule_of_a_shard_that_is_not_there_is_refused() -> None:
    store = ShardedStore({name: UnreliableStore() for name in ("asia", "eu")})
    message = r"^the schedule CleanUp/in-us names the shard 'us'; the shards are asia, eu$"
    with pytest.raises(InvalidOptionError, match=message):
        Worker(Backend(database=store, job_registry=registry))


async def test_a_lifespan_opens_once_for_all_shards_and_its_error_ends_the_worker(store: ShardedStore) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def counted() -> AsyncIterator[None]:
        opened.append("once")
        yield

    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        if opened:
            raise RuntimeError("no mail server")
        yield

    jobs = create_job_registry().register(Letter, send).register(CleanUp, clean).lifespan(counted)
    backend = Backend(database=store, job_registry=jobs)
    async with working(backend):
        await (await Letter.using(backend).later({"tenant": TENANTS["us"]})).result(timeout=timedelta(seconds=5))
    assert opened == ["once"]
    jobs.lifespan(broken)
    with pytest.raises(SetupError):
        await Worker(Backend(database=store, job_registry=jobs), concurrency=4).run()


async def test_a_busy_shard_leaves_a_slot_to_each_other_and_shares_with_another_busy_one(store: ShardedStore) -> None:
    running, most, total = Counter[str](), Counter[str](), list[int]()

    async def measured(params: LetterParams, context: JobContext) -> Sent:
        running[params.tenant] += 1
        most[params.tenant] = max(most[params.tenant], running[params.tenant])
        total.append(sum(running.values()))
        await asyncio.sleep(0.01)
        running[params.tenant] -= 1
        return Sent(text=params.text)

    backend = Backend(database=store, job_registry=create_job_registry().register(Letter, measured))
    letter, eu, us = Letter.using(backend), TENANTS["eu"], TENANTS["us"]
    await letter.later_many([{"tenant": eu, "text": str(n)} for n in range(1000)])
    async with asyncio.timeout(20), working(backend, concurrency=10):
        while most[eu] < 7:
            await asyncio.sleep(0.01)
        await (await letter.later({"tenant": us, "text": "alone"})).result()
        assert most[eu] == 7  # one is left for each of the others
        await letter.later_many([{"tenant": us, "text": str(n)} for n in range(1000)])
        while most[us] < 4:  # its part, which the other shard has left
            await asyncio.sleep(0.01)
        assert await store.count_due(backend.request(limit=1)) > 100
    assert max(total) <= 10


class _Slots:
    """The slots of one worker, with these running jobs."""

    def __init__(self, running: int, *, is_hungry: bool) -> None:
        self.running: list[object] = [object()] * running
        self.is_hungry = is_hungry
        self.filled = 0

    def fill_soon(self) -> None:
        self.filled += 1


@pytest.mark.parametrize(
    ("size", "members", "rooms"),
    [
        (5, [(2, True)], [3]),
        (10, [(0, True), (0, False), (0, False)], [8, 4, 4]),
        (10, [(7, True), (0, True), (0, False)], [-2, 3, 3]),
        (10, [(4, True), (4, True), (1, False)], [1, 0, 1]),
        (10, [(2, True), (0, False), (6, False)], [1, 2, -2]),
        (3, [(1, True), (1, True), (1, True)], [0, 0, 0]),
    ],
)
def test_the_slots_are_divided(size: int, members: list[tuple[int, bool]], rooms: list[int]) -> None:
    capacity = Capacity(size)
    slots = [_Slots(running, is_hungry=is_hungry) for running, is_hungry in members]
    for one in slots:
        capacity.join(one)  # type: ignore[arg-type]
    assert [capacity.room_of(one) for one in slots] == rooms  # type: ignore[arg-type]
