"""Writes to SQLite that arrive together share one commit, but each gets its own answer."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.sqlite.thread import LARGEST_GROUP
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.errors import DatabaseBusyError, DatabaseError

PUT = Statement("INSERT INTO notes (id, text) VALUES (:id, :text) RETURNING id", writes=True)
ALL = Statement("SELECT id FROM notes ORDER BY id", writes=False)
SOON = timedelta(seconds=0.2)
PATIENCE = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Yield a SQLite file with a table that counts its inserts."""
    path = tmp_path / "notes.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return path


@pytest.fixture
def neighbour(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a second connection to the same file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@asynccontextmanager
async def opened(path: Path, *, busy_timeout: timedelta = timedelta(seconds=30)) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(path, busy_timeout=busy_timeout)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def put(database: SqliteDatabase, *numbers: int, text: str | None = "note") -> Sequence[Sequence[Row]]:
    """Insert rows in one transaction."""
    return await database.run(*((PUT, {"id": number, "text": text}) for number in numbers))


async def held_back(
    database: SqliteDatabase, neighbour: sqlite3.Connection, *transactions: Sequence[int]
) -> list[object]:
    """Make transactions wait for a lock and run together once it is free. Return their answers or errors."""
    neighbour.execute("BEGIN IMMEDIATE")
    tasks = [asyncio.create_task(put(database, *numbers)) for numbers in transactions]
    await asyncio.sleep(0)  # the thread has each of them now
    neighbour.execute("COMMIT")
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def stored(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id")]


def commits(neighbour: sqlite3.Connection, path: Path) -> int:
    """Return how many commits the file has had, from the frames of its WAL that end a transaction."""
    wal = Path(f"{path}-wal").read_bytes()
    frame = 24 + neighbour.execute("PRAGMA page_size").fetchone()[0]
    return sum(wal[offset + 4 : offset + 8] != bytes(4) for offset in range(32, len(wal), frame))


async def test_writes_that_wait_together_share_a_commit(path: Path, neighbour: sqlite3.Connection) -> None:
    async with opened(path) as database:
        answers = await held_back(database, neighbour, *([number] for number in range(50)))

        assert _ids(answers) == list(range(50))
        assert stored(neighbour) == list(range(50))
        assert commits(neighbour, path) <= 3


async def test_a_thousand_writes_at_once_are_all_stored_and_answered(path: Path) -> None:
    async with opened(path) as database:
        answers = await asyncio.gather(*(put(database, number) for number in range(5 * LARGEST_GROUP)))
        (rows,) = await database.run((ALL, {}))

    assert _ids(answers) == list(range(5 * LARGEST_GROUP))
    assert [row["id"] for row in rows] == list(range(5 * LARGEST_GROUP))


async def test_one_that_fails_changes_nothing_and_harms_no_other(path: Path, neighbour: sqlite3.Connection) -> None:
    neighbour.execute("INSERT INTO notes VALUES (5, 'there already')")
    async with opened(path) as database:
        first, second, third = await held_back(database, neighbour, [1], [2, 3, 5, 4], [6, 7])

    assert _ids([first]) == [1]
    assert isinstance(second, DatabaseError)
    assert "UNIQUE constraint failed: notes.id" in str(second)
    assert _ids([third]) == [6]
    assert stored(neighbour) == [1, 5, 6, 7]


async def test_a_value_that_cannot_be_bound_harms_no_other(path: Path, neighbour: sqlite3.Connection) -> None:
    async with opened(path) as database:
        neighbour.execute("BEGIN IMMEDIATE")
        tasks = [
            asyncio.create_task(transaction)
            for transaction in (
                put(database, 1),
                put(database, 2, text="\ud800"),
                put(database, 3, 2**63),
                put(database, 4),
            )
        ]
        await asyncio.sleep(0)
        neighbour.execute("COMMIT")
        answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [isinstance(answer, DatabaseError) for answer in answers] == [False, True, True, False]
    assert stored(neighbour) == [1, 4]


async def test_an_unexpected_error_reaches_its_callers_and_keeps_the_connection(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    broken = cast("str", 3)
    async with opened(path) as database:
        with pytest.raises(TypeError):
            await database.run((PUT, {"id": 1, "text": ""}), (Statement(broken, writes=True), {}))
        assert stored(neighbour) == []
        with pytest.raises(TypeError):
            await database.run((ALL, {}), (Statement(broken, writes=False), {}))
        await put(database, 2)
        await put(database, 3, 4)
    assert stored(neighbour) == [2, 3, 4]


async def test_after_a_failed_group_commit_each_write_is_stored_or_refused_alone(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    neighbour.executescript(
        "CREATE TABLE owners (id INTEGER PRIMARY KEY);"
        "ALTER TABLE notes ADD COLUMN owner INTEGER REFERENCES owners DEFERRABLE INITIALLY DEFERRED"
    )
    orphan = Statement("INSERT INTO notes (id, text, owner) VALUES (9, 'orphan', 1) RETURNING id", writes=True)
    async with opened(path) as database:
        await database.run((Statement("PRAGMA foreign_keys = ON", writes=False), {}))
        neighbour.execute("BEGIN IMMEDIATE")
        tasks = [asyncio.create_task(put(database, 1)), asyncio.create_task(database.run((orphan, {}), (ALL, {})))]
        await asyncio.sleep(0)
        neighbour.execute("COMMIT")
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[1], DatabaseError)
        assert not isinstance(answers[0], BaseException)
        assert stored(neighbour) == [1]

        with pytest.raises(DatabaseError):
            await database.run((orphan, {}), (ALL, {}))
        assert stored(neighbour) == [1]

        await put(database, 2)
    assert stored(neighbour) == [1, 2]


async def test_reads_are_answered_while_writes_wait_and_see_nothing_of_them(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    async with opened(path) as database:
        neighbour.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(put(database, 1))
        await asyncio.sleep(0.02)

        (rows,) = await asyncio.wait_for(database.run((ALL, {})), timeout=PATIENCE)

        assert list(rows) == []
        assert not write.done()
        neighbour.execute("COMMIT")
        await write


async def test_calls_that_only_read_see_one_state(path: Path, neighbour: sqlite3.Connection) -> None:
    slow = Statement(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n",
        writes=False,
    )
    async with opened(path) as database:
        task = asyncio.create_task(database.run((ALL, {}), (slow, {}), (ALL, {})))
        for number in range(20):
            await asyncio.sleep(0.001)
            neighbour.execute("INSERT INTO notes VALUES (?, '')", (number,))
        before, _, after = await task

    assert list(before) == list(after)


async def test_a_caller_that_gives_up_gets_its_write_as_a_whole_or_not_at_all(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    async with opened(path) as database:
        for start in range(0, 400, 2):
            task = asyncio.create_task(put(database, start, start + 1))
            for _ in range(start % 7):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await put(database, 1000)

    numbers = stored(neighbour)
    assert {number for number in numbers if number % 2} == {
        number + 1 for number in numbers if number % 2 == 0 and number < 1000
    }


async def test_callers_who_gave_up_while_they_waited_for_the_lock_are_not_served(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    async with opened(path) as database:
        neighbour.execute("BEGIN IMMEDIATE")
        given_up, kept = asyncio.create_task(put(database, 1)), asyncio.create_task(put(database, 2))
        await asyncio.sleep(0.02)
        given_up.cancel()
        await asyncio.sleep(0.02)
        neighbour.execute("COMMIT")
        await kept

    assert stored(neighbour) == [2]


async def test_each_answer_reaches_the_event_loop_of_its_caller(path: Path, neighbour: sqlite3.Connection) -> None:
    async with opened(path) as database:
        finished: list[int] = []

        def elsewhere(start: int) -> None:
            async def work() -> None:
                await asyncio.gather(*(put(database, number) for number in range(start, start + 50)))
                for number in range(start + 50, start + 60):
                    await put(database, number)

            asyncio.run(asyncio.wait_for(work(), PATIENCE))
            finished.append(start)

        threads = [threading.Thread(target=elsewhere, args=(start,)) for start in (100, 200, 300)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(asyncio.gather(*(put(database, number) for number in range(60))), PATIENCE)
        for thread in threads:
            await asyncio.to_thread(thread.join)

    assert sorted(finished) == [100, 200, 300]
    assert stored(neighbour) == [start + number for start in (0, 100, 200, 300) for number in range(60)]


async def test_a_lock_kept_too_long_fails_every_caller_and_stores_nothing(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    async with opened(path, busy_timeout=SOON) as database:
        neighbour.execute("BEGIN IMMEDIATE")
        both = asyncio.gather(put(database, 1), put(database, 2, 3), return_exceptions=True)
        answers = await asyncio.wait_for(both, PATIENCE)
        neighbour.execute("COMMIT")

        for answer in answers:
            assert isinstance(answer, DatabaseBusyError)
            assert str(path) in str(answer)
            assert "locked by another process for 0.2 s" in str(answer)
            assert "keeps a transaction open" in str(answer)
        assert stored(neighbour) == []
        await put(database, 4)
    assert stored(neighbour) == [4]


async def test_requests_before_closing_are_served_and_none_after(path: Path, neighbour: sqlite3.Connection) -> None:
    database = SqliteDatabase(path)
    await database.open()
    writes = [asyncio.create_task(put(database, number)) for number in range(20)]
    await asyncio.sleep(0)

    await asyncio.wait_for(database.close(), PATIENCE)

    assert _ids(await asyncio.wait_for(asyncio.gather(*writes), PATIENCE)) == list(range(20))
    assert stored(neighbour) == list(range(20))
    with pytest.raises(DatabaseError, match="is not open"):
        await put(database, 99)


async def test_a_garbage_collected_database_ends_its_thread(path: Path) -> None:
    before = set(threading.enumerate())  # threads of other tests' databases may be about to end
    database = SqliteDatabase(path)
    await database.open()
    await put(database, 1)
    (thread,) = (one for one in set(threading.enumerate()) - before if one.name == "server-jobs-sqlite")
    forgotten = weakref.ref(database)

    del database
    gc.collect()

    assert forgotten() is None
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_a_forked_process_must_open_the_database_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path) as database:
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: -1)
            with pytest.raises(DatabaseError, match="open it after the fork"):
                await put(database, 1)


async def test_bytes_that_are_no_text_do_not_keep_other_rows_from_being_read(
    path: Path, neighbour: sqlite3.Connection
) -> None:
    neighbour.execute("INSERT INTO notes VALUES (1, CAST(x'61ff62' AS TEXT)), (2, 'good')")
    async with opened(path) as database:
        (rows,) = await database.run((Statement("SELECT text FROM notes ORDER BY id", writes=False), {}))

    assert [row["text"] for row in rows] == ["a\ufffdb", "good"]


def _ids(answers: Sequence[object]) -> list[object]:
    """Return the id in the first row of each answer."""
    found: list[object] = []
    for answer in answers:
        assert isinstance(answer, list), answer
        found.append(answer[0][0]["id"])
    return found
