"""A worker notices at once when another process enqueues into its SQLite file, and uses no CPU while idle."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from server_jobs.databases.sqlite import watcher
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.sqlite.watcher import LONGEST_GAP, SHORTEST_GAP, CommitChecks, watch_file
from server_jobs.errors import DatabaseError
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import completed, job, request
from tests.conformance.stores import create_sqlite_file

SEED = 20261125
PATIENCE = 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file with empty tables."""
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    return path


@pytest.fixture
def neighbour(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a second connection to the same file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


@pytest.fixture(params=["told by the kernel", "by looking"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how writes to the file are noticed: by inotify, or without it."""
    if request.param == "by looking":
        monkeypatch.setattr(watcher, "_open_inotify", no_inotify)
    return str(request.param)


def no_inotify(path: Path) -> int:
    raise OSError(24, "no more inotify instances for this user")


def is_told_by_the_kernel() -> bool:
    """Return whether inotify is in use in this process."""
    return any(os.path.realpath(file).endswith("anon_inode:inotify") for file in Path("/proc/self/fd").iterdir())


def touch(neighbour: sqlite3.Connection) -> None:
    """Make a commit that stores no job."""
    neighbour.execute("UPDATE cron_jobs SET enabled = enabled")
    neighbour.execute("PRAGMA user_version = 1")


@contextmanager
def idle_worker(path: Path) -> Iterator[Callable[[str], list[float]]]:
    """Start a worker process. Yield a function that sends it a line and returns the numbers of its answer."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.conformance.sqlite.sqlite_watcher", str(path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    assert stdout.readline() == "ready\n"

    def ask(question: str) -> list[float]:
        stdin.write(question + "\n")
        stdin.flush()
        return [float(number) for number in stdout.readline().split()]

    try:
        yield ask
        stdin.close()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        stdout.close()


async def test_another_process_is_woken_within_milliseconds_of_an_enqueue(path: Path) -> None:
    print(f"seed {SEED}")
    pauses = random.Random(SEED)
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    with idle_worker(path) as ask:
        answer = asyncio.create_task(asyncio.to_thread(ask, "claim 60"))
        began = []
        for number in range(60):
            await asyncio.sleep(pauses.uniform(0.01, 0.03))
            began.append(time.time())
            await store.insert([job(f"{number:02}")])
        claimed = await asyncio.wait_for(answer, PATIENCE)
    await store.close()

    latencies = [(end - start) * 1000 for start, end in zip(began, claimed, strict=True)]
    print(f"p50 {statistics.median(latencies):.2f} ms, longest {max(latencies):.2f} ms")
    assert statistics.median(latencies) < 30


async def test_an_idle_worker_uses_next_to_nothing(path: Path) -> None:
    with idle_worker(path) as ask:
        used, wakes = await asyncio.to_thread(ask, "idle 1")
    print(f"{used:.2f} % of a core")
    assert wakes == 0
    assert used < 2


async def test_a_busy_neighbour_does_not_keep_an_idle_worker_busy(path: Path, neighbour: sqlite3.Connection) -> None:
    with idle_worker(path) as ask:
        answer = asyncio.create_task(asyncio.to_thread(ask, "idle 1"))
        commits = 0
        neighbour.execute("PRAGMA synchronous = OFF")
        while not answer.done():
            neighbour.execute("PRAGMA user_version = 1")
            commits += 1
            if commits % 20 == 0:
                await asyncio.sleep(0.001)
        used, wakes = await answer
    print(f"{commits} commits, {wakes:.0f} wakes, {used:.2f} % of a core")
    assert commits > 200
    assert 0 < wakes < 2 / LONGEST_GAP
    assert used < 30


async def test_commits_of_others_wake_and_those_of_this_connection_do_not(
    path: Path, neighbour: sqlite3.Connection, way: str
) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    woken = asyncio.Event()
    end = store.watch(woken.set)
    assert is_told_by_the_kernel() == (way == "told by the kernel" and sys.platform == "linux")

    await store.insert([job("a"), job("b")])
    for claim in await store.claim(request()):
        await store.settle([completed(claim)])
    await asyncio.sleep(0.15)
    assert not woken.is_set()

    touch(neighbour)
    await asyncio.wait_for(woken.wait(), PATIENCE)

    await asyncio.sleep(0.15)
    woken.clear()
    end()
    touch(neighbour)
    await asyncio.sleep(0.15)
    assert not woken.is_set()
    await store.close()


async def test_the_last_of_many_commits_is_noticed(path: Path, neighbour: sqlite3.Connection, way: str) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    seen = 0
    woken = asyncio.Event()
    store.watch(woken.set)
    for number in range(100):
        neighbour.execute(
            "INSERT INTO jobs (id, job_name, params, created_at, updated_at) VALUES (?, 'SendEmail', '{}', 0, 0)",
            (number,),
        )
        if number % 9 == 0:
            await asyncio.sleep(0.001)
    while seen < 100:
        await asyncio.wait_for(woken.wait(), PATIENCE)
        woken.clear()
        seen = sum(count.count for count in await store.count_jobs())
    await store.close()


async def test_a_commit_long_after_the_file_was_written_is_noticed(path: Path, neighbour: sqlite3.Connection) -> None:
    neighbour.executescript("PRAGMA cache_size = 10; PRAGMA synchronous = OFF")
    store = SqlStore(SqliteDatabase(path))
    await store.open()
    woken = asyncio.Event()
    store.watch(woken.set)
    neighbour.execute("BEGIN IMMEDIATE")
    neighbour.execute("CREATE TABLE large AS SELECT randomblob(200000)")  # it exceeds the cache, so it is written now
    await asyncio.sleep(0.03)
    assert not woken.is_set()

    neighbour.execute("COMMIT")

    await asyncio.wait_for(woken.wait(), PATIENCE)
    await store.close()


async def test_a_closed_event_loop_does_not_disturb_the_others(path: Path, neighbour: sqlite3.Connection) -> None:
    store = SqlStore(SqliteDatabase(path))
    await store.open()

    async def watch_and_leave() -> None:
        store.watch(lambda: None)

    await asyncio.to_thread(asyncio.run, watch_and_leave())
    woken = asyncio.Event()
    store.watch(woken.set)
    touch(neighbour)
    await asyncio.wait_for(woken.wait(), PATIENCE)
    await store.close()


async def test_a_closed_database_cannot_be_watched_and_one_in_memory_has_no_neighbours(path: Path) -> None:
    with pytest.raises(DatabaseError, match="is not open"):
        SqliteDatabase(path).watch(lambda **_: None)
    database = SqliteDatabase(":memory:")
    await database.open()
    database.watch(lambda **_: None)()
    await database.close()


async def test_closing_ends_every_watch(path: Path, neighbour: sqlite3.Connection, way: str) -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    database = SqliteDatabase(path)
    await database.open()
    wakes: list[int] = []
    ends = [database.watch(lambda **_: wakes.append(1)) for _ in range(3)]

    await database.close()

    touch(neighbour)
    await asyncio.sleep(0.05)
    assert wakes == []
    # The second connection's files were opened in the meantime.
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2
    for end in ends:
        end()


async def test_writes_to_a_file_are_reported_once_per_interval(tmp_path: Path, way: str) -> None:
    path = tmp_path / "file"
    path.write_text("")
    told: list[float] = []
    again = asyncio.Event()

    def written() -> float:
        told.append(time.monotonic())
        if len(told) > 1:
            again.set()
        return 0.05

    end = watch_file(path, written)
    began = time.monotonic()
    while not again.is_set():
        with path.open("a") as file:
            file.write("more")
        await asyncio.sleep(0.002)
        assert time.monotonic() - began < PATIENCE
    end()
    assert told[1] - told[0] > 0.045


async def test_a_file_that_is_not_there_is_watched_until_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    told = asyncio.Event()

    def written() -> float:
        told.set()
        return 0.0

    end = watch_file(path, written)
    path.write_text("now")
    await asyncio.wait_for(told.wait(), PATIENCE)
    end()


def test_no_check_runs_before_a_write() -> None:
    assert CommitChecks().next is None


def test_after_a_write_it_is_looked_at_once_and_then_less_and_less_often() -> None:
    looks = CommitChecks()
    looks.file_written(100.0)
    moments: list[float] = []
    while looks.next is not None:
        moments.append(looks.next)
        looks.nothing_new(looks.next)

    pauses = [after - before for before, after in pairwise(moments)]
    assert moments[0] == 100.0
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.001
    assert 0.1 < moments[-1] - moments[0] < 0.5


def test_after_a_commit_it_is_looked_again_since_another_may_have_been_written_with_it() -> None:
    looks = CommitChecks()
    looks.file_written(100.0)
    looks.committed(100.0, own_changes=0)
    assert looks.next == 100.0 + SHORTEST_GAP


def test_between_wakes_there_is_a_gap_however_often_the_file_is_written() -> None:
    looks = CommitChecks()
    looks.committed(100.0, own_changes=0)
    looks.file_written(100.0001)
    assert looks.next == 100.0 + SHORTEST_GAP


def test_the_gap_grows_while_wakes_are_of_no_use_and_shrinks_when_one_was() -> None:
    looks = CommitChecks()
    now = 100.0
    for _ in range(10):
        looks.committed(now, own_changes=7)
        now += looks.gap
    assert looks.gap == LONGEST_GAP

    looks.committed(now, own_changes=8)
    assert looks.gap == SHORTEST_GAP


def test_the_gap_is_short_again_after_a_quiet_while() -> None:
    looks = CommitChecks()
    for step in range(10):
        looks.committed(100.0 + step / 1000, own_changes=7)
    assert looks.gap == LONGEST_GAP

    looks.committed(200.0, own_changes=7)
    assert looks.gap == SHORTEST_GAP
