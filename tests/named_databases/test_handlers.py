"""Workers of one database, whose handlers use all of them, and the schedules of each database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from server_jobs import Backend, Databases, ProjectError, Worker, connect, tick
from server_jobs.domain.record import JobQuery
from server_jobs.registry import JobRegistry
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from .letters import EU, US, CleanUp, Heavy, Letter, PlainLetter, Report, Sent, new_registry


@asynccontextmanager
async def working(name: str, registry: JobRegistry | None = None) -> AsyncIterator[Backend]:
    """Run a worker of this database while the block runs."""
    async with connect(registry or new_registry(), database=name, poll_interval=timedelta(seconds=0.05)) as backend:
        worker = Worker(backend, concurrency=2, drain_timeout=timedelta(seconds=1))
        running = asyncio.create_task(worker.run())
        try:
            yield backend
        finally:
            worker.stop()
            await asyncio.wait_for(running, 10)


LIMIT = timedelta(seconds=20)


async def test_a_worker_runs_the_jobs_of_its_database_only(urls: Mapping[str, str]) -> None:
    async with working("us"):
        here, there = await Letter.later({"tenant": US}), await Letter.later({"tenant": EU})
        assert (await here.result(timeout=LIMIT)).ok
        await asyncio.sleep(0.2)
        assert await there.status() == "pending"


async def test_handlers_enqueue_into_other_databases_and_into_the_first(urls: Mapping[str, str]) -> None:
    async with working("us") as backend:
        handle = await Letter.later({"tenant": US, "copies": (EU, US), "cleans": True})
        outcome = await handle.result(timeout=LIMIT)
        assert outcome.data is not None
        copy_there, copy_here = outcome.data.ids
        assert await backend.store.get(copy_there) is None
        assert await backend.store.get(copy_here) is not None
    async with connect(new_registry(), database="eu") as backend:
        stored = {job.job_name for job in await backend.store.list_jobs(JobQuery(limit=10))}
        assert stored == {"Letter", "CleanUp"}


async def test_plain_handlers_enqueue_into_other_databases(urls: Mapping[str, str]) -> None:
    async with working("us"):
        handle = await PlainLetter.later({"tenant": US, "copies": (EU,)})
        outcome = await handle.result(timeout=LIMIT)
        assert outcome.data is not None
        async with connect(new_registry(), database="eu") as backend:
            assert await backend.store.get(outcome.data.ids[0]) is not None


async def test_handlers_in_processes_enqueue_into_other_databases(urls: Mapping[str, str]) -> None:
    registry = new_registry().register(Heavy)
    async with working("us", registry):
        handle = await Heavy.later({"tenant": US, "copies": (EU, US), "cleans": True})
        outcome = await handle.result(timeout=LIMIT)
        assert outcome.ok, outcome.error
        assert outcome.data is not None
    async with connect(new_registry(), database="eu") as backend:
        stored = {job.job_name for job in await backend.store.list_jobs(JobQuery(limit=10))}
        assert stored == {"Letter", "CleanUp"}


async def test_a_completion_job_finds_its_batch_in_its_database(urls: Mapping[str, str]) -> None:
    async with working("us") as backend:
        batch = await Letter.later_many([{"tenant": US, "text": "1"}], then=Report.new_job({"tenant": US}))
        outcome = await Report.using(backend).handle(batch.id).result(timeout=LIMIT)
        assert outcome.data == Sent(ids=(str(batch[0]),))


async def test_a_database_that_is_down_fails_only_the_handlers_that_need_it(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EU_TEST_DATABASE_URL", "postgresql://127.0.0.1:1/shop")
    async with working("us"):
        handle = await Letter.later({"tenant": US, "copies": (EU,)})
        other = await Letter.later({"tenant": US, "text": "fine"})
        assert (await other.result(timeout=LIMIT)).ok

        async def error() -> str | None:
            return (await handle.record()).error

        async with asyncio.timeout(20):
            while not (found := await error()):
                await asyncio.sleep(0.05)
        assert "database eu (EU_TEST_DATABASE_URL)" in found


async def schedules_in(name: str) -> dict[str, bool]:
    async with connect(new_registry(), database=name) as backend:
        return {one.label: one.enabled for one in await backend.store.list_schedules()}


async def test_a_declared_schedule_is_in_the_database_of_its_params(
    urls: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for name in urls:
        async with connect(new_registry(), database=name) as backend:
            await tick(backend)
    assert await schedules_in("eu") == {"CleanUp/nightly": True}
    assert await schedules_in("us") == {"Letter/daily": True}
    assert caplog.text == ""


async def test_a_schedule_that_moves_is_disabled_where_it_was(
    urls: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(new_registry(), database="us") as backend:
        await tick(backend)
    registry = new_registry(database_of=lambda _: "eu")
    for name in urls:
        async with connect(registry, database=name) as backend:
            await tick(backend)
    assert await schedules_in("us") == {"Letter/daily": False}
    assert await schedules_in("eu") == {"Letter/daily": True, "CleanUp/nightly": True}
    assert "schedule daily of Letter is disabled: it belongs to the database 'eu' now, whose" in caplog.text


async def test_an_added_schedule_that_moves_fires_again_once_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    clock, places = FakeClock(), {US: "us"}
    registry = new_registry(database_of=places.__getitem__)
    us = Databases(registry, databases={"us": MemoryStore(clock)})["us"]
    await Letter.using(us).schedule("weekly").add(cron="0 * * * *", params={"tenant": US})
    await tick(us)

    async def jobs_after_an_hour() -> int:
        clock.advance(timedelta(hours=1))
        await tick(us)
        return len(await us.store.list_jobs(JobQuery(job_name="Letter", limit=10)))

    assert await jobs_after_an_hour() == 1
    places[US] = "eu"
    for _ in range(2):
        assert await jobs_after_an_hour() == 1
    message = (
        "schedule weekly of Letter cannot fire: it belongs to the database 'eu' now, not to 'us'; remove it, and add"
    )
    assert caplog.text.count(message) == 1
    places[US] = "us"
    assert await jobs_after_an_hour() == 2


async def test_a_schedule_without_a_database_is_refused_at_the_start(urls: Mapping[str, str]) -> None:
    async with connect(new_registry(database_of=lambda _: "asia"), database="eu") as backend:
        with pytest.raises(ProjectError, match="it returns 'asia'"):
            await asyncio.wait_for(Worker(backend).run(), 10)


async def test_each_job_of_a_worker_wakes_it_at_once(urls: Mapping[str, str]) -> None:
    async with connect(new_registry(), database="us", poll_interval=timedelta(minutes=1)) as backend:
        worker = Worker(backend)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0.2)
        assert (await (await Letter.later({"tenant": US})).result(timeout=timedelta(seconds=5))).ok
        worker.stop()
        await running


def test_clean_up_has_no_tenant() -> None:
    assert CleanUp.options.shard_by is None
