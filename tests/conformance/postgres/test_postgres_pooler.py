"""PostgreSQL behind a pooler in transaction mode: a strict fake, and PgBouncer if it is installed.

No setting is needed. If prepared statements are lost, calls run without them; LISTEN degrades to polling.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import asyncpg
import pytest
from server_jobs.databases.postgres.connection import Call
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Row, Statement
from server_jobs.domain.record import JobQuery, JobStatus
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.claims.claimer import claim_until_empty
from tests.conformance.examples import LEASE, START, firing, ids, job, read, reclaim, request, schedule
from tests.conformance.postgres.pooler import StrictPooler
from tests.conformance.postgres_databases import empty_database

Pooler = Callable[[str], AbstractAsyncContextManager[str]]


def strict(url: str) -> AbstractAsyncContextManager[str]:
    """Return the fake."""
    return StrictPooler(url).serve()


@asynccontextmanager
async def pgbouncer(url: str, *, prepared_statements: int) -> AsyncIterator[str]:
    """Run PgBouncer, with or without its support of prepared statements (since 1.21)."""
    parts = urlsplit(url)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with TemporaryDirectory() as folder:
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port or 5432} user={parts.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1\n"
            f"max_prepared_statements = {prepared_statements}\n"
        )
        user = "nobody" if os.geteuid() == 0 else None
        Path(folder).chmod(0o755)
        process = subprocess.Popen(
            [str(shutil.which("pgbouncer")), str(settings)],
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < deadline, "pgbouncer does not answer"
                await asyncio.sleep(0.01)
            yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
        finally:
            process.terminate()
            process.wait()


POOLERS: dict[str, Pooler] = {"strict": strict}
if shutil.which("pgbouncer"):
    POOLERS["pgbouncer"] = partial(pgbouncer, prepared_statements=100)
    POOLERS["pgbouncer without prepared statements"] = partial(pgbouncer, prepared_statements=0)


@pytest.fixture(params=POOLERS)
def pooler(request: pytest.FixtureRequest) -> Pooler:
    """Return a function that puts a pooler before a database."""
    return POOLERS[request.param]


@asynccontextmanager
async def opened(pooler: Pooler) -> AsyncIterator[SqlStore]:
    with empty_database() as url:
        async with pooler(url) as pooled:
            store = SqlStore(PostgresDatabase(pooled))
            await store.open()
            try:
                yield store
            finally:
                await store.close()


class AskingForJit(PostgresDatabase):
    """A database that asks at the end of each transaction whether the server may compile its statements."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.jit: list[object] = []

    async def run(self, *calls: Call, look: Call | None = None) -> Sequence[Sequence[Row]]:
        *found, ((jit,),) = await super().run(*calls, (Statement("SELECT current_setting('jit') AS jit", False), {}))
        self.jit.append(jit)
        return found


async def test_jobs_live_their_lives_behind_a_pooler(pooler: Pooler) -> None:
    async with opened(pooler) as store:
        await store.insert([job(f"{number:03}", unique_key=f"k{number % 150}") for number in range(200)])

        claimed = await asyncio.gather(*(claim_until_empty(store) for _ in range(4)))

        assert sorted(job_id for part in claimed for job_id in part) == [f"{number:03}" for number in range(150)]
        assert (await read(store, "000")).status is JobStatus.COMPLETED


async def test_calls_of_several_statements_are_one_transaction_behind_a_pooler(pooler: Pooler) -> None:
    async with opened(pooler) as store:
        await store.save_schedules([schedule()])
        slot = firing(START, next_run_at=START + timedelta(hours=1))
        fired = await asyncio.gather(*(store.fire(slot) for _ in range(4)))
        assert sorted(list(one) for one in fired) == [[False], [False], [False], [True]]

        ((made,),) = [ids(await store.claim(request()))]
        assert (await store.cancel(made)).value == "requested"
        assert len(await store.expire(jitter=timedelta(0))) == 0
        await store.start(job("now"), LEASE)
        await store.insert([job("one more")])
        assert (await reclaim(store, "one more")).attempt == 1


async def test_watching_behind_a_pooler_says_once_that_jobs_are_found_by_polling(
    pooler: Pooler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server_jobs")
    async with opened(pooler) as store:
        end = store.watch(lambda: None)
        async with asyncio.timeout(30):
            while not any("found by polling" in message for message in caplog.messages):
                await asyncio.sleep(0.01)
        for number in range(3):
            await store.insert([job(str(number))])
        end()

    assert sum("found by polling" in message for message in caplog.messages) == 1
    assert len(caplog.messages) <= 2  # the other one says that statements are not prepared


async def test_the_sessions_of_a_pooler_belong_to_others_as_well_and_stay_as_they_are() -> None:
    with empty_database() as url:
        async with strict(url) as pooled:
            store = SqlStore(PostgresDatabase(pooled))
            await store.open()
            await claim_until_empty(store)
            await store.close()

            driver = await asyncpg.connect(pooled, statement_cache_size=0)
            settings = [await driver.fetchrow("SHOW enable_seqscan") for _ in range(4)]
            await driver.close()

    assert [row["enable_seqscan"] for row in settings if row] == ["on"] * 4


async def test_statistics_and_pages_are_not_compiled_behind_a_pooler() -> None:
    with empty_database() as url:
        async with strict(url) as pooled:
            database = AskingForJit(pooled)
            store = SqlStore(database)
            await store.open()
            database.jit.clear()
            await store.queue_states()
            await store.failure_groups()
            await store.find_page(JobQuery(status=JobStatus.PENDING))
            await store.enqueued_counts()
            await store.close()

    assert database.jit == ["off"] * 4 + ["on"]
