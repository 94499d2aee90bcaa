"""Failed jobs are retried in bulk on PostgreSQL fast, in short transactions, and workers are woken.

`make test-long` retries 100,000 jobs among a million.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from unittest.mock import patch

from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Row, Statement, Value
from server_jobs.domain.record import JobFilter, JobStatus
from server_jobs.domain.search import FindStep
from server_jobs.engine.bulk import BulkAction, BulkResult, change_page
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.postgres_databases import new_database, postgres_connection

LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
FAILED, FINISHED = (100_000, 900_000) if LONG else (5_000, 5_000)
LONGEST = 1 if LONG else 3  # seconds; other tests run beside the short form

_ROWS = """INSERT INTO jobs (id, job_name, params, status, error, error_class, scheduled_for, created_at, updated_at,
                              completed_at, attempt_count)
  SELECT lpad(i::text, 12, '0'), 'SendEmail', '{"to":"ada@example.com","subject":"Hello"}',
         CASE WHEN i %% %d = 0 THEN 'failed' ELSE 'completed' END, 'ConnectionError: refused', 'ConnectionError',
         now(), now(), now(), now(), 3
    FROM generate_series(1, %d) AS i"""


@asynccontextmanager
async def store_with_failed_jobs() -> AsyncIterator[SqlStore]:
    with new_database() as url:
        with postgres_connection(url) as connection:
            connection.execute((_ROWS % ((FAILED + FINISHED) // FAILED, FAILED + FINISHED)).encode())
            connection.execute("VACUUM ANALYZE jobs")
        store = SqlStore(PostgresDatabase(url))
        await store.open()
        try:
            yield store
        finally:
            await store.close()


async def test_failed_jobs_are_retried_fast_and_no_transaction_takes_a_second() -> None:
    async with store_with_failed_jobs() as store:
        longest, run = 0.0, store.database.run
        woken = asyncio.Event()
        unwatch = store.watch(woken.set)
        async with asyncio.timeout(30):
            await woken.wait()  # once it listens
        woken.clear()

        async def timed(
            *calls: tuple[Statement, Mapping[str, Value]],
            look: tuple[Statement, Mapping[str, Value]] | None = None,
        ) -> Sequence[Sequence[Row]]:
            nonlocal longest
            begin = time.perf_counter()
            answers = await run(*calls, look=look)
            longest = max(longest, time.perf_counter() - begin)
            return answers

        result, begin = BulkResult(), time.perf_counter()
        with patch.object(store.database, "run", timed):
            while result.after is not None:
                step = FindStep(filter=JobFilter(status=JobStatus.FAILED), after=result.after)
                await change_page(store, BulkAction.RETRY, step, result, by="ann")
        seconds = time.perf_counter() - begin

        assert result.results == {"retried": FAILED}
        print(f"{FAILED} of {FAILED + FINISHED} jobs retried in {seconds:.1f} s, longest transaction {longest:.2f} s")
        assert seconds < 10
        assert longest < LONGEST
        async with asyncio.timeout(30):
            await woken.wait()  # the announcement wakes workers of other processes
        unwatch()
