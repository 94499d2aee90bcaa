"""A worker that starts while its PostgreSQL server is down or unusable."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.cli.shop import REGISTRY, ROOT, run
from tests.cli.started import Started
from tests.postgres import ThrowAwayServer
from tests.slow import slow

AWAY = "the database cannot be reached, trying again: .*no PostgreSQL server answers"


@pytest.fixture(scope="module")
def server() -> Iterator[ThrowAwayServer]:
    """Yield a stopped server with our tables."""
    server = ThrowAwayServer()
    server.start()
    engine = create_engine(server.url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()
    server.stop_at_once()
    yield server
    server.remove()


@pytest.fixture
def start(server: ThrowAwayServer) -> Iterator[StartWorker]:
    start = StartWorker(server.url)
    yield start
    for worker in start.workers:
        worker.kill()


class StartWorker:
    """Starts workers on one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.workers: list[Started] = []

    def __call__(self, *options: str) -> Started:
        command = [sys.executable, "-m", "server_jobs_cli", "worker", "--database", self._url, "--registry", REGISTRY]
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.workers.append(Started(process))
        return self.workers[-1]


@pytest.mark.parametrize("options", [(), slow(("--processes", "2"))])
def test_a_worker_waits_for_a_server_that_is_down_and_works_when_it_is_up(
    server: ThrowAwayServer, start: StartWorker, options: tuple[str, ...]
) -> None:
    worker = start(*options)
    worker.wait_for(AWAY)
    server.start()
    try:
        worker.wait_for("the database can be reached again")
        worker.wait_for("jobs: Shout")
        enqueued = run(
            *("enqueue", "Shout", "--params", '{"text": "hello"}', "--database", server.url, "--registry", REGISTRY)
        )
        worker.wait_for(f"{enqueued.stdout.strip()} completed")
        worker.signal()
        assert worker.wait() == 0
    finally:
        server.stop_at_once()
    assert worker.text.count("cannot be reached") == 1


@pytest.mark.parametrize("options", [(), slow(("--processes", "2"))])
def test_a_signal_ends_the_wait(start: StartWorker, options: tuple[str, ...]) -> None:
    worker = start(*options)
    worker.wait_for(AWAY)
    worker.signal(signal.SIGTERM)
    worker.wait_for("stopped before the database was reached")
    assert worker.wait() == 0


def test_permanent_problems_end_the_worker_at_once(server: ThrowAwayServer) -> None:
    server.start()
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE empty")
        for name, problem in (("empty", "run `server-jobs migrate`"), ("nowhere", "create it first")):
            url = server.url.removesuffix("postgres") + name
            result = run("worker", "--database", url, "--registry", REGISTRY)
            assert result.exit_code == 3
            assert problem in result.output
    finally:
        server.stop_at_once()
