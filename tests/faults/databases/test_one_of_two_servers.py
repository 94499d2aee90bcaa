"""One of two PostgreSQL servers is stopped under load: the jobs and the calls of the other one go on."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from server_jobs import DatabaseUnreachableError, connect_databases
from server_jobs.stores.opening import store_of
from server_jobs.stores.sql.store import SqlStore

from tests.cli.started import Started
from tests.conformance.postgres_databases import new_database
from tests.faults.conftest import IS_LONG, Figure
from tests.faults.noted_by_database import VARIABLES, Errand, RunErrand, registry
from tests.faults.oracle import illegal, lost
from tests.faults.processes import ROOT, Nursery
from tests.faults.site import Change, Site, create_tables, keep_history
from tests.named_databases.holding import hold_name
from tests.postgres import ThrowAwayServer

pytestmark = pytest.mark.slow

OUTAGES, SECONDS, AROUND = (3, 10.0, 5.0) if IS_LONG else (1, 2.5, 1.0)
"""How often the server is stopped, for how long, and the time before and after each outage."""
REGISTRY = "tests.faults.noted_by_database:registry"
CONCURRENCY = 4
LEASE = 1.5


class Client:
    """An application that enqueues into both databases, and notes what each call did."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self.accepted: dict[str, list[str]] = {name: [] for name in VARIABLES}
        self.refused: dict[str, list[Exception]] = {name: [] for name in VARIABLES}
        self.longest: dict[str, float] = dict.fromkeys(VARIABLES, 0.0)
        self._is_over = asyncio.Event()

    async def enqueue(self, name: str) -> None:
        """Enqueue into one database until `stop`."""
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                handle = await RunErrand.later(Errand(database=name, notes=self._notes))
                self.accepted[name].append(str(handle))
            except Exception as error:  # noqa: BLE001  the test looks at each of them
                self.refused[name].append(error)
            self.longest[name] = max(self.longest[name], time.monotonic() - began)
            await asyncio.sleep(0.03)

    def stop(self) -> None:
        """Let the calls end."""
        self._is_over.set()


@contextmanager
def sites_on(urls: Mapping[str, str], folder: Path, nursery: Nursery) -> Iterator[Mapping[str, Site]]:
    """Yield a site for each database, which holds its name."""
    with ExitStack() as stack:
        sites: dict[str, Site] = {}
        for name, url in urls.items():
            asyncio.run(_hold(url, name))
            sites[name] = Site(url, folder / name, nursery)
            stack.callback(sites[name].close)
            keep_history(sites[name])
        yield sites


async def _hold(url: str, name: str) -> None:
    store = store_of(url, None)
    assert isinstance(store, SqlStore)
    await store.open()
    await hold_name(store, name, VARIABLES[name])
    await store.close()


@contextmanager
def supervisor(urls: Mapping[str, str]) -> Iterator[Started]:
    """Run `server-jobs worker` for both databases."""
    options = ("--concurrency", str(CONCURRENCY), "--lease", f"{LEASE * 1000:g}ms")
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--registry", REGISTRY, *options]
    variables = {VARIABLES[name]: url for name, url in urls.items()}
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True)
    worker = Started(process)
    try:
        yield worker
    finally:
        worker.kill()


async def load(client: Client, server: ThrowAwayServer) -> list[tuple[float, float]]:
    """Stop and start the server while the client calls. Return the begin and the end of each outage."""
    outages: list[tuple[float, float]] = []
    async with connect_databases(registry), asyncio.TaskGroup() as group:
        for name in VARIABLES:
            group.create_task(client.enqueue(name))
        for _ in range(OUTAGES):
            await asyncio.sleep(AROUND)
            began = time.time()
            await asyncio.to_thread(server.stop_at_once)
            await asyncio.sleep(SECONDS)
            outages.append((began, time.time()))
            await asyncio.to_thread(server.start)
        await asyncio.sleep(AROUND)
        client.stop()
    return outages


def longest_pause(site: Site, begin: float, end: float) -> float:
    """Return the longest time without a completed job between two moments, in seconds."""
    moments = [change.happened_at / 1000 for change in site.history() if change.new_status == "completed"]
    inside = [begin, *(moment for moment in moments if begin < moment < end), end]
    return max(later - earlier for earlier, later in pairwise(inside))


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What happened while the server of `us` was stopped. `eu` should have noticed nothing."""

    client: Client
    log: str
    pauses: Sequence[float]
    """The longest time without a completed job in `eu`, in each outage."""
    jobs: int
    again: Mapping[str, int]
    """How many runs were not the first one of their job, in each database."""
    lost: Sequence[str]
    illegal: Sequence[Change]

    def __str__(self) -> str:
        return (
            f"{self.jobs:,} jobs in two databases, one stopped {OUTAGES} times for {SECONDS:g} s: "
            f"longest pause of the other {max(self.pauses):.2f} s, its longest call {self.client.longest['eu']:.2f} s, "
            f"{len(self.client.refused['us'])} calls refused, lost {len(self.lost)}, run again {self.again}"
        )

    def check_eu(self) -> None:
        """Fail if the outage delayed a job or a call of `eu`."""
        assert self.client.refused["eu"] == []
        assert self.client.longest["eu"] < SECONDS / 2
        assert max(self.pauses) < SECONDS / 2
        assert self.again["eu"] == 0
        assert not re.search(r" (warning|error) +worker\[1\]", self.log), self.log

    def check_us(self) -> None:
        """Fail unless each call of `us` was answered, each of its jobs ran, and its worker came back by itself."""
        refused, variable = self.client.refused["us"], VARIABLES["us"]
        assert refused
        wrong = [one for one in refused if not isinstance(one, DatabaseUnreachableError)]
        assert not wrong
        assert [one for one in refused if not str(one).startswith(f"database us ({variable}): ")] == []
        assert not self.lost
        assert not self.illegal
        # Only jobs that ran, or waited for a slot, when the server stopped. It may have lost their last claims.
        assert self.again["us"] <= 2 * CONCURRENCY * OUTAGES
        # Which task notices the outage first, and which ones notice it at all, depends on the moment.
        problems = re.findall(r" (?:warning|error) +worker\[2\] ([^:\n]*)", self.log)
        assert problems
        assert max(Counter(problems).values()) <= OUTAGES, problems
        assert not any("another one is started" in problem for problem in problems)


@pytest.fixture
def stopped() -> Iterator[ThrowAwayServer]:
    """Yield a PostgreSQL server for this test alone, in the long form as durable as a user's."""
    with new_server() as server:
        create_tables(server.url)
        yield server


@contextmanager
def new_server() -> Iterator[ThrowAwayServer]:
    server = ThrowAwayServer(fsync=IS_LONG)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def steady_database() -> Iterator[str]:
    """Yield the URL of a database on a server that goes on; in the long form a server for this test alone."""
    if IS_LONG:
        with new_server() as server:
            create_tables(server.url)
            yield server.url
    else:
        with new_database() as url:
            yield url


@pytest.fixture
def observe(
    stopped: ThrowAwayServer, tmp_path: Path, nursery: Nursery, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> Callable[[str], Observation]:
    """Return a function that runs worker and client with `eu` in this database, and stops the server of `us`."""

    def run(eu: str) -> Observation:
        urls = {"eu": eu, "us": stopped.url}
        for name, url in urls.items():
            monkeypatch.setenv(VARIABLES[name], url)
        client, notes = Client(tmp_path / "runs"), tmp_path / "runs"
        with sites_on(urls, tmp_path, nursery) as sites, supervisor(urls) as worker:
            worker.wait_for_all(r"worker\[1\].*at work", r"worker\[2\].*at work")
            outages = asyncio.run(load(client, stopped))
            for name, site in sites.items():
                accepted = client.accepted[name]
                site.wait(lambda site=site, accepted=accepted: not lost_of(site, accepted))  # type: ignore[misc]
            worker.signal()
            assert worker.wait() == 0
            runs = Counter(notes.read_text(encoding="utf-8").splitlines())
            counts = {name: [runs[job] for job in site.column("status")] for name, site in sites.items()}
            found = Observation(
                client=client,
                log=worker.text,
                pauses=[longest_pause(sites["eu"], *outage) for outage in outages],
                jobs=len(runs),
                again={name: sum(max(0, count - 1) for count in found) for name, found in counts.items()},
                lost=[job for name, site in sites.items() for job in lost_of(site, client.accepted[name])],
                illegal=[change for site in sites.values() for change in illegal(site.history())],
            )
        figure(str(found))
        return found

    return run


def lost_of(site: Site, accepted: Sequence[str]) -> list[str]:
    """Return the accepted jobs that have not ended properly. A call without an answer may have stored a job too."""
    return sorted(set(lost(site, accepted)) & set(accepted))


def test_a_server_that_is_stopped_delays_only_the_jobs_and_the_calls_of_its_database(
    observe: Callable[[str], Observation],
) -> None:
    with steady_database() as eu:
        found = observe(eu)
    found.check_eu()
    found.check_us()


def test_a_second_database_on_the_stopped_server_is_noticed(
    observe: Callable[[str], Observation], stopped: ThrowAwayServer
) -> None:
    with psycopg.connect(stopped.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE eu")
    eu = stopped.url.removesuffix("postgres") + "eu"
    create_tables(eu)
    found = observe(eu)
    with pytest.raises(AssertionError):
        found.check_eu()
    assert max(found.pauses) >= SECONDS / 2
    found.check_us()
