"""Real worker processes on one SQLite file, killed, stopped and continued: no job is lost, no stale result accepted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from server_jobs import create_job_registry
from server_jobs.backend import Backend

from tests.conformance.stores import create_sqlite_file
from tests.runtime.processes.worker import Nap, TakeNap

ROOT = Path(__file__).parents[2]

# Whatever is done to a job, and by whom, leaves a line that nobody can take back.
HISTORY = """
CREATE TABLE history (
  moment INTEGER PRIMARY KEY, id TEXT, old_status TEXT, new_status TEXT, old_token TEXT, new_token TEXT,
  old_attempt INTEGER, new_attempt INTEGER, result TEXT);
CREATE TRIGGER jobs_history AFTER UPDATE ON jobs BEGIN
  INSERT INTO history (id, old_status, new_status, old_token, new_token, old_attempt, new_attempt, result)
  VALUES (new.id, old.status, new.status, old.fencing_token, new.fencing_token, old.attempt_count, new.attempt_count,
          new.result);
END;
CREATE TRIGGER jobs_kept AFTER DELETE ON jobs BEGIN SELECT RAISE(ABORT, 'a job was deleted'); END;
"""


@dataclass(frozen=True)
class Change:
    """One update of one row."""

    job_id: str
    move: tuple[str, str]
    old_token: str | None
    new_token: str | None
    attempts: tuple[int, int]
    result: str | None


@dataclass(frozen=True)
class LogLine:
    """What a worker process noted."""

    process: int
    event: str
    job_id: str
    detail: str


class Site:
    """A SQLite file with its history, and the worker processes on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.sqlite3"
        self.log_path = folder / "log.txt"
        create_sqlite_file(self.path)
        self.connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.executescript(HISTORY)
        self.processes: list[subprocess.Popen[bytes]] = []

    def enqueue(self, *naps: float, gate: Path | None = None) -> list[str]:
        """Store a job for each nap."""

        async def store() -> list[str]:
            backend = Backend(database=f"sqlite:///{self.path}", job_registry=create_job_registry().register(TakeNap))
            handles = await TakeNap.using(backend).later_many([Nap(seconds=seconds, gate=gate) for seconds in naps])
            await backend.shutdown()
            return [str(handle) for handle in handles]

        return asyncio.run(store())

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A new worker process."""
        command = [sys.executable, "-m", "tests.runtime.processes.worker", str(self.path), str(self.log_path)]
        process = subprocess.Popen(command, cwd=ROOT)
        self.processes.append(process)
        return process

    def statuses(self) -> Counter[str]:
        """How many jobs are in each status."""
        return Counter(dict(self.connection.execute("SELECT status, count(*) FROM jobs GROUP BY status")))

    def rows(self) -> dict[str, tuple[str, int, int, str | None]]:
        """Status, attempts, most attempts and result of each job."""
        found = self.connection.execute("SELECT id, status, attempt_count, max_attempts, result FROM jobs")
        return {row[0]: row[1:] for row in found}

    def column(self, name: str) -> dict[str, object]:
        """One column of each job."""
        return dict(self.connection.execute(f"SELECT id, {name} FROM jobs"))

    def history(self) -> list[Change]:
        """Every update, in order."""
        columns = "id, old_status, new_status, old_token, new_token, old_attempt, new_attempt, result"
        found = self.connection.execute(f"SELECT {columns} FROM history ORDER BY moment")
        return [Change(row[0], (row[1], row[2]), row[3], row[4], (row[5], row[6]), row[7]) for row in found]

    def log(self, event: str) -> list[LogLine]:
        """What the processes noted of that kind."""
        text = self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else ""
        lines = [LogLine(int(process), *rest) for process, *rest in (line.split() for line in text.splitlines())]
        return [line for line in lines if line.event == event]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until that is so; half a minute at most."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, f"waited too long; {self.statuses()}"
            time.sleep(0.005)

    def wait_for_completed(self, goal: int) -> None:
        """Until so many jobs are completed."""
        self.wait(lambda: self.statuses()["completed"] >= goal)

    def close(self) -> None:
        """End what is left."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def check_history(site: Site) -> None:
    """Only moves that the life of a job has; each claim counted, under a token of its own; the end is the end."""
    tokens: set[str] = set()
    for change in site.history():
        old, new = change.attempts
        match change.move:
            case ("pending", "running"):
                assert change.old_token is None
                assert change.new_token is not None
                assert change.new_token not in tokens
                assert new == old + 1
                tokens.add(change.new_token)
            case ("running", "running"):
                assert change.old_token == change.new_token
                assert new == old
            case ("running", "completed"):
                assert change.new_token is None
                assert new == old
                assert change.result is not None
                assert json.loads(change.result)["attempt"] == new, "a result of an attempt that was not the newest"
            case ("running", "pending"):
                assert change.new_token is None
                assert new in (old, old - 1)
            case _:
                raise AssertionError(f"no such move: {change}")


def test_a_thousand_jobs_survive_workers_that_are_killed_in_the_middle(site: Site) -> None:
    job_ids = site.enqueue(*[(number % 40) / 1000 for number in range(1000)])
    for goal in (150, 300, 450, 600):
        worker = site.start_worker()
        site.wait_for_completed(goal)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    last = site.start_worker()
    site.wait_for_completed(1000)
    last.terminate()
    assert last.wait(10) == 0

    rows = site.rows()
    assert rows.keys() == set(job_ids)
    assert all(status == "completed" and attempts <= most for status, attempts, most, _ in rows.values())
    check_history(site)
    begun = Counter((line.job_id, int(line.detail)) for line in site.log("begin"))
    assert max(begun.values()) == 1, "an attempt was run twice"
    assert all(begun[job_id, attempts] == 1 for job_id, (_, attempts, _, _) in rows.items())
    assert any(attempts > 1 for _, attempts, _, _ in rows.values()), "no worker was killed while it ran a job"


def test_the_results_of_a_worker_that_stood_still_are_refused(site: Site) -> None:
    gate = site.path.with_name("gate")
    job_ids = site.enqueue(*[0.3 + number / 100 for number in range(20)], gate=gate)
    first = site.start_worker()
    site.wait(lambda: len(site.log("begin")) == 20)
    os.kill(first.pid, signal.SIGSTOP)
    second = site.start_worker()
    site.wait(lambda: len(site.log("begin")) == 40)
    claims = site.column("fencing_token")
    os.kill(first.pid, signal.SIGCONT)
    site.wait(lambda: len(site.log("end")) == 20)

    assert {(line.process, line.detail) for line in site.log("end")} == {(first.pid, "failure")}
    assert site.column("fencing_token") == claims
    assert set(site.column("result").values()) == {None}
    first.terminate()
    assert first.wait(10) == 0

    gate.touch()
    site.wait_for_completed(20)
    second.terminate()
    assert second.wait(10) == 0
    results = site.column("result")
    assert results.keys() == set(job_ids)
    for result in results.values():
        assert json.loads(str(result)) == {"attempt": 2, "process": second.pid}
    check_history(site)


def test_a_worker_that_is_told_to_end_finishes_what_it_can_and_gives_back_the_rest(site: Site) -> None:
    short, long = site.enqueue(0.1, 60)
    worker = site.start_worker()
    site.wait(lambda: len(site.log("begin")) == 2)
    worker.terminate()
    (later,) = site.enqueue(0)
    assert worker.wait(10) == 0
    rows = site.rows()
    assert rows[short][:2] == ("completed", 1)
    assert rows[long][:2] == ("pending", 0)
    assert rows[later][:2] == ("pending", 0)
    check_history(site)
