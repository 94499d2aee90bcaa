"""A worker ends in time although its PostgreSQL server does not answer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.cli.shop import REGISTRY, ROOT, run
from tests.cli.started import SLACK, Started
from tests.conformance.postgres_databases import empty_database, postgres_connection
from tests.slow import slow
from tests.valve import Valve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

DRAIN = 0.3
SILENCE = 1.5
"""Seconds after which a call of an idle worker waits: it looks for jobs every second."""


@pytest.fixture
def url() -> Iterator[str]:
    """Yield the URL of a database with empty tables."""
    with empty_database() as url:
        yield url


@pytest.fixture
def valve(url: str) -> Iterator[Valve]:
    """Yield a proxy to the server of that database."""
    parts = urlsplit(url)
    with Valve((parts.hostname or "127.0.0.1", parts.port or 5432)) as valve:
        yield valve


@pytest.fixture(params=[1, slow(2)])
def processes(request: pytest.FixtureRequest) -> int:
    """Return the number of worker processes."""
    return int(request.param)


@pytest.fixture
def worker(url: str, valve: Valve, processes: int) -> Iterator[Started]:
    """Yield a worker that runs a job of a minute, connected through the proxy."""
    params = '{"text": "hello", "seconds": 60}'
    enqueued = run("enqueue", "Nap", "--params", params, "--database", url, "--registry", REGISTRY)
    parts = urlsplit(url)
    place = f"postgresql://{parts.username}@127.0.0.1:{valve.port}{parts.path}"
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--database", place, "--registry", REGISTRY]
    process = subprocess.Popen(
        [*command, "--drain-timeout", f"{DRAIN}s", "--processes", str(processes)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    worker = Started(process)
    at_work = [rf"worker\[{number}\] at work" for number in range(1, processes + 1)] if processes > 1 else []
    worker.wait_for_all(f"{enqueued.stdout.strip()} started", *at_work)
    yield worker
    worker.kill()


@pytest.mark.parametrize("trouble", ["lock", "silence"])
def test_a_worker_ends_with_status_0_although_the_database_does_not_answer(
    url: str, valve: Valve, worker: Started, trouble: str, processes: int
) -> None:
    with postgres_connection(url, autocommit=False) as other:
        if trouble == "lock":
            other.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        else:
            valve.is_shut = True
        time.sleep(SILENCE)
        sent = worker.signal()
        status = worker.wait()
    # The lock holds until the end, so a worker that waits for it never ends. Two processes share the processors.
    assert (status, time.monotonic() - sent < DRAIN + 1 + SLACK * processes) == (0, True), worker.text
    for line in (
        "the database did not answer within 0.7 s: the worker ends, and its claims expire",
        "stopped: 0 completed, 0 failed attempts",
    ):
        assert worker.text.count(line) == processes, worker.text
    assert left(url) == ("running", 1)


def left(url: str) -> tuple[str, int] | None:
    """Return the status and the attempts of the job."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT status, attempt_count FROM jobs").fetchone()
    return None if row is None else (row[0], row[1])
