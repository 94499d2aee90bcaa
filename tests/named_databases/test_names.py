"""Each database holds its name. A wrong one, or one that is down, fails its own calls, with an error that names it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from server_jobs import DatabaseError, Databases, DatabaseUnreachableError, JobQuery, connect, connect_databases
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Database, Row, Statement, Value
from server_jobs.stores.sql.store import SqlStore
from server_jobs_turso.database import TursoDatabase

from tests.conformance.hrana_server import HranaServer
from tests.conformance.postgres_databases import new_database
from tests.conformance.stores import TURSO_TOKEN, create_sqlite_file

from .conftest import name_database, named_databases
from .letters import EU, US, CleanUp, Letter, new_registry

PASSWORD = "hunter2"


def swap(monkeypatch: pytest.MonkeyPatch, urls: Mapping[str, str]) -> None:
    monkeypatch.setenv("EU_TEST_DATABASE_URL", urls["us"])
    monkeypatch.setenv("US_TEST_DATABASE_URL", urls["eu"])


@pytest.fixture(params=["sqlite", "postgresql"])
def each_kind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mapping[str, str]]:
    with named_databases(request.param, tmp_path) as urls:
        for name, url in urls.items():
            monkeypatch.setenv(f"{name.upper()}_TEST_DATABASE_URL", url)
        yield urls


async def test_swapped_urls_are_refused_at_the_first_use(
    each_kind: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    swap(monkeypatch, each_kind)
    async with connect_databases(new_registry()):
        with pytest.raises(DatabaseError, match="EU_TEST_DATABASE_URL leads to the database 'us', not to 'eu'"):
            await Letter.later({"tenant": EU})
        with pytest.raises(DatabaseError, match="US_TEST_DATABASE_URL leads to the database 'eu', not to 'us'"):
            await Letter.later({"tenant": US})
    with pytest.raises(DatabaseError, match="leads to the database 'us', not to 'eu'; correct its URL"):
        async with connect(new_registry(), database="eu"):
            pass
    for name in each_kind:
        assert await count(each_kind[name]) == 0


async def test_a_doubled_url_is_refused_and_the_right_one_works(
    each_kind: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("US_TEST_DATABASE_URL", each_kind["eu"])
    async with connect_databases(new_registry()):
        await Letter.later({"tenant": EU})
        with pytest.raises(DatabaseError, match="US_TEST_DATABASE_URL leads to the database 'eu', not to 'us'"):
            await Letter.later({"tenant": US})
    with pytest.raises(DatabaseError, match="leads to the database 'eu', not to 'us'"):
        await name_database(each_kind["eu"], "us")
    assert await count(each_kind["eu"]) == 1


async def count(url: str) -> int:
    async with connect(new_registry(), url) as backend:
        return len(await backend.store.list_jobs(JobQuery(limit=100)))


async def test_a_database_without_a_name_is_refused_with_the_command(
    each_kind: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(each_kind["us"])
    async with connect_databases(new_registry()):
        await Letter.later({"tenant": EU})
        with pytest.raises(DatabaseError, match="run `server-jobs migrate --database us`"):
            await Letter.later({"tenant": US})
        await name_database(each_kind["us"], "us")
        await Letter.later({"tenant": US})


def forget(url: str) -> None:
    """Take the name from a database."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute("DROP TABLE server_jobs_database")
    else:
        with psycopg.connect(url) as connection:
            connection.execute("DELETE FROM server_jobs_database")


async def test_a_database_with_a_name_serves_a_project_with_one_database(each_kind: Mapping[str, str]) -> None:
    async with connect(new_registry(), each_kind["us"]):
        assert (await CleanUp.later({})).created


async def test_a_name_is_written_once_also_at_the_same_time(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "one")
    stores = [SqlStore(SqliteDatabase(tmp_path / "one")) for _ in range(4)]
    for store in stores:
        await store.open()
    assert await stores[0].read_name() is None
    names = await asyncio.gather(*(store.write_name(f"n{number % 2}") for number, store in enumerate(stores)))
    assert len(set(names)) == 1
    assert await stores[0].read_name() == names[0]
    for store in stores:
        await store.close()


async def test_a_turso_database_holds_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_sqlite_file(tmp_path / "eu")
    with HranaServer(tmp_path / "eu", TURSO_TOKEN) as server:
        monkeypatch.setenv("EU_TEST_DATABASE_URL", server.url)
        monkeypatch.setenv("TURSO_AUTH_TOKEN", TURSO_TOKEN)
        with pytest.raises(DatabaseError, match="leads to a database without a name"):
            async with connect(new_registry(), database="eu"):
                pass
        store = SqlStore(TursoDatabase(server.url, auth_token=TURSO_TOKEN))
        await store.open()
        assert await store.write_name("eu") == "eu"
        await store.close()
        async with connect(new_registry(), database="eu"):
            await Letter.later({"tenant": EU})


async def test_the_name_is_in_the_schema_of_the_tables() -> None:
    with new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE SCHEMA shop")
        store = SqlStore(PostgresDatabase(url, schema="shop"))
        await store.database.open()
        assert await store.read_name() is None
        assert await store.write_name("shop") == "shop"
        await store.close()
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT name FROM shop.server_jobs_database").fetchall()
        assert found == [("shop",)]


def note_names(monkeypatch: pytest.MonkeyPatch, kind: type[Database]) -> list[str]:
    """Return a list of the statements on the name of a database, which grows with each one."""
    noted: list[str] = []
    run = kind.run

    async def noting(
        database: Database,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        noted.extend(statement.sql for statement, _ in calls if "server_jobs_database" in statement.sql)
        return await run(database, *calls, look=look)

    monkeypatch.setattr(kind, "run", noting)
    return noted


async def test_one_statement_per_opening_and_none_per_job(
    each_kind: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: type[Database] = SqliteDatabase if each_kind["eu"].startswith("sqlite") else PostgresDatabase
    noted = note_names(monkeypatch, kind)
    async with connect_databases(new_registry()):
        for number in range(10):
            await Letter.later({"tenant": EU, "text": str(number)})
        assert len(noted) == 1
    async with connect(new_registry(), each_kind["eu"]):
        await Letter.later({"tenant": EU})
    assert len(noted) == 1


async def test_a_hundred_tasks_may_use_the_databases_first(each_kind: Mapping[str, str]) -> None:
    async with connect_databases(new_registry()):
        tasks = [Letter.later({"tenant": (EU, US)[n % 2], "text": str(n)}) for n in range(100)]
        handles = await asyncio.gather(*tasks)
        assert len(set(handles)) == 100
    assert [await count(url) for url in each_kind.values()] == [50, 50]


async def test_no_task_stores_a_job_before_the_name_was_compared(
    each_kind: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    swap(monkeypatch, each_kind)
    async with connect_databases(new_registry()):
        tasks = [Letter.later({"tenant": (EU, US)[n % 2], "text": str(n)}) for n in range(100)]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, DatabaseError) for answer in answers)
    assert [await count(url) for url in each_kind.values()] == [0, 0]


async def test_a_database_that_is_down_fails_its_own_calls_by_its_name(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    down = f"postgresql://shop:{PASSWORD}@127.0.0.1:1/shop"
    monkeypatch.setenv("US_TEST_DATABASE_URL", down)
    async with connect_databases(new_registry()) as databases:
        for call in (
            lambda: Letter.later({"tenant": US}),
            lambda: Letter.later_many([{"tenant": US}]),
            lambda: Letter.now({"tenant": US}),
            lambda: Letter.using(databases["us"]).handle("1").record(),
        ):
            with pytest.raises(DatabaseUnreachableError) as failure:
                await call()
            assert str(failure.value).startswith("database us (US_TEST_DATABASE_URL): ")
            assert str(failure.value).count("US_TEST_DATABASE_URL") == 1
            assert PASSWORD not in str(failure.value)
        await Letter.later({"tenant": EU})
        await CleanUp.later({})


async def test_a_missing_file_and_a_wrong_url_name_the_database(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for url in (f"sqlite:///{tmp_path}/missing", f"mysql://shop:{PASSWORD}@localhost/shop", "nonsense"):
        monkeypatch.setenv("US_TEST_DATABASE_URL", url)
        async with connect_databases(new_registry()):
            await Letter.later({"tenant": EU, "text": url[:10]})
            with pytest.raises(Exception, match=r"^database us \(US_TEST_DATABASE_URL\): ") as failure:
                await Letter.later({"tenant": US})
            assert PASSWORD not in str(failure.value)


def test_each_event_loop_opens_the_databases_again(
    each_kind: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = new_registry()
    databases = Databases(registry)
    with registry.bound_to(databases):
        for number in range(2):

            async def enqueue(text: str = str(number)) -> None:
                await Letter.later({"tenant": EU, "text": text})
                await Letter.later({"tenant": US, "text": text})

            asyncio.run(enqueue())
    asyncio.run(databases.shutdown())
    assert [asyncio.run(count(url)) for url in each_kind.values()] == [2, 2]


def test_a_forked_child_opens_its_own_connections(urls: Mapping[str, str]) -> None:
    registry = new_registry()
    with registry.bound_to(Databases(registry)):
        Letter.later_sync({"tenant": EU, "text": "parent"})
        child = os.fork()
        if child == 0:
            status = 1
            try:
                Letter.later_sync({"tenant": EU, "text": "child"})
                Letter.later_sync({"tenant": US, "text": "child"})
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status == 0
        Letter.later_sync({"tenant": US, "text": "parent"})
    assert [asyncio.run(count(url)) for url in urls.values()] == [2, 2]


async def test_a_copy_of_a_database_holds_its_name(urls: Mapping[str, str], tmp_path: Path) -> None:
    shutil.copy(urls["us"].removeprefix("sqlite:///"), tmp_path / "copy")
    store = SqlStore(SqliteDatabase(tmp_path / "copy"))
    await store.open()
    assert await store.read_name() == "us"
    await store.close()


@pytest.mark.parametrize("broken", ["eu", "us"])
async def test_a_database_that_fails_to_close_leaves_no_other_open(
    broken: str, urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    databases = Databases(new_registry())
    for name in urls:
        await databases[name].initialize()

    async def fail() -> None:
        raise DatabaseError("it is down")

    monkeypatch.setattr(databases[broken], "shutdown", fail)
    with pytest.raises(DatabaseError, match="it is down"):
        await databases.shutdown()
    assert [name for name in urls if databases[name].loop is not None] == [broken]
    monkeypatch.undo()
    await databases[broken].shutdown()
