"""Claims merge the jobs of many names, versions, queues and priorities in one order, and lock no others."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import timedelta

import psycopg
import pytest
from server_jobs.ports import Statement, Store, Value
from server_jobs.record import ClaimRequest, KnownJob, NewJob
from server_jobs.stores import postgres_statements, statements
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.rows import request_parameters
from server_jobs.stores.sql import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, MILLISECOND, START, completed, ids, job
from tests.conformance.postgres_databases import empty_database, postgres_connection
from tests.conformance.stores import STORES
from tests.sabotage import altered

NAMES = ("SendEmail", "ImportCsv", "Crawl")
QUEUES = ("default", "mail", "slow", "other", "paused")
KNOWN = (KnownJob("SendEmail", 1), KnownJob("SendEmail", 2), KnownJob("ImportCsv", 1))


def mixed_jobs(rng: random.Random, count: int) -> list[NewJob]:
    """Jobs of many groups, in a random order: some groups hold most jobs, many jobs are due at the same moment."""
    skew = rng.choice([1, 3])
    queues = QUEUES[: rng.randint(1, 5)]
    return [
        job(
            f"{rng.getrandbits(40):010x}",
            NAMES[int(3 * rng.random() ** skew)],
            queue=queues[int(len(queues) * rng.random() ** skew)],
            spec_version=rng.randint(1, 2),
            priority=rng.choice([0, 0, 0, 5, -3]),
            scheduled_for=START + rng.randint(-20, 4) * MILLISECOND,
        )
        for _ in range(count)
    ]


async def claimed_in_turns(store: Store, clock: FakeClock, seed: int) -> list[list[str]]:
    """Store the same jobs for the same seed and claim them, some at a time."""
    rng = random.Random(seed)
    await store.insert(mixed_jobs(rng, rng.choice([30, 120])))
    await store.pause_queue("paused")
    queues = rng.choice([None, None, ("mail", "default"), ("slow", "paused", "nobody")])
    turns: list[list[str]] = []
    for _ in range(12):
        asked = ClaimRequest(known=KNOWN, limit=rng.choice([1, 3, 10, 40]), lease=LEASE, queues=queues)
        claims = await store.claim(asked)
        turns.append(ids(claims))
        await store.settle([completed(claim) for claim in claims])
        clock.advance(MILLISECOND)
    return turns


@pytest.mark.parametrize("seed", range(6))
async def test_claims_take_jobs_of_many_groups_in_one_order(store: Store, clock: FakeClock, seed: int) -> None:
    expected = await claimed_in_turns(MemoryStore(other := FakeClock(clock.now())), other, seed)

    assert await claimed_in_turns(store, clock, seed) == expected


async def test_one_long_group_beside_short_ones_fills_a_claim(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"a{number:03}", queue="long") for number in range(60)])
    await store.insert([job(f"b{number}", queue=f"short {number}") for number in range(8)])

    claims = await store.claim(ClaimRequest(known=KNOWN, limit=40, lease=LEASE))

    assert ids(claims) == [f"a{number:03}" for number in range(40)]


@pytest.mark.parametrize("name", [name for name in STORES if name != "memory"])
async def test_jobs_without_a_time_come_first(name: str) -> None:
    """Other programs may store such jobs."""
    clock = FakeClock(START)
    async with STORES[name](clock) as store:
        assert isinstance(store, SqlStore)
        await store.insert([job(name, queue=queue) for name, queue in [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")]])
        forget = Statement("UPDATE jobs SET scheduled_for = NULL WHERE id IN ('b', 'd')", True)
        await store.database.run((forget, {}))

        first = await store.claim(ClaimRequest(known=KNOWN, limit=3, lease=LEASE))
        rest = await store.claim(ClaimRequest(known=KNOWN, limit=3, lease=LEASE))

    assert (ids(first), ids(rest)) == (["b", "d", "a"], ["c"])


def test_a_claim_locks_the_jobs_that_it_takes_and_no_others() -> None:
    with empty_database() as url, postgres_connection(url) as connection, postgres_connection(url) as other:
        connection.execute(
            "INSERT INTO jobs (id, job_name, params, queue, scheduled_for, created_at, updated_at) SELECT 'j' || i,"
            " 'SendEmail', '{}', 'q' || i % 7, now() - interval '1 s' * i, now(), now() FROM generate_series(1, 700) i"
        )
        asked = ClaimRequest(known=KNOWN, limit=50, lease=timedelta(minutes=1))
        parameters = request_parameters(asked) | {"limit": 50, "slots": None, "lease": 1000, "batch": "0" * 32}
        with connection.transaction(force_rollback=True):
            assert _claim(connection, parameters) == 50
            free = other.execute("SELECT count(*) FROM (SELECT id FROM jobs FOR UPDATE SKIP LOCKED) AS free").fetchone()

    assert free == (650,)


def _claim(connection: psycopg.Connection, parameters: Mapping[str, Value]) -> int:
    text = postgres_statements.CLAIM.replace("{now}", "statement_timestamp()").replace("%", "%%")
    return len(connection.execute(re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", text).encode(), parameters).fetchall())


@pytest.mark.parametrize(
    ("name", "fragment", "instead"),
    [("sqlite", "ORDER BY 4 DESC, 5, 1", ""), ("postgresql", "HAVING count(*) >= ", "HAVING false AND count(*) >= ")],
)
async def test_a_merge_that_passes_over_jobs_of_long_groups_is_noticed(
    name: str, fragment: str, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = postgres_statements if name == "postgresql" else statements
    for place, text in altered(dialect, "CLAIM", fragment, instead):
        monkeypatch.setattr(dialect, place, text)
    clock = FakeClock(START)
    async with STORES[name](clock) as store:
        with pytest.raises(AssertionError):
            await test_one_long_group_beside_short_ones_fills_a_claim(store, clock)
