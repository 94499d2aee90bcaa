"""Claims merge the jobs of many names, versions, queues and priorities in one order."""

from __future__ import annotations

import random

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import ClaimRequest, KnownJob, NewJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, MILLISECOND, START, completed, ids, job

NAMES = ("SendEmail", "ImportCsv", "Crawl")
QUEUES = ("default", "mail", "slow", "other", "paused")
KNOWN = (KnownJob("SendEmail", 1), KnownJob("SendEmail", 2), KnownJob("ImportCsv", 1))


def mixed_jobs(rng: random.Random, count: int) -> list[NewJob]:
    """Return jobs of many groups in random order: some groups have most jobs, many jobs are due at one time."""
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
    """Store the same jobs for the same seed and claim them, several at a time."""
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


async def test_one_long_group_among_short_ones_fills_a_claim(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"a{number:03}", queue="long") for number in range(60)])
    await store.insert([job(f"b{number}", queue=f"short {number}") for number in range(8)])

    claims = await store.claim(ClaimRequest(known=KNOWN, limit=40, lease=LEASE))

    assert ids(claims) == [f"a{number:03}" for number in range(40)]
