"""Calls of job classes find the database of their params. One that needs two is refused before anything is stored."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_jobs import (
    DatabaseError,
    InvalidOptionError,
    JobNotBoundError,
    JobQuery,
    ProjectError,
    ScheduleHandle,
    connect,
    connect_databases,
    create_job_registry,
    set_database,
)
from server_jobs.binding import Binding
from server_jobs.domain.statistics import BatchCounts
from server_jobs.named_databases import Databases
from server_jobs.routing import rendezvous
from server_jobs.stores.memory import MemoryStore

from .letters import EU, NAMES, TENANTS, US, CleanUp, Letter, Report, Sent, TypedLetter, new_registry


def in_memory() -> Databases:
    return Databases(new_registry(), databases={name: MemoryStore() for name in NAMES})


@pytest.fixture
def databases() -> Iterator[Databases]:
    """Both databases in memory, with the jobs bound to them."""
    made = in_memory()
    with made.registry.bound_to(made):
        yield made


async def stored(databases: Databases) -> dict[str, int]:
    """Return the number of stored jobs in each database."""
    return {name: len(await databases[name].store.list_jobs(JobQuery(limit=100))) for name in NAMES}


async def test_a_job_is_stored_where_its_params_belong(databases: Databases) -> None:
    for name in NAMES:
        handle = await Letter.later({"tenant": TENANTS[name]})
        record = await handle.record()
        assert (await databases[name].store.get(str(handle))) == record
    assert await stored(databases) == {"eu": 1, "us": 1}


async def test_a_job_without_shard_by_is_in_the_first_database(databases: Databases) -> None:
    handle = await CleanUp.later({})
    assert await stored(databases) == {"eu": 1, "us": 0}
    assert await CleanUp.handle(str(handle)).status() == "pending"


@given(st.lists(st.text("abcdef", max_size=3), max_size=6))
def test_a_batch_is_stored_in_the_one_database_of_its_params_or_not_at_all(tenants: list[str]) -> None:
    async def check() -> None:
        databases = in_memory()
        wanted = {rendezvous(tenant, NAMES) for tenant in tenants}
        with databases.registry.bound_to(databases):
            params = [{"tenant": tenant, "text": str(number)} for number, tenant in enumerate(tenants)]
            if len(wanted) > 1:
                with pytest.raises(InvalidOptionError, match="must belong to one database"):
                    await Letter.later_many(params)
            else:
                assert len(await Letter.later_many(params)) == len(tenants)
        counts = {name: len(tenants) if wanted == {name} else 0 for name in NAMES}
        assert await stored(databases) == counts

    asyncio.run(check())


async def test_a_batch_of_ten_thousand_in_two_databases_stores_nothing(databases: Databases) -> None:
    params = [{"tenant": EU, "text": str(number)} for number in range(9_999)] + [{"tenant": US}]
    with pytest.raises(InvalidOptionError) as refusal:
        await Letter.later_many(params)
    assert f"Letter of '{EU}' belongs to eu and Letter of '{US}' belongs to us" in str(refusal.value)
    assert await stored(databases) == {"eu": 0, "us": 0}


async def test_the_completion_job_belongs_to_the_database_of_its_batch(databases: Databases) -> None:
    batch = await Letter.later_many([{"tenant": US, "text": "1"}], then=Report.new_job({"tenant": US}))
    assert await stored(databases) == {"eu": 0, "us": 2}
    assert await batch.counts() == BatchCounts(pending=1)
    with pytest.raises(InvalidOptionError, match=f"Letter of '{US}' belongs to us and Report of '{EU}' belongs to eu"):
        await Letter.later_many([{"tenant": US, "text": "2"}], then=Report.new_job({"tenant": EU}))
    with pytest.raises(InvalidOptionError, match="CleanUp which has no shardBy, belongs to eu"):
        await Letter.later_many([{"tenant": US, "text": "2"}], then=CleanUp.new_job({}))
    assert await stored(databases) == {"eu": 0, "us": 2}


async def test_an_empty_batch_with_a_completion_job_ends_where_that_belongs(databases: Databases) -> None:
    await Letter.later_many([], then=Report.new_job({"tenant": US}))
    assert await stored(databases) == {"eu": 0, "us": 1}


async def test_a_unique_key_is_of_one_database(databases: Databases) -> None:
    first = await Letter.later({"tenant": EU, "text": "once"})
    again = await Letter.later({"tenant": EU, "text": "once"})
    other = await Letter.later({"tenant": US, "text": "once"})
    assert (again == first, again.created, other.created) == (True, False, True)


async def test_now_and_execute_from_database_run_in_the_database_of_the_params(databases: Databases) -> None:
    outcome = await Letter.now({"tenant": US, "copies": [EU, US]})
    assert outcome.ok
    assert await stored(databases) == {"eu": 1, "us": 2}
    assert (await Letter.now({"tenant": US}, persist=False)).ok
    handle = await Letter.later({"tenant": US, "text": "later"})
    assert (await Letter.execute_from_database(handle)).ok
    with pytest.raises(InvalidOptionError, match=r"choose one: Letter\.using\(databases\['eu'\]\)"):
        await Letter.execute_from_database(str(handle))
    assert len(await Letter.now_many([{"tenant": EU, "text": "a"}, {"tenant": US, "text": "a"}])) == 2


def reads_by_id(job: TypedLetter, job_id: str) -> Mapping[str, Callable[[], Coroutine[object, object, object]]]:
    return {
        "record": lambda: job.handle(job_id).record(),
        "cancel": lambda: job.handle(job_id).cancel(),
        "find_batch": lambda: job.find_batch(job_id),
        "list_schedules": job.list_schedules,
        "schedule": lambda: job.schedule("weekly").record(),
        "pause": lambda: job.schedule("weekly").pause(),
    }


@pytest.mark.parametrize("name", reads_by_id(Letter, ""))
async def test_a_read_by_id_needs_a_choice(databases: Databases, name: str) -> None:
    batch = await Letter.later_many([{"tenant": US}], then=Report.new_job({"tenant": US}))
    await Letter.schedule("weekly").add(cron="0 7 * * 1", params={"tenant": US})
    job_id = batch.id if name == "find_batch" else str(batch[0])
    with pytest.raises(InvalidOptionError, match=r"in several databases \(eu, us\), and an id does not say in which"):
        await reads_by_id(Letter, job_id)[name]()
    await reads_by_id(Letter.using(databases["us"]), job_id)[name]()
    with Letter.bound_to(databases["us"]):
        await reads_by_id(Letter, job_id)[name]()


async def test_a_class_that_is_bound_to_one_database_refuses_params_of_another(databases: Databases) -> None:
    letter = Letter.using(databases["us"])
    await letter.later({"tenant": US})
    for call in (
        lambda: letter.later({"tenant": EU}),
        lambda: letter.later_many([{"tenant": EU}]),
        lambda: letter.now({"tenant": EU}),
        lambda: letter.schedule("weekly").add(cron="0 7 * * 1", params={"tenant": EU}),
        lambda: databases["us"].insert([Letter.new_job({"tenant": EU})]),
        lambda: databases["us"].insert([CleanUp.new_job({})]),
    ):
        with pytest.raises(InvalidOptionError, match="belongs to the database 'eu', not to 'us'; enqueue it there"):
            await call()
    assert await stored(databases) == {"eu": 0, "us": 1}


async def test_a_schedule_is_added_and_run_where_its_params_belong(databases: Databases) -> None:
    weekly = Letter.schedule("weekly")
    await weekly.add(cron="0 7 * * 1", params={"tenant": US})
    assert [len(await databases[name].store.list_schedules()) for name in NAMES] == [0, 1]
    there = Letter.using(databases["us"]).schedule("weekly")
    with pytest.raises(InvalidOptionError, match="belongs to the database 'eu'"):
        await there.change(params={"tenant": EU})
    of_route: ScheduleHandle[Sent, Mapping[str, object]] = ScheduleHandle(Letter, "other", databases["us"])
    with pytest.raises(InvalidOptionError, match="belongs to the database 'eu'"):
        await of_route.add(cron="0 7 * * 1", params={"tenant": EU})
    await there.change(cron="0 8 * * 1", params={"tenant": US, "text": "new"})
    await there.run()
    assert await stored(databases) == {"eu": 0, "us": 1}
    with pytest.raises(InvalidOptionError, match="sharded by /tenant"):
        await Letter.schedule("daily").add(cron="0 7 * * 1", params={"tenant": {"$slot": "date"}})


def test_sync_calls_find_the_database_too(urls: Mapping[str, str]) -> None:
    registry = new_registry()
    set_database(registry)
    try:
        handle = Letter.later_sync({"tenant": US})
        batch = Letter.later_many_sync([{"tenant": EU, "text": "1"}, {"tenant": EU, "text": "2"}])
        Letter.schedule("weekly").add_sync(cron="0 7 * * 1", params={"tenant": US})
        assert handle.status_sync() == batch[0].status_sync() == "pending"
        with pytest.raises(InvalidOptionError, match="an id does not say in which"):
            Letter.handle(str(handle)).status_sync()
        assert counts_in(urls) == {"eu": 2, "us": 1}
    finally:
        registry.bind(None)


def counts_in(urls: Mapping[str, str]) -> dict[str, int]:
    """Return the number of jobs in each file."""
    counts = {}
    for name, url in urls.items():
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            (counts[name],) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return counts


async def test_connect_opens_one_database_by_name_and_binds_the_jobs_to_all(urls: Mapping[str, str]) -> None:
    async with connect(new_registry(), database="us") as backend:
        assert backend.registry.routing is not None
        await Letter.later({"tenant": EU})
        await Letter.later({"tenant": US})
        assert len(await backend.store.list_jobs(JobQuery(limit=10))) == 1
    assert counts_in(urls) == {"eu": 1, "us": 1}
    with pytest.raises(JobNotBoundError):
        await Letter.later({"tenant": EU})


async def test_connect_with_a_url_keeps_all_jobs_in_that_database(urls: Mapping[str, str]) -> None:
    async with connect(new_registry(), urls["us"]):
        await Letter.later({"tenant": EU})
        await CleanUp.later({})
    assert counts_in(urls) == {"eu": 0, "us": 2}


async def test_connect_without_a_choice_says_what_to_call(urls: Mapping[str, str]) -> None:
    with pytest.raises(InvalidOptionError, match=r"call connect_databases\(registry\), or connect\(registry, database"):
        async with connect(new_registry()):
            pass
    with pytest.raises(InvalidOptionError, match="no database is called 'asia'; the databases are eu, us"):
        async with connect(new_registry(), database="asia"):
            pass
    with pytest.raises(InvalidOptionError, match="not both"):
        async with connect(new_registry(), urls["eu"], database="eu"):
            pass
    with pytest.raises(InvalidOptionError, match="the registry names no databases"):
        async with connect_databases(create_job_registry()):
            pass
    with pytest.raises(InvalidOptionError, match="the registry names no databases"):
        async with connect(create_job_registry(), database="eu"):
            pass


async def test_a_mapping_of_names_to_backends(urls: Mapping[str, str]) -> None:
    async with connect_databases(new_registry()) as databases:
        assert [*databases] == ["eu", "us"]
        assert ("eu" in databases, "asia" in databases, len(databases)) == (True, False, 2)
        assert databases["eu"] is databases["eu"]
        with pytest.raises(InvalidOptionError, match="no database is called 'asia'"):
            databases["asia"]


class Choice:
    """A function of the project that can be made to fail."""

    def __init__(self) -> None:
        self.answer: object = "eu"

    def __call__(self, key: str) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize("answer", ["asia", None, 1, KeyError("tenant"), b"eu"])
async def test_a_function_of_the_project_that_fails_stores_nothing(answer: object, tmp_path: Path) -> None:
    choice = Choice()
    made = Databases(new_registry(database_of=choice), databases={name: MemoryStore() for name in NAMES})
    choice.answer = answer
    with made.registry.bound_to(made), pytest.raises(ProjectError, match="database_of"):
        await Letter.later({"tenant": EU})
    assert await stored(made) == {"eu": 0, "us": 0}


def calls_with_params(job: TypedLetter) -> Mapping[str, Callable[[], Coroutine[object, object, object]]]:
    letters = [{"tenant": EU, "text": str(number)} for number in range(3)]
    return {
        "later": lambda: job.later({"tenant": EU}),
        "later_sync": lambda: asyncio.to_thread(job.later_sync, {"tenant": EU}),
        "later_many": lambda: job.later_many(letters, then=Report.new_job({"tenant": EU})),
        "later_many_sync": lambda: asyncio.to_thread(job.later_many_sync, letters),
        "now": lambda: job.now({"tenant": EU}),
        "now without a row": lambda: job.now({"tenant": EU}, persist=False),
        "add": lambda: job.schedule("weekly").add(cron="0 7 * * 1", params={"tenant": EU}),
    }


@pytest.mark.parametrize("is_chosen", [False, True], ids=["all", "eu"])
@pytest.mark.parametrize("name", calls_with_params(Letter))
async def test_a_call_asks_for_the_database_of_a_tenant_once(name: str, *, is_chosen: bool) -> None:
    asked: list[str] = []

    def choose(tenant: str) -> str:
        asked.append(tenant)
        return "eu" if len(asked) == 1 else "us"

    made = Databases(new_registry(choose), databases={each: MemoryStore() for each in NAMES})
    job = Letter.using(made["eu"] if is_chosen else made)
    await calls_with_params(job)[name]()
    assert asked == [EU]


@pytest.mark.parametrize("tenant", ["x" * 900_000, "\N{SNAKE}", "", "eu\nus", " "])
async def test_any_tenant_is_a_key(databases: Databases, tenant: str) -> None:
    handle = await Letter.later({"tenant": tenant})
    assert (await handle.record()).params.startswith('{"tenant":')


async def test_a_lone_surrogate_and_nul_are_refused_as_params(databases: Databases) -> None:
    for tenant in ("\ud800", "a\0b"):
        with pytest.raises(Exception, match=r"tenant|surrogate|NUL"):
            await Letter.later({"tenant": tenant})
    assert await stored(databases) == {"eu": 0, "us": 0}


async def test_a_variable_that_is_not_set_fails_only_its_own_calls(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("US_TEST_DATABASE_URL")
    async with connect_databases(new_registry()):
        await Letter.later({"tenant": EU})
        with pytest.raises(DatabaseError, match="US_TEST_DATABASE_URL is not set"):
            await Letter.later({"tenant": US})


def test_bindings_of_all_kinds_are_accepted() -> None:
    bound: Binding = in_memory()
    assert Letter.using(bound).binding() is bound
