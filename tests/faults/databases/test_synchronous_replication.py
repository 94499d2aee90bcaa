"""A commit without its synchronous standby: `later` acknowledges nothing, even if the server stops waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from server_jobs import DatabaseUnreachableError, connect
from server_jobs.databases.postgres.driver import Session

from tests.cli.shop_jobs import NoteParams, Shout, registry
from tests.faults.databases.test_failover import create_tables
from tests.postgres_cluster import Node, streaming_cluster

_CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def lonely() -> Iterator[Node]:
    """Yield a primary whose synchronous standby is gone."""
    with streaming_cluster(0, synchronous=False) as cluster:
        create_tables(cluster.primary)
        cluster.primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        cluster.primary.execute("SELECT pg_reload_conf()")
        yield cluster.primary


@pytest.fixture(autouse=True)
def _cancelling(lonely: Node) -> Iterator[None]:
    """Cancel every wait for a standby."""
    is_over = threading.Event()

    def cancel() -> None:
        while not is_over.wait(0.05):
            lonely.execute(_CANCEL)

    thread = threading.Thread(target=cancel)
    thread.start()
    yield
    is_over.set()
    thread.join()


async def enqueue(node: Node, jobs: int) -> None:
    async with asyncio.timeout(20), connect(registry, node.url):
        await Shout.later_many([NoteParams(text="hello")] * jobs)


@pytest.mark.parametrize("jobs", [1, 2])
async def test_a_job_that_no_standby_has_is_not_acknowledged(lonely: Node, jobs: int) -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseUnreachableError, match="stopped waiting for its synchronous standby"):
        await enqueue(lonely, jobs)
    assert time.monotonic() - began < 20


async def test_without_the_warning_check_it_is_acknowledged(lonely: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_note_warning", lambda *_: None)
    await enqueue(lonely, 1)
