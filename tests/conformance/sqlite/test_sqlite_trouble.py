"""If SQLite fails, a typed error names the file and the remedy. Afterwards the database works again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from server_jobs.databases.sqlite import connection as sqlite_connection
from server_jobs.databases.sqlite.database import SqliteDatabase, wal_reset_warning
from server_jobs.databases.sqlite.errors import is_busy, refused
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.errors import DatabaseBusyError, DatabaseError
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import completed, insert_and_claim, job, read, request
from tests.conformance.sqlite.sqlite_visitor import NOBODY
from tests.conformance.stores import create_sqlite_file

SOON = timedelta(seconds=0.2)
ROOT = Path(__file__).parents[3]
Ask = Callable[[str], str]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that every user can enter."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def path(folder: Path) -> Path:
    """Yield a SQLite file with empty tables, owned by a user without rights."""
    path = folder / "jobs.sqlite3"
    create_sqlite_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


@contextmanager
def visitor(path: Path) -> Iterator[Ask]:
    """Start a process without root's rights. Yield a function that sends it a line and returns its answer."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.conformance.sqlite.sqlite_visitor", str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    assert stdout.readline() == "ready\n"

    def ask(question: str) -> str:
        stdin.write(question + "\n")
        stdin.flush()
        return stdout.readline().strip()

    with process:
        yield ask


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in connection.execute("SELECT id FROM jobs ORDER BY id")]


async def test_a_full_disk_is_reported_nothing_is_half_written_and_it_works_again(path: Path) -> None:
    database = SqliteDatabase(path)
    store = SqlStore(database)
    await store.open()
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    await limit_pages(database, 20)

    with pytest.raises(DatabaseError) as failure:
        await store.insert([job(f"b{number}", params=f'"{"x" * 3000}"') for number in range(100)])
    assert str(path) in str(failure.value)
    assert "there is no room for it on its disk; make room, then it works again; nothing was stored" in str(
        failure.value
    )
    with pytest.raises(DatabaseError, match="no room"):
        await store.settle([completed(claim, f'"{"x" * 200_000}"')])
    assert await read(store, "a") == running

    await limit_pages(database, 100_000)
    assert await store.settle([completed(claim)]) != [None]
    await store.insert([job("c")])
    await store.close()
    assert stored(path) == ["a", "c"]


async def test_too_little_memory_is_reported_and_it_works_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(connection: sqlite_connection.SqliteConnection, *_: object) -> list[Row]:
        assert connection._connection is not None
        raise MemoryError  # as the standard library does for SQLITE_NOMEM

    store = SqlStore(SqliteDatabase(path))
    await store.open()
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_connection.SqliteConnection, "_execute", execute)
        for call in (store.insert([job("a")]), store.ping(), store.claim(request())):
            with pytest.raises(DatabaseError, match=r"too little memory for a statement on .*; nothing was stored"):
                await call
    await store.insert([job("b")])
    await store.close()
    assert stored(path) == ["b"]


async def test_on_a_full_disk_each_write_of_a_group_gets_its_true_outcome(path: Path) -> None:
    database = SqliteDatabase(path)
    store = SqlStore(database)
    await store.open()
    await limit_pages(database, 40)

    answers = await asyncio.gather(
        *(store.insert([job(f"{number:02}", params=f'"{"x" * 3000 * (number % 5)}"')]) for number in range(40)),
        return_exceptions=True,
    )

    told = [f"{number:02}" for number, answer in enumerate(answers) if not isinstance(answer, BaseException)]
    assert len(told) < 40
    assert all(isinstance(answer, DatabaseError) for answer in answers if isinstance(answer, BaseException))
    await store.close()
    assert stored(path) == told


def test_a_file_that_may_not_grow_is_reported_and_works_again_when_it_may(path: Path) -> None:
    with visitor(path) as ask:
        assert ask("insert a") == "stored"
        ask(f"limit {Path(f'{path}-wal').stat().st_size + 6000}")
        answers = [ask(f"insert b{number}") for number in range(3)]
        ask("limit -1")
        assert ask("insert c") == "stored"

    assert answers[-1].startswith(f"DatabaseError: the SQLite database {path} cannot be used (")
    assert answers[-1].endswith("nothing was stored")
    kept = [f"b{number}" for number, answer in enumerate(answers) if answer == "stored"]
    assert stored(path) == ["a", *kept, "c"]


def test_a_read_only_file_is_reported_and_works_again_when_it_is_writable(path: Path) -> None:
    path.chmod(0o444)
    with visitor(path) as ask:
        answer = ask("insert a")
        assert answer.startswith("DatabaseError: ")
        assert str(path) in answer
        assert "give its user the right to write the file, those beside it that end in -wal and -shm" in answer
        ask("close")
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            file.chmod(0o644)
        assert ask("insert b") == "stored"
    assert stored(path) == ["b"]


def test_a_read_only_folder_is_reported_and_works_again_when_it_is_writable(path: Path, folder: Path) -> None:
    folder.chmod(0o555)
    with visitor(path) as ask:
        answer = ask("insert a")
        assert answer.startswith("DatabaseError: ")
        assert str(path) in answer
        assert "give its user the right to write the file" in answer
        assert "their folder, and start again" in answer
        ask("close")
        folder.chmod(0o755)
        assert ask("insert b") == "stored"
    assert stored(path) == ["b"]


async def test_a_file_that_is_no_database_is_reported(folder: Path) -> None:
    path = folder / "notes.txt"
    path.write_text("Dear diary, " * 1000)

    with pytest.raises(DatabaseError) as failure:
        await SqliteDatabase(path).open()

    assert str(failure.value).startswith(f"cannot open the SQLite database {path}: file is not a database; ")
    assert "name another one" in str(failure.value)
    assert path.read_text().startswith("Dear diary, ")


async def test_a_lock_that_blocks_opening_is_waited_for_and_then_reported(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as neighbour:
        neighbour.execute("PRAGMA locking_mode = EXCLUSIVE")
        neighbour.execute("PRAGMA user_version = 1")
        with pytest.raises(DatabaseBusyError, match=r"locked by another process for 0\.2 s"):
            await SqliteDatabase(path, busy_timeout=SOON).open()
        opening = asyncio.create_task(SqlStore(SqliteDatabase(path)).open())
        await asyncio.sleep(0.05)
        assert not opening.done()

    await opening


async def test_a_lock_on_a_file_that_has_no_wal_yet_is_waited_for(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as neighbour:
        neighbour.execute("PRAGMA journal_mode = DELETE")
        neighbour.execute("BEGIN EXCLUSIVE")
        database = SqliteDatabase(path)
        opening = asyncio.create_task(database.open())
        await asyncio.sleep(0.05)
        assert not opening.done()
        neighbour.execute("COMMIT")

        await opening
        (mode,) = await database.run((Statement("PRAGMA journal_mode", writes=False), {}))
        assert mode[0]["journal_mode"] == "wal"
        await database.close()


async def test_a_reader_that_stays_keeps_neither_writes_nor_closing_from_happening(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as neighbour:
        store = SqlStore(SqliteDatabase(path, busy_timeout=SOON))
        await store.open()
        await store.insert([job("a")])
        neighbour.execute("BEGIN")
        assert neighbour.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
        for number in range(300):  # more than one automatic checkpoint
            await store.insert([job(f"b{number:03}", params=f'"{"x" * 20_000}"')])
        await asyncio.wait_for(store.close(), timeout=30)
        assert neighbour.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    assert len(stored(path)) == 301


async def test_after_a_burst_the_wal_gives_its_room_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_connection, "_LARGEST_IDLE_WAL", 100_000)
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    await store.insert([job("a", params=f'"{"x" * 6_000_000}"')])
    assert Path(f"{path}-wal").stat().st_size > 6_000_000

    await store.insert([job("b")])

    assert Path(f"{path}-wal").stat().st_size < 200_000
    await store.close()


async def test_every_caller_gets_an_error_if_the_database_cannot_be_opened(folder: Path) -> None:
    database = SqliteDatabase(folder)
    opening = asyncio.create_task(database.open())
    await asyncio.sleep(0)
    asked = [asyncio.create_task(database.run((Statement("SELECT 1", writes=False), {}))) for _ in range(3)]

    answers = await asyncio.wait_for(asyncio.gather(opening, *asked, return_exceptions=True), timeout=30)

    assert all(isinstance(answer, DatabaseError) for answer in answers)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_CORRUPT, "restore a backup"),
        (sqlite3.SQLITE_IOERR, "look at its disk"),
        (sqlite3.SQLITE_IOERR | 3 << 8, "look at its disk"),
        (sqlite3.SQLITE_PERM, "allowed to read and write"),
    ],
)
def test_an_error_has_advice(code: int, advice: str) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    told = str(refused("jobs.sqlite3", error))
    assert "the SQLite database jobs.sqlite3 cannot be used (what SQLite says): " in told
    assert advice in told


@pytest.mark.parametrize("code", [5, 5 | 1 << 8, 5 | 2 << 8, 6, 15])
def test_every_kind_of_busy_is_tried_again(code: int) -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    assert is_busy(error)


def test_a_sqlite_that_can_corrupt_a_file_has_a_warning_and_one_that_cannot_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.51.2")
    assert "SQLite 3.51.2 can, very rarely, corrupt" in (wal_reset_warning() or "")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert wal_reset_warning() is None


async def limit_pages(database: SqliteDatabase, pages: int) -> None:
    """Limit the pages of this connection, like a full disk."""
    await database.run((Statement(f"PRAGMA max_page_count = {pages}", writes=False), {}))
