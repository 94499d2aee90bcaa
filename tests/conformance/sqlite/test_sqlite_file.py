"""Only the owner can read a SQLite file, and a file that was deleted or replaced accepts no more jobs."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from server_jobs import Backend, JobContext, Worker, create_job_registry, define_job
from server_jobs.databases.sqlite.connection import OpenFile
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.errors import DatabaseError, SchemaMissingError
from server_jobs.migrations.engine import migration_engine
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import ids, job, request
from tests.conformance.stores import create_sqlite_file

Change = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file with empty tables."""
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    return path


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace(path: Path) -> None:
    other = path.with_name("other")
    create_sqlite_file(other)
    other.replace(path)


CHANGES = {"deleted": delete, "deleted with its WAL": delete_all, "moved away": move_away, "replaced": replace}


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_deleted_or_replaced_file_is_noticed_at_the_next_call(path: Path, change: Change) -> None:
    async with opened(path) as store:
        await store.insert([job("a")])
        change(path)

        with pytest.raises(DatabaseError, match=rf"{path} was (deleted|replaced by another file) while"):
            await store.insert([job("b")])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_reads_and_claims_notice_it_as_well(path: Path, change: Change) -> None:
    async with opened(path) as reader, opened(path) as claimer:
        await reader.insert([job("a")])
        change(path)

        with pytest.raises(DatabaseError, match="while it was in use"):
            await reader.get("a")
        with pytest.raises(DatabaseError, match="while it was in use"):
            await claimer.claim(request())


async def test_calls_fail_without_creating_a_file_until_there_is_one_again(path: Path) -> None:
    async with opened(path) as store:
        await store.insert([job("a")])
        move_away(path)
        for number in range(3):
            with pytest.raises(DatabaseError, match="was deleted"):
                await store.insert([job(f"b{number}")])
            assert not path.exists()

        path.with_name("elsewhere").rename(path)
        await store.insert([job("c")])
        assert ids(await store.claim(request())) == ["a", "c"]


async def test_a_new_file_is_used_once_the_old_wal_is_deleted(path: Path) -> None:
    async with opened(path) as store:
        await store.insert([job("a")])
        replace(path)
        for number in range(2):  # SQLite would write the WAL with "a" into the new file.
            with pytest.raises(DatabaseError, match="was replaced by another file"):
                await store.insert([job(f"b{number}")])

        Path(f"{path}-wal").unlink()
        Path(f"{path}-shm").unlink()
        await store.insert([job("c")])

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM jobs").fetchall() == [("c",)]


async def test_a_deleted_wal_is_noticed_and_its_content_is_kept(path: Path) -> None:
    async with opened(path) as store:
        await store.insert([job("a")])
        Path(f"{path}-wal").unlink()

        with pytest.raises(DatabaseError, match=r"jobs\.sqlite3-wal was deleted while it was in use"):
            await store.insert([job("b")])
        await store.insert([job("c")])

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM jobs ORDER BY id").fetchall() == [("a",), ("c",)]


async def test_a_relative_path_means_the_same_file_after_a_change_of_directory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    async with opened(Path(path.name)) as store:
        monkeypatch.chdir("/")
        await store.insert([job("a")])


class Greeting(BaseModel):
    """Params and result of a job."""

    name: str


async def greet(params: Greeting, context: JobContext) -> Greeting:
    """Return the params."""
    return params


async def test_a_worker_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    greeting = define_job(name="Greet", params=Greeting, result=Greeting, handler=greet)
    backend = Backend(database=f"sqlite:///{path}", job_registry=create_job_registry().register(greeting))
    worker = Worker(backend, drain_timeout=timedelta(seconds=0.1))
    running = asyncio.create_task(worker.run())
    await greeting.using(backend).later({"name": "Ada"})
    while not (await backend.store.count_jobs()):
        await asyncio.sleep(0.01)
    delete(path)

    async with asyncio.timeout(10):
        while f"{path} was deleted while it was in use" not in caplog.text:
            await asyncio.sleep(0.01)
    worker.stop()
    await running
    await backend.shutdown()


async def test_without_the_comparison_jobs_are_acknowledged_into_a_deleted_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenFile, "check", lambda self: None)
    async with opened(path) as store:
        delete(path)

        assert [one.created for one in await store.insert([job("lost")])] == [True]
    assert not path.exists()


# --- who may read it --------------------------------------------------------------------------------------------------


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Set a umask under which all users can read and write new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Return the permissions of the files in a folder."""
    return {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", ["missing.sqlite3", "missing/folder.sqlite3"])
async def test_the_engine_creates_no_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SchemaMissingError, match=f"no SQLite database {tmp_path}/{name}; run `server-jobs migrate`"):
        await SqliteDatabase(name).open()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("open_umask")
async def test_a_file_that_migrations_create_is_for_its_owner_alone(tmp_path: Path) -> None:
    with migration_engine(f"sqlite:///{tmp_path}/new.sqlite3").begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (id INTEGER)")
    database = SqliteDatabase(tmp_path / "new.sqlite3")
    await database.open()

    assert modes(tmp_path) == {"new.sqlite3": "0o600", "new.sqlite3-shm": "0o600", "new.sqlite3-wal": "0o600"}
    await database.close()


@pytest.mark.usefixtures("open_umask")
async def test_a_file_that_exists_keeps_its_mode(path: Path) -> None:
    path.chmod(0o660)
    async with opened(path) as store:
        await store.insert([job("a")])
        assert set(modes(path.parent).values()) == {"0o660"}
