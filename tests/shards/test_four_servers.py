"""Four PostgreSQL servers, one of them stopped under load: the jobs of the others are not late, and none is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from server_jobs import Backend, DatabaseError, JobQuery, JobStatus, connect
from server_jobs.schema import metadata
from sqlalchemy import create_engine

from tests.cli.started import Started
from tests.postgres_cluster import Node, streaming_cluster

from .letters import SHARDS, TENANTS, Letter, registry

ROOT = Path(__file__).parents[2]
PHASE = 6.0
"""Seconds of load before the server stops, and while it is away."""
PAUSE = 0.05
"""Seconds between two jobs of a tenant."""
STOPPED = "eu"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Node]]:
    """Four servers with our tables."""
    with ExitStack() as running:
        nodes = {shard: running.enter_context(streaming_cluster(0, synchronous=False)).primary for shard in SHARDS}
        for node in nodes.values():
            engine = create_engine(node.url.replace("postgresql://", "postgresql+psycopg://"))
            metadata.create_all(engine)
            engine.dispose()
        yield nodes


@dataclass
class Load:
    """Letters of all tenants at a steady rate, until it is stopped. `stored` has the acknowledged ids by shard."""

    stored: dict[str, list[str]] = field(default_factory=lambda: {shard: [] for shard in SHARDS})
    refused: int = 0
    is_over: bool = False

    async def run(self) -> None:
        await asyncio.gather(*(self._enqueue(shard) for shard in SHARDS))

    async def _enqueue(self, shard: str) -> None:
        number = 0
        while not self.is_over:
            number += 1
            try:
                self.stored[shard].append(await Letter.later({"tenant": TENANTS[shard], "text": f"letter {number}"}))
            except DatabaseError:
                self.refused += 1
            await asyncio.sleep(PAUSE)


async def delays(backend: Backend, ids: Sequence[str]) -> list[float]:
    """Return the seconds from enqueue to completion of these jobs, once they have completed."""
    found: list[float] = []
    for start in range(0, len(ids), 100):
        some = tuple(ids[start : start + 100])
        while True:
            records = await backend.store.list_jobs(JobQuery(ids=some, limit=len(some)))
            assert len(records) == len(some), "a job is lost"
            if all(record.status is JobStatus.COMPLETED for record in records):
                break
            await asyncio.sleep(0.1)
        assert {record.attempt_count for record in records} <= {1, 2}
        found += [
            (one.completed_at - one.created_at).total_seconds() for one in records if one.completed_at is not None
        ]
    return sorted(found)


def shown(found: Sequence[float]) -> str:
    return f"p50 {found[len(found) // 2] * 1000:.0f} ms, p99 {found[len(found) * 99 // 100] * 1000:.0f} ms"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stopped", "silent"])
def test_one_server_down_delays_only_its_own_jobs(
    servers: dict[str, Node], way: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    for shard, node in servers.items():
        monkeypatch.setenv(f"URL_{shard}", f"{node.url}?connect_timeout=2&tcp_user_timeout=3000")
    url = "shards:" + ",".join(f"{shard}=URL_{shard}" for shard in SHARDS)
    command = [sys.executable, "-m", "server_jobs_cli", "worker", "--registry", "tests.shards.letters:registry"]
    environment = {**os.environ, "SERVER_JOBS_DATABASE_URL": url}
    worker = Started(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        worker.wait_for("at a time from all queues")
        before, during, refused = asyncio.run(under_load(url, servers[STOPPED], way))
        worker.signal()
        assert worker.wait() == 0
    finally:
        worker.kill()
    figure = f"{len(before)} jobs before: {shown(before)}; {len(during)} jobs of 3 servers while one was {way}: "
    record_property("figure", f"{figure}{shown(during)}; refused {refused}, lost 0")
    assert refused
    assert during[len(during) // 2] < max(0.25, 3 * before[len(before) // 2])
    assert during[len(during) * 99 // 100] < max(1.0, 3 * before[len(before) * 99 // 100])


async def under_load(url: str, node: Node, way: str) -> tuple[list[float], list[float], int]:
    """Return the delays before and during the outage of the other shards, and the number of refused letters."""
    load = Load()
    async with connect(registry, url) as backend:
        running = asyncio.create_task(load.run())
        await asyncio.sleep(PHASE)
        first = {shard: len(ids) for shard, ids in load.stored.items()}
        node.send(signal.SIGSTOP) if way == "silent" else node.end()
        await asyncio.sleep(PHASE)
        second = {shard: len(ids) for shard, ids in load.stored.items()}
        during = [
            one for shard, ids in load.stored.items() if shard != STOPPED for one in ids[first[shard] : second[shard]]
        ]
        node.send(signal.SIGCONT) if way == "silent" else await asyncio.to_thread(node.start)
        await asyncio.sleep(1)
        load.is_over = True
        await running
        async with asyncio.timeout(60):
            everything = [one for ids in load.stored.values() for one in ids]
            await delays(backend, everything)
            others = [one for shard, ids in load.stored.items() if shard != STOPPED for one in ids[: first[shard]]]
            return await delays(backend, others), await delays(backend, during), load.refused
