"""Large claims on PostgreSQL continue from each other, so index entries of claimed jobs do not slow a long drain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement, Value
from server_jobs.domain.record import Heartbeat
from server_jobs.stores.sql.claims.claims import FULL_LOOK_INTERVAL
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.parameters import request_parameters
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, completed, ids, job, request
from tests.conformance.postgres.test_postgres_plans import explain
from tests.conformance.postgres_databases import new_database, postgres_connection
from tests.conformance.suite.test_limits import limited
from tests.sabotage import sabotage

BATCH = 100
STATEMENTS = statements_of("postgresql")


@pytest.fixture
def url() -> Iterator[str]:
    with new_database() as url:
        yield url


@asynccontextmanager
async def store_at(url: str, clock: FakeClock | None = None) -> AsyncIterator[SqlStore]:
    store = SqlStore(PostgresDatabase(url), clock)
    await store.open()
    yield store
    await store.close()


async def test_claims_of_a_long_drain_take_every_job_once_and_in_order(url: str) -> None:
    names = [f"{number:05}" for number in range(5 * BATCH + 7)]
    async with store_at(url) as store:
        await store.insert([job(name) for name in names])

        claims = [await store.claim(request(limit=BATCH)) for _ in range(7)]

    assert [name for claim in claims for name in ids(claim)] == names


async def test_a_more_urgent_job_waits_no_longer_than_the_interval(url: str) -> None:
    clock = FakeClock()
    async with store_at(url, clock) as store:
        await store.insert([job(f"{number:05}") for number in range(5 * BATCH)])
        await store.claim(request(limit=BATCH))
        await store.insert([job("urgent", priority=1)])

        meanwhile = await store.claim(request(limit=BATCH))
        clock.advance(FULL_LOOK_INTERVAL)
        then = await store.claim(request(limit=BATCH))

    assert "urgent" not in ids(meanwhile)
    assert ids(then)[0] == "urgent"


async def test_a_queue_that_is_paused_in_the_middle_of_a_drain_is_left_alone(url: str) -> None:
    async with store_at(url, FakeClock()) as store:
        await store.insert([job(f"{number:05}") for number in range(5 * BATCH)])
        await store.claim(request(limit=BATCH))

        await store.pause_queue("default")

        assert await store.claim(request(limit=BATCH)) == []


async def test_a_claim_reads_no_index_entries_of_jobs_that_were_claimed(url: str) -> None:
    jobs, last = 20_000, ""
    with postgres_connection(url) as connection:
        connection.execute("ALTER TABLE jobs SET (autovacuum_enabled = false)")
        async with store_at(url) as store:
            await store.insert([job(f"{number:05}") for number in range(jobs)])
            for _ in range(jobs // 1_000 - 1):
                claims = await store.claim(request(limit=1_000))
                await store.settle([completed(claim) for claim in claims])
                last = claims[-1].id

        behind = pages_read(connection, STATEMENTS.CLAIM_NEXT, after=last)
        at_the_head = pages_read(connection, STATEMENTS.CLAIM)

    assert behind < 50
    assert at_the_head > 3 * behind


def pages_read(connection: psycopg.Connection, statement: Statement | None, **values: Value) -> int:
    """Return how many pages a claim of one job reads."""
    assert statement is not None
    values = {
        **request_parameters(request()),
        "limit": 1,
        "slots": 1,
        "lease": 1_000,
        "batch": "0" * 32,
        "worker_id": None,
        **values,
    }
    plan = explain(connection, statement.sql, values, "force_generic_plan")
    return int(str(plan["Shared Hit Blocks"])) + int(str(plan["Shared Read Blocks"]))


async def test_a_claim_and_a_renewal_do_not_wait_for_the_disk_and_an_outcome_does(url: str) -> None:
    """A trigger records whether the commit of each statement waits for the disk."""
    database = url.rpartition("/")[2]
    with postgres_connection(url) as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = on".encode())
        connection.execute(_NOTE_COMMITS)
        async with store_at(url) as store:
            await store.insert([job("1")])
            (claim,) = await store.claim(request(limit=1))
            await store.renew([Heartbeat(id="1", token=claim.token, progress=1, message=None)], LEASE)
            await store.settle([completed(claim)])
        noted = connection.execute("SELECT status, waits FROM noted ORDER BY number").fetchall()

    assert noted == [("pending", "on"), ("running", "off"), ("running", "off"), ("completed", "on")]


@pytest.mark.parametrize("waits", [True, False], ids=["waits", "sabotage"])
async def test_a_claim_of_a_job_with_a_limit_waits_for_the_disk(
    url: str, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """After a crash of the server the running jobs must still count."""
    if not waits:
        fragment = " WHERE set_config('jit'"
        instead = f" WHERE {STATEMENTS.fragments['unflushed']} AND set_config('jit'"
        sabotage(monkeypatch, STATEMENTS, "LOCK_LIMITS", fragment, instead)
    database = url.rpartition("/")[2]
    with postgres_connection(url) as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = on".encode())
        connection.execute(_NOTE_COMMITS)
        async with store_at(url) as store:
            await store.insert([job("1", concurrency_key="ada")])
            assert ids(await store.claim(request(limited(1)))) == ["1"]
        noted = connection.execute("SELECT status, waits FROM noted ORDER BY number").fetchall()

    assert noted == [("pending", "on"), ("running", "on" if waits else "off")]


_NOTE_COMMITS = """
CREATE TABLE noted (number serial, status text, waits text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO noted (status, waits) VALUES (NEW.status, current_setting('synchronous_commit'));
  RETURN NEW;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION note();
"""
