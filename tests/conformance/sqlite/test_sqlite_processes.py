"""Many processes on one SQLite file, some of them killed: no lock errors, no lost jobs, and all make progress."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypedDict

import pytest
from server_jobs.databases.sqlite.connection import SqliteConnection
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.record import NewJob
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.stores import create_sqlite_file

ROOT = Path(__file__).parents[3]


class Report(TypedDict):
    """The report of one process."""

    inserted: list[str]
    completed: list[str]
    longest: float


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A SQLite file with empty tables."""
    path = tmp_path / "jobs.sqlite3"
    create_sqlite_file(path)
    return path


def start(path: Path, name: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.conformance.sqlite.sqlite_hammer", str(path), name, str(seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def go(process: subprocess.Popen[str]) -> None:
    """Wait until the process is ready, and let it start."""
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> Report:
    """Wait for its end. It may print no error."""
    output, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")
    report: Report = json.loads(output)
    return report


def status_counts(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall())


def count_of(path: Path, name: str) -> int:
    """Return how many jobs that process has stored."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM jobs WHERE id >= ? AND id < ?", (name, name + "~")
        ).fetchone()
    return int(count)


@pytest.mark.slow
def test_eight_processes_at_one_file_see_no_lock_lose_nothing_and_all_get_on(path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(start(path, f"p{number}", 1.5)) for number in range(8)]
        for process in processes:
            go(process)
        reports = [end(process) for process in processes]

    inserted = [job_id for report in reports for job_id in report["inserted"]]
    completed = Counter(job_id for report in reports for job_id in report["completed"])
    shares = [len(report["inserted"]) for report in reports]
    print(f"inserted {shares}, longest call {max(report['longest'] for report in reports):.2f} s")
    assert len(inserted) == len(set(inserted)) == sum(status_counts(path).values())
    assert set(completed.values()) == {1}
    assert status_counts(path).get("completed") == len(completed)
    assert min(shares) > 0
    assert max(report["longest"] for report in reports) < 5


def test_processes_that_are_killed_again_and_again_harm_no_other(path: Path) -> None:
    """Each kill leaves a WAL that the next process recovers while others write to it."""
    with ExitStack() as stack:
        survivor = stack.enter_context(start(path, "survivor", 2))
        go(survivor)
        for number in range(3):
            victim = stack.enter_context(start(path, f"victim{number}", 60))
            go(victim)
            while not count_of(path, f"victim{number}"):
                time.sleep(0.005)
            victim.send_signal(signal.SIGKILL)
            victim.communicate()
        report = end(survivor)

    with closing(sqlite3.connect(path)) as connection:
        stored = {row[0] for row in connection.execute("SELECT id FROM jobs")}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert set(report["inserted"]) <= stored


async def test_a_write_that_was_answered_survives_a_kill_of_its_process_before_any_checkpoint(path: Path) -> None:
    with start(path, "victim", 60) as victim:
        go(victim)
        while not status_counts(path):
            await asyncio.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    count = sum(status_counts(path).values())

    stores = [SqlStore(SqliteDatabase(path)) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))  # all of them find a WAL of a dead process
    answers = await asyncio.gather(
        *(
            store.insert([NewJob(id=f"new{number}", job_name="SendEmail", params="{}")])
            for number, store in enumerate(stores)
        )
    )
    await asyncio.gather(*(store.close() for store in stores))

    assert all(answer[0].created for answer in answers)
    assert count > 0
    assert sum(status_counts(path).values()) == count + 4


def test_a_file_that_is_locked_while_it_is_opened_is_opened_a_moment_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last other process to close the file locks it, at any of our statements."""
    real, refused = SqliteConnection.data_version, 0

    def locked_at_first(self: SqliteConnection) -> int:
        nonlocal refused
        if refused < 2:
            refused += 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return real(self)

    monkeypatch.setattr(SqliteConnection, "data_version", locked_at_first)

    async def work() -> None:
        store = SqlStore(SqliteDatabase(path))
        await store.open()
        await store.insert([NewJob(id="a", job_name="SendEmail", params="{}")])
        await store.close()

    asyncio.run(work())
    assert refused == 2
    assert sum(status_counts(path).values()) == 1


def test_processes_that_open_and_close_one_file_at_the_same_time_are_not_in_each_others_way(path: Path) -> None:
    """The last to close it checkpoints and removes the WAL, and the first to open it creates a new one."""

    async def work(name: str) -> None:
        for number in range(15):
            store = SqlStore(SqliteDatabase(path))
            await store.open()
            await store.insert([NewJob(id=f"{name}-{number}", job_name="SendEmail", params="{}")])
            await store.close()

    async def together() -> None:
        await asyncio.gather(*(work(f"w{number}") for number in range(4)))

    asyncio.run(together())
    assert sum(status_counts(path).values()) == 60
