"""`server-jobs worker` on a PostgreSQL cluster whose primary is killed, hangs, vanishes, or is demoted."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from server_jobs import DatabaseError, JobRegistry, connect
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.cli.shop import REGISTRY, ROOT
from tests.cli.shop_jobs import NoteParams, Shout, registry
from tests.cli.started import Started
from tests.faults.conftest import IS_LONG, Figure
from tests.postgres_cluster import Cluster, Node, streaming_cluster
from tests.valve import Valve

AIM = 10.0
"""Seconds from the promotion to the first job."""
PATIENCE = 60.0


async def shout() -> object:
    """Enqueue a job of the shop."""
    return await Shout.later(NoteParams(text="hello"))


class Enqueuer:
    """Calls `later` repeatedly in a thread, in several tasks, and records the acknowledged jobs."""

    def __init__(
        self, url: str, enqueue: Callable[[], Awaitable[object]] = shout, jobs: JobRegistry = registry, tasks: int = 1
    ) -> None:
        self._url = url
        self._enqueue_one = enqueue
        self._jobs = jobs
        self._tasks = tasks
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()))
        self.acknowledged: dict[str, float] = {}
        """The time of the answer for each job."""
        self.refused = 0
        self.longest = 0.0

    def __enter__(self) -> Enqueuer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    async def _work(self) -> None:
        async with connect(self._jobs, self._url):
            await asyncio.gather(*(self._enqueue() for _ in range(self._tasks)))

    async def _enqueue(self) -> None:
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                handle = await self._enqueue_one()
            except DatabaseError:
                self.refused += 1
            else:
                self.acknowledged[str(handle)] = time.monotonic()
            self.longest = max(self.longest, time.monotonic() - began)
            await asyncio.sleep(0.02)


@contextmanager
def working(url: str, *options: str) -> Iterator[Started]:
    """Run the command on that database."""
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--database", url, "--registry", REGISTRY, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    worker = Started(process)
    try:
        worker.wait_for("jobs: ")
        yield worker
    finally:
        worker.kill()


def create_tables(node: Node) -> None:
    engine = create_engine(node.url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()


def completed(node: Node, since: str = "-infinity") -> int:
    """Return how many jobs that server completed after a time by its own clock."""
    found = node.execute(f"SELECT count(*) FROM jobs WHERE status = 'completed' AND completed_at > '{since}'")
    return int(str(found[0][0]))


def wait(condition: Callable[[], bool], what: str, worker: Started) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited too long {what}:\n{worker.text[-4000:]}"
        time.sleep(0.05)


def fail_over(cluster: Cluster, url: str, fault: Callable[[], None], after: Callable[[], None], figure: Figure) -> None:
    """Run jobs, let the primary fail, promote a standby, and check the jobs there."""
    create_tables(cluster.primary)
    heir = cluster.standbys[-1]
    with Enqueuer(url) as enqueuer, working(url) as worker:
        wait(lambda: completed(cluster.primary) >= 20, "for the first jobs", worker)
        fault()
        heir.promote()
        promoted = time.monotonic()
        ((moment,),) = heir.execute("SELECT clock_timestamp()::text")
        after()
        wait(lambda: completed(heir, str(moment)) > 0, "for a job after the promotion", worker)
        took = time.monotonic() - promoted
        wait(lambda: completed(heir, str(moment)) >= 20, "for more jobs", worker)
        enqueuer.__exit__()
        wait(lambda: heir.execute("SELECT count(*) FROM jobs WHERE status <> 'completed'") == [(0,)], "to end", worker)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    stored = {str(row[0]) for row in heir.execute("SELECT id FROM jobs")}
    lost = [job_id for job_id in enqueuer.acknowledged if job_id not in stored]
    figure(
        f"first job {took:.1f} s after the promotion; {len(enqueuer.acknowledged)} acknowledged, {len(lost)} lost, "
        f"{enqueuer.refused} refused; the longest `later` took {enqueuer.longest:.1f} s"
    )
    assert lost == []
    assert took < AIM


def nothing() -> None:
    """Do nothing."""


@pytest.mark.slow
def test_a_primary_that_hangs_is_left_for_the_standby_that_was_promoted(figure: Figure) -> None:
    with streaming_cluster() as cluster:
        fail_over(cluster, cluster.url(), lambda: cluster.primary.send(signal.SIGSTOP), nothing, figure)


if IS_LONG:

    def test_a_primary_that_is_killed_is_left(figure: Figure) -> None:
        with streaming_cluster() as cluster:
            fail_over(cluster, cluster.url(), lambda: cluster.primary.send(signal.SIGKILL), nothing, figure)

    def test_a_primary_that_vanishes_is_left(figure: Figure) -> None:
        with streaming_cluster() as cluster, Valve(("127.0.0.1", cluster.primary.port)) as valve:
            url = f"postgresql://postgres@127.0.0.1:{valve.port},{cluster.standbys[0].host}/postgres"
            fail_over(cluster, url, lambda: setattr(valve, "is_shut", True), nothing, figure)

    def test_two_of_three_servers_that_vanish_are_left(figure: Figure) -> None:
        with streaming_cluster(2) as cluster, ExitStack() as stack:
            gone = [cluster.primary, cluster.standbys[0]]
            valves = [stack.enter_context(Valve(("127.0.0.1", node.port))) for node in gone]
            hosts = ",".join(f"127.0.0.1:{valve.port}" for valve in valves)
            url = f"postgresql://postgres@{hosts},{cluster.standbys[1].host}/postgres"

            def shut() -> None:
                for valve in valves:
                    valve.is_shut = True

            fail_over(cluster, url, shut, nothing, figure)

    @pytest.mark.parametrize("old_connections", [Valve.freeze, Valve.forget])
    def test_one_address_that_leads_to_the_new_primary_is_enough(
        figure: Figure, old_connections: Callable[[Valve], None]
    ) -> None:
        """As with a virtual IP address: packets under way are lost, and later ones reach the other server.

        That server resets connections that it does not know, unless something before it drops the packets.
        """
        with streaming_cluster() as cluster, Valve(("127.0.0.1", cluster.primary.port)) as valve:

            def drop() -> None:
                valve.is_shut = True

            def lead_on() -> None:
                valve.target = ("127.0.0.1", cluster.standbys[0].port)
                old_connections(valve)
                valve.is_shut = False

            fail_over(cluster, f"postgresql://postgres@127.0.0.1:{valve.port}/postgres", drop, lead_on, figure)

    def test_a_primary_that_becomes_read_only_is_left(figure: Figure) -> None:
        with streaming_cluster() as cluster:

            def demote() -> None:
                cluster.primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                cluster.primary.execute("SELECT pg_reload_conf()")

            fail_over(cluster, cluster.url(), demote, nothing, figure)

    def test_a_primary_that_becomes_a_standby_is_left(figure: Figure) -> None:
        with streaming_cluster() as cluster:

            def demote() -> None:
                cluster.primary.stop()
                cluster.primary.follow(cluster.standbys[0])

            fail_over(cluster, cluster.url(), demote, cluster.primary.start, figure)
