"""What a worker and an enqueuing process spend on a job: Python calls, objects in cycles, and memory."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from types import FrameType

import pytest
from server_jobs import Databases, Job, Worker, create_job_registry
from server_jobs.binding import Binding
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.engine.backend import Backend
from server_jobs.memory import InMemoryBackend
from server_jobs.stores.memory import MemoryStore

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file

from .figures import assert_figure, read_table
from .plain_job import Number, Plain, Sharded, registry

NumberJob = type[Job[Number, Number, Mapping[str, object]]]

ROUNDS = 6
MANY = 100_000 if os.environ.get("SERVER_JOBS_LONG_TESTS") else 20_000

# The peak excludes the parent process, unlike that of `getrusage`.
_WORKER = """
import atexit, pathlib, re
from server_jobs_cli import main
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print("peak", *re.findall(r"VmHWM:\\s+(\\d+) kB", status.read_text())))
main()
"""


@contextmanager
def sqlite_url(folder: Path) -> Iterator[str]:
    """Yield the URL of a new SQLite file."""
    create_sqlite_file(folder / "jobs.sqlite3")
    yield f"sqlite:///{folder / 'jobs.sqlite3'}"


@contextmanager
def postgresql_url(_: Path) -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database."""
    with empty_database() as url:
        yield url


DATABASES = {"sqlite": sqlite_url, "postgresql": postgresql_url}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Backend]:
    """Open a backend of the plain job."""
    backend = Backend(database=url, job_registry=registry)
    await backend.initialize()
    try:
        yield backend
    finally:
        await backend.shutdown()


class Calls:
    """Counts the Python calls of this thread inside of `with` blocks."""

    count = 0

    def __enter__(self) -> None:
        sys.setprofile(self._note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, _frame: FrameType, event: str, _arg: object) -> None:
        self.count += event == "call"


@pytest.mark.parametrize("name", DATABASES)
async def test_python_calls_of_a_worker_for_each_job(name: str, tmp_path: Path) -> None:
    jobs, least = 2_000, float("inf")
    with DATABASES[name](tmp_path) as url:
        async with opened(url) as backend:
            for _ in range(ROUNDS):  # a busy machine makes smaller batches
                await Plain.using(backend).later_many([{"number": number} for number in range(jobs)])
                worker, calls = Worker(backend, concurrency=20, until_empty=True), Calls()
                with calls:
                    await worker.run()
                least = min(least, calls.count / jobs)
                if least <= read_table()["calls"][f"worker-{name}"]:
                    break

    assert_figure("calls", f"worker-{name}", least)


@pytest.mark.parametrize("name", DATABASES)
async def test_python_calls_to_enqueue_a_job(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PostgresDatabase, "announce", lambda _: None)  # calls of a few milliseconds share a NOTIFY
    with DATABASES[name](tmp_path) as url:
        async with opened(url) as backend:
            assert_figure("calls", f"later-{name}", await _calls_of_later(backend))


async def test_python_calls_to_enqueue_a_job_in_memory() -> None:
    backend = InMemoryBackend(job_registry=registry)

    assert_figure("calls", "later-memory", await _calls_of_later(backend))
    await backend.shutdown()


async def test_python_calls_to_find_one_of_several_databases() -> None:
    names = {"eu": "EU_DATABASE_URL", "us": "US_DATABASE_URL"}
    of_names = create_job_registry(databases=names, database_of={"0": "eu", "1": "us"}.__getitem__).register(Sharded)
    databases = Databases(of_names, databases={name: MemoryStore() for name in names})

    assert_figure("calls", "later-named", await _calls_of_later(databases, Sharded))


async def _calls_of_later(backend: Binding, number_job: NumberJob = Plain) -> float:
    calls, job, jobs = Calls(), number_job.using(backend), 100
    await job.later({"number": 0})
    for number in range(jobs):
        with calls:
            await job.later({"number": number % 2})
    return calls.count / jobs


@pytest.mark.parametrize("name", DATABASES)
async def test_python_calls_to_enqueue_one_of_many_jobs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresDatabase, "announce", lambda _: None)
    calls, jobs = Calls(), [{"number": number} for number in range(1_000)]
    with DATABASES[name](tmp_path) as url:
        async with opened(url) as backend:
            job = Plain.using(backend)
            await job.later_many(jobs)
            with calls:
                await job.later_many(jobs)

    assert_figure("calls", f"later-many-{name}", calls.count / len(jobs))


async def test_objects_that_only_the_cycle_collector_frees(tmp_path: Path) -> None:
    with sqlite_url(tmp_path) as url:
        async with opened(url) as backend:
            await Plain.using(backend).later_many([{"number": number} for number in range(10_000)])
            worker = Worker(backend, concurrency=20, until_empty=True)
            gc.collect()
            gc.disable()
            try:
                await worker.run()
                found = gc.collect()
            finally:
                gc.enable()

    assert_figure("cycles", "worker-sqlite", found)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process")
def test_peak_memory_of_a_worker(tmp_path: Path) -> None:
    with sqlite_url(tmp_path) as url:
        _fill(tmp_path / "jobs.sqlite3", MANY)
        options = ["--registry", "tests.budget.plain_job:registry", "--database", url, "--until-empty"]
        command = [sys.executable, "-c", _WORKER, "worker", "--project", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    assert_figure("memory", f"worker-sqlite-{MANY}", int(done.stdout.rpartition("peak ")[2]) / 1024)


def _fill(path: Path, count: int) -> None:
    sql = """
        WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
        INSERT INTO jobs (id, job_name, params, scheduled_for, created_at, updated_at)
        SELECT printf('%032d', number), 'Plain', '{"number":1}', 0, 0, 0 FROM numbers
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, (count,))
