"""Sixteen threads with a store each never exceed a limit on one database. The test checks the stored rows."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain.interfaces import Database
from server_jobs.domain.options import ConcurrencyLimit, RateLimit
from server_jobs.domain.record import ClaimRequest, JobQuery, JobRecord, KnownJob
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.examples import completed, job
from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import create_sqlite_file
from tests.slow import slow

CLAIMERS = 16
PERIOD = timedelta(milliseconds=300)
CROWDED = KnownJob("SendEmail", 1, ConcurrencyLimit(limit=2))
RATED = KnownJob("ImportCsv", 1, rate=RateLimit(limit=5, per=PERIOD))
# Workers of two queues choose different jobs, so that only the limit itself makes them wait for each other.
QUEUES = ("a", "b")
Connect = Callable[[], Database]


@contextmanager
def on_sqlite() -> Iterator[Connect]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "jobs.sqlite3")
        create_sqlite_file(path)
        yield partial(SqliteDatabase, path)


@contextmanager
def on_postgresql() -> Iterator[Connect]:
    with empty_database() as url:
        yield partial(PostgresDatabase, url, max_connections=1)


@pytest.mark.parametrize("database", [slow(on_sqlite), on_postgresql], ids=["sqlite", "postgresql"])
def test_many_claimers_never_exceed_a_limit_of_a_key(database: Callable[[], AbstractContextManager[Connect]]) -> None:
    with database() as connect, ThreadPoolExecutor(CLAIMERS) as threads:
        asyncio.run(_fill(connect()))
        failed = Event()
        work = [threads.submit(asyncio.run, _claim_until_empty(connect(), seed, failed)) for seed in range(CLAIMERS)]
        counts = [one.result(timeout=120) for one in work]
        records = asyncio.run(_read(connect()))

    assert sum(counts) == len(records) == 84
    assert all(record.completed_at is not None and record.attempt_count == 1 for record in records)
    for group in _by(records, "SendEmail", lambda record: record.concurrency_key):
        assert _most_at_one_time(group) <= 2
    for group in _by(records, "ImportCsv", lambda record: record.rate_key):
        starts = sorted(_moment(record.worker_started_at) for record in group)
        assert all(later - earlier > PERIOD for earlier, later in zip(starts, starts[5:], strict=False))


async def _fill(database: Database) -> None:
    store = SqlStore(database)
    await store.open()
    for queue in QUEUES:
        await store.insert(
            [job(f"{queue}s{n:02}", queue=queue, concurrency_key=f"k{n % 3}", rate_key="") for n in range(30)]
        )
        await store.insert(
            [
                job(f"{queue}i{n:02}", "ImportCsv", queue=queue, concurrency_key="", rate_key=f"k{n % 2}")
                for n in range(12)
            ]
        )
    await store.close()


async def _claim_until_empty(database: Database, seed: int, failed: Event) -> int:
    """Return the number of jobs that this claimer ran. If one fails, its jobs never end, so all stop."""
    try:
        return await _claimed(database, seed, failed)
    except BaseException:
        failed.set()
        raise


async def _claimed(database: Database, seed: int, failed: Event) -> int:
    store = SqlStore(database)
    await store.open()
    rng, count = random.Random(seed), 0
    request = ClaimRequest(
        known=(CROWDED, RATED), limit=5, lease=timedelta(minutes=5), queues=(QUEUES[seed % len(QUEUES)],)
    )
    while not failed.is_set() and await store.count_due(request):
        claims = await store.claim(request)
        await asyncio.sleep(rng.uniform(0, 0.005))  # the work of the handlers
        await store.settle([completed(claim) for claim in claims])
        count += len(claims)
    await store.close()
    return count


async def _read(database: Database) -> list[JobRecord]:
    store = SqlStore(database)
    await store.open()
    records = await store.list_jobs(JobQuery(limit=1000))
    await store.close()
    return list(records)


def _by(records: list[JobRecord], job_name: str, key_of: Callable[[JobRecord], str | None]) -> list[list[JobRecord]]:
    groups: dict[str | None, list[JobRecord]] = defaultdict(list)
    for record in records:
        if record.job_name == job_name:
            groups[key_of(record)].append(record)
    assert len(groups) >= 2
    return list(groups.values())


def _most_at_one_time(records: list[JobRecord]) -> int:
    """Return the most jobs that ran at the same time, by the database's clock; one may start as another ends."""
    changes = [(_moment(record.worker_started_at), 1) for record in records]
    changes += [(_moment(record.completed_at), -1) for record in records]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def _moment(value: datetime | None) -> datetime:
    assert value is not None
    return value
