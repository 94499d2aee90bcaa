"""Workers and servers as processes: one process for each database, and a database that fails stops only its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from server_jobs import JobQuery, connect
from server_jobs.databases.opening import open_database
from server_jobs.domain.interfaces import Statement
from server_jobs.domain.record import JobStatus
from server_jobs.stores.opening import store_of

from tests.cli.started import Started
from tests.server_jobs_http.caller import TOKEN

from .conftest import named_databases
from .letters import EU, US, VARIABLES, Letter
from .shop import registry

ROOT = Path(__file__).parents[2]
REGISTRY = "tests.named_databases.shop:registry"


@contextmanager
def started(*arguments: str, urls: Mapping[str, str], **environment: str) -> Iterator[Started]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "server_jobs_cli", *arguments, "--registry", REGISTRY]
    variables = {VARIABLES[name]: url for name, url in urls.items()}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **variables, **environment}, stderr=subprocess.PIPE, text=True
    )
    one = Started(process)
    try:
        yield one
    finally:
        one.kill()


def enqueue(url: str, tenant: str) -> str:
    """Store a letter in this database, whatever its name."""

    async def later() -> str:
        async with connect(registry, url):
            return str(await Letter.later({"tenant": tenant}))

    return asyncio.run(later())


def statuses(url: str) -> set[JobStatus]:
    async def read() -> set[JobStatus]:
        store = store_of(url, None)
        await store.open()
        try:
            return {job.status for job in await store.list_jobs(JobQuery(job_name="Letter", limit=100))}
        finally:
            await store.close()

    return asyncio.run(read())


def wait_until_completed(url: str) -> None:
    deadline = time.monotonic() + 30
    while statuses(url) != {JobStatus.COMPLETED}:
        assert time.monotonic() < deadline, statuses(url)
        time.sleep(0.1)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The URLs of two databases with their names, for tests of the errors of a database."""
    with named_databases(request.param, tmp_path) as urls:
        yield urls


def test_a_supervisor_runs_a_process_for_each_database(urls: Mapping[str, str]) -> None:
    for name, tenant in (("eu", EU), ("us", US)):
        enqueue(urls[name], tenant)
    with started("worker", "--until-empty", urls=urls) as worker:
        worker.wait_for("on the databases eu, us, 2 processes with 5 at a time each")
        assert worker.wait() == 0
    assert [statuses(url) for url in urls.values()] == [{JobStatus.COMPLETED}] * 2


def test_a_worker_of_one_database_leaves_the_other_alone(urls: Mapping[str, str]) -> None:
    for name, tenant in (("eu", EU), ("us", US)):
        enqueue(urls[name], tenant)
    with started("worker", "--until-empty", "--database", "us", urls=urls) as worker:
        assert worker.wait() == 0
    assert [statuses(url) for url in urls.values()] == [{JobStatus.PENDING}, {JobStatus.COMPLETED}]


def execute(url: str, sql: str) -> None:
    async def run() -> None:
        database = open_database(url, schema=None)
        await database.open()
        try:
            await database.run((Statement(sql, writes=True), {}))
        finally:
            await database.close()

    asyncio.run(run())


def breaks(url: str) -> None:
    """Let each statement about jobs fail."""
    execute(url, "ALTER TABLE jobs RENAME TO no_jobs")


def repairs(url: str) -> None:
    """Undo `breaks`."""
    execute(url, "ALTER TABLE no_jobs RENAME TO jobs")


def test_a_database_that_answers_with_errors_stops_only_its_own_jobs(either: Mapping[str, str]) -> None:
    enqueue(either["us"], US)
    breaks(either["us"])
    enqueue(either["eu"], EU)
    with started("worker", urls=either) as worker:
        worker.wait_for("database us cannot be used, its processes try again: ")
        wait_until_completed(either["eu"])
        repairs(either["us"])
        wait_until_completed(either["us"])
        worker.signal()
        assert worker.wait() == 0


def test_a_database_that_fails_under_a_running_worker_stops_only_its_own_jobs(either: Mapping[str, str]) -> None:
    with started("worker", urls=either) as worker:
        worker.wait_for("on the databases eu, us")
        enqueue(either["us"], US)
        wait_until_completed(either["us"])
        breaks(either["us"])
        worker.wait_for(r"worker\[2\].* cannot be used, trying again")
        enqueue(either["eu"], EU)
        wait_until_completed(either["eu"])
        repairs(either["us"])
        worker.wait_for(r"worker\[2\].*the database is back")
        worker.signal()
        assert worker.wait() == 0


def test_a_database_that_is_away_stops_only_its_own_jobs(urls: Mapping[str, str]) -> None:
    enqueue(urls["eu"], EU)
    with started("worker", urls={**urls, "us": "postgresql://127.0.0.1:1/nowhere"}) as worker:
        worker.wait_for_all("database us cannot be used, its processes try again: ", "Letter .* completed")
        worker.signal()
        assert worker.wait() == 0


def test_swapped_urls_end_the_supervisor_and_a_doubled_one_its_own_processes(urls: Mapping[str, str]) -> None:
    with started("worker", urls={"eu": urls["us"], "us": urls["eu"]}) as worker:
        worker.wait_for("EU_TEST_DATABASE_URL leads to the database 'us', not to 'eu'; correct its URL")
        assert worker.wait() == 3
    enqueue(urls["eu"], EU)
    with started("worker", urls={"eu": urls["eu"], "us": urls["eu"]}) as worker:
        worker.wait_for("US_TEST_DATABASE_URL leads to the database 'eu', not to 'us'")
        wait_until_completed(urls["eu"])
        worker.signal()
        assert worker.wait() == 0


def test_a_server_has_routes_and_a_dashboard_for_each_database(urls: Mapping[str, str]) -> None:
    job_id = enqueue(urls["us"], US)
    with started("serve", "--port", "0", urls=urls, JOBS_TOKEN=TOKEN) as server:
        url = server.wait_for(r"serving (http://[^/]+)/eu/_jobs, with the dashboard at ").group(1)
        server.wait_for(f"serving {url}/us/_jobs, with the dashboard at {url}/us/_jobs/dashboard/")

        def get(path: str) -> str:
            request = Request(f"{url}{path}", headers={"authorization": f"Bearer {TOKEN}"})
            with urlopen(request, timeout=10) as answer:
                return str(answer.read().decode())

        assert job_id in get("/us/_jobs/jobs")
        assert job_id not in get("/eu/_jobs/jobs")
        server.signal()
        assert server.wait() == 0
