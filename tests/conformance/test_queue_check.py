"""The check of a live queue reads it as new workers would, and changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from server_jobs import EarlierVersion, JobContext, JobOptions, JobRegistry, Schedule, create_job_registry, define_job
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.ids import schedule_id
from server_jobs.domain.interfaces import Statement
from server_jobs.domain.record import UNREADABLE, JobQuery, JobStatus
from server_jobs.errors import UpcastNotImplementedError
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs_cli.generator.queue_check import QueueReport, RefusedSchedule, State, check_queue

from tests.conformance.examples import completed, failed, finish, insert_and_claim, job, schedule
from tests.conformance.stores import STORES, OpenStore, create_sqlite_file, open_sqlite
from tests.faults.conftest import IS_LONG

SQL_STORES = [name for name in STORES if name != "memory"]


class V1(BaseModel):
    """An address as one text."""

    model_config = ConfigDict(extra="forbid", strict=True)
    to: str


class V2(BaseModel):
    """Several addresses, and a secret word."""

    model_config = ConfigDict(extra="forbid", strict=True)
    to: list[str]
    password: str = ""


class Nothing(BaseModel):
    """No result."""


async def send(params: V2, context: JobContext) -> Nothing:
    raise AssertionError("no handler is called")


def upcast(params: V1) -> V2:
    if params.to == "nobody":
        raise LookupError("there is nobody")
    return V2(to=[params.to])


def stub(params: V1) -> V2:
    raise UpcastNotImplementedError("SendEmail", 1)


def registry_with(upcaster: Callable[[V1], V2] = upcast) -> JobRegistry:
    options = JobOptions(version=2, redact=("/password",))
    declared = Schedule(name="declared", cron="0 * * * *", params='{"to":[]}')
    return create_job_registry().register(
        define_job(
            name="SendEmail",
            params=V2,
            result=Nothing,
            handler=send,
            options=options,
            schedules=(declared,),
            earlier=(EarlierVersion[V1, V2](1, V1, upcaster),),
        )
    )


async def fill(store: SqlStore) -> None:
    """Store rows of every kind. Rows whose id begins with `bad` cannot be read."""
    await store.insert(
        [
            *(job(f"good-1-{number}", params='{"to":"ada"}') for number in range(3)),
            job("bad-1-type", params='{"to":5}'),
            job("bad-1-upcast", params='{"to":"nobody"}'),
            job("good-2", params='{"to":["ada"]}', spec_version=2),
            job("bad-2-none", params="{}", spec_version=2),
            job("bad-2-secret", params='{"to":[],"password":["hunter2"]}', spec_version=2),
            job("new", params="{}", spec_version=3),
            job("other", "Gone"),
        ]
    )
    claim = await insert_and_claim(store, job("bad-1-parked", params="[]"))
    await store.settle([failed(claim, f"{UNREADABLE}why", retry_after=None)])
    await insert_and_claim(store, job("good-1-running", params='{"to":"ada"}'))
    await store.settle([completed(await insert_and_claim(store, job("done", params="no matter")))])
    await finish(store, await insert_and_claim(store, job("failed", params="no matter")), JobStatus.FAILED)
    await store.save_schedules(
        [
            schedule(schedule_id("SendEmail", "declared"), name="declared", params='{"to":"ada"}'),
            schedule("undeclared", name="undeclared", params='{"to":"ada"}'),
            schedule("off", name="off", params='{"to":"ada"}', enabled=False),
            schedule("fits", name="fits", params='{"to":[{"$slot":"date"}]}'),
            schedule("slot-not", name="slot-not", params='{"to":[{"$slot":"day"}]}'),
        ]
    )
    for name, params in (("upcast", '{"to":{"$slot":"date"}}'), ("upcast-not", '{"to":"nobody"}')):
        await store.add_schedule(replace(schedule(name, name=name, params=params), spec_version=1))


@pytest.fixture(params=SQL_STORES)
def sql_store(request: pytest.FixtureRequest, clock: FakeClock, runner: asyncio.Runner):  # type: ignore[no-untyped-def]
    """Yield a store in a SQL database; the test runs once for each kind."""
    open_store: OpenStore = STORES[request.param]
    context = open_store(clock)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


async def test_every_row_that_is_to_be_run_is_read_as_a_worker_would(sql_store: SqlStore) -> None:
    await fill(sql_store)
    report = await check_queue([sql_store], registry_with(), page=2, shown=2)

    one, two = report.rows_of("SendEmail", 1), report.rows_of("SendEmail", 2)
    assert (one.count, one.refused, one.retryable) == (7, 3, 1)
    assert one.states == {State.PENDING: 5, State.RUNNING: 1, State.PARKED: 1}
    assert [example.id for example in one.examples] == ["bad-1-parked", "bad-1-type"]
    assert (two.count, two.refused) == (3, 2)
    assert two.examples[0].reason == "/to: Field required"
    assert "hunter2" not in str(report)
    assert report.rows_of("SendEmail", 3).waits == "here is version 2 and 1"
    assert report.rows_of("Gone", 1).waits == "no such job is registered here"
    assert report.has_refusals
    assert [(found.id, found.is_declared) for found in report.schedules] == [
        (schedule_id("SendEmail", "declared"), True),
        ("slot-not", False),
        ("undeclared", False),
        ("upcast-not", False),
    ]


async def test_the_rows_of_several_databases_are_counted_together(clock: FakeClock) -> None:
    async with open_sqlite(clock) as eu, open_sqlite(clock) as us:
        assert isinstance(eu, SqlStore)
        assert isinstance(us, SqlStore)
        for store in (eu, us):
            await fill(store)
        report = await check_queue([eu, us], registry_with(), shown=2)
    rows = report.rows_of("SendEmail", 1)
    assert (rows.count, rows.refused, rows.retryable, len(rows.examples)) == (14, 6, 2, 2)
    assert len(report.schedules) == 4


async def test_rows_whose_upcaster_is_a_stub_wait_and_are_not_refused(sql_store: SqlStore) -> None:
    await sql_store.insert([job("a", params="no matter")])
    report = await check_queue([sql_store], registry_with(stub))
    assert not report.has_refusals
    assert "is still a stub" in str(report.rows_of("SendEmail", 1).waits)


async def test_the_check_writes_nothing(sql_store: SqlStore) -> None:
    await fill(sql_store)
    before = await sql_store.list_jobs(JobQuery(limit=100)), await sql_store.list_schedules()
    run, written = sql_store.database.run, list[Statement]()

    async def watched(*calls, look=None):  # type: ignore[no-untyped-def]
        # The hint about the new jobs may still arrive.
        asked = [statement for statement, _ in calls if "pg_notify" not in statement.sql]
        written.extend(statement for statement in asked if statement.writes or "SELECT" not in statement.sql)
        return await run(*calls, look=look)

    sql_store.database.run = watched  # type: ignore[method-assign]
    await check_queue([sql_store], registry_with())
    assert written == []
    assert (await sql_store.list_jobs(JobQuery(limit=100)), await sql_store.list_schedules()) == before


async def test_a_file_that_was_checked_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    store = SqlStore(SqliteDatabase(path), FakeClock())
    await store.open()
    await fill(store)
    await store.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    await store.open()
    await check_queue([store], registry_with())
    await store.close()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.sqlite3"]


def test_params_that_migrate_replaces_are_not_refused() -> None:
    replaced, stays = (RefusedSchedule("s", "Job/s", "why", is_declared=declared) for declared in (True, False))
    assert not QueueReport((), (replaced,)).has_refusals
    assert QueueReport((), (stays,)).has_refusals


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
async def test_many_rows_are_read_in_a_bounded_time_and_page_by_page(
    name: str, clock: FakeClock, record_property: Callable[[str, object], None]
) -> None:
    count = 100_000 if IS_LONG else 2_000
    async with STORES[name](clock) as store:
        assert isinstance(store, SqlStore)
        params = '{"to":["ada@example.com","grace@example.com"],"password":"secret"}'
        await store.insert([job(f"j{number:06}", params=params, spec_version=2) for number in range(count)])
        began = time.process_time()
        report = await check_queue([store], registry_with())
        seconds = time.process_time() - began
    assert report.rows_of("SendEmail", 2).count == count
    assert not report.has_refusals
    record_property("figure", f"{name}: {count:,} rows checked in {seconds:.2f} s of CPU")
    assert timedelta(seconds=seconds) < timedelta(minutes=1)
