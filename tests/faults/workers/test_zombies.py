"""Every claim except the newest tries every write, on every store, in every possible state of its job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    Cancelled,
    Claim,
    Completed,
    Failed,
    Heartbeat,
    JobQuery,
    JobRecord,
    JobStatus,
    LeaseAnswer,
    Released,
    Report,
    Settlement,
)
from server_jobs.testing import FakeClock

from tests.conformance.examples import LEASE, MILLISECOND, claim_on, completed, job, request
from tests.conformance.stores import STORES
from tests.faults.conftest import Figure

JOBS = 80
CLAIMS = 10
"""How many claims of each job become zombies: 800 in total."""

REPORT = Report(99, "written by a zombie")
SETTLEMENTS: Sequence[Callable[[Claim], Settlement]] = (
    lambda claim: Completed(id=claim.id, token=claim.token, result='"zombie"', report=REPORT),
    lambda claim: Failed(id=claim.id, token=claim.token, error="zombie", retry_after=timedelta(0), report=REPORT),
    lambda claim: Failed(id=claim.id, token=claim.token, error="zombie", retry_after=None, report=REPORT),
    lambda claim: Released(id=claim.id, token=claim.token, delay=timedelta(0), report=REPORT),
    lambda claim: Cancelled(id=claim.id, token=claim.token, reason="zombie", report=REPORT),
)


@pytest.fixture(params=STORES)
def store_and_clock(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[tuple[Store, FakeClock]]:
    """Yield a new, empty store and its clock; the test runs once for each kind of store."""
    clock = FakeClock()
    context = STORES[request.param](clock)
    yield runner.run(context.__aenter__()), clock
    runner.run(context.__aexit__(None, None, None))


async def claim_all(store: Store) -> list[Claim]:
    """Claim every job."""
    claims = list(await store.claim(request(limit=JOBS)))
    assert len(claims) == JOBS
    return claims


async def lose_all(store: Store, clock: FakeClock) -> None:
    """Let every lease expire."""
    clock.advance(LEASE + MILLISECOND)
    assert len(await store.expire(jitter=timedelta(0))) == JOBS


async def every_record(store: Store) -> list[JobRecord]:
    """Return all jobs."""
    return list(await store.list_jobs(JobQuery(limit=1000)))


async def let_all_write(store: Store, zombies: Sequence[Claim]) -> int:
    """Let every zombie try every write. Return how many were rejected, which must be all."""
    beats = [Heartbeat(id=one.id, token=one.token, progress=99, message="zombie") for one in zombies]
    assert list(await store.renew(beats, timedelta(days=1))) == [LeaseAnswer.LOST] * len(zombies)
    for settlement_of in SETTLEMENTS:
        written = await store.settle([settlement_of(one) for one in zombies])
        assert list(written) == [None] * len(zombies)
    return len(zombies) * (1 + len(SETTLEMENTS))


async def test_eight_hundred_zombies_are_refused_at_every_write(
    store_and_clock: tuple[Store, FakeClock], figure: Figure
) -> None:
    store, clock = store_and_clock
    await store.insert([job(f"job-{number:02}", max_attempts=CLAIMS + 1) for number in range(JOBS)])
    zombies: list[Claim] = []
    for _ in range(CLAIMS):
        zombies += await claim_all(store)
        await lose_all(store, clock)
    assert len({one.token for one in zombies}) == JOBS * CLAIMS

    refused = 0
    for make in (wait, run, complete):  # the state of the jobs when the zombies return
        await make(store)
        before = await every_record(store)
        refused += await let_all_write(store, zombies)
        assert await every_record(store) == before

    figure(f"{len(zombies)} zombies of {JOBS} jobs, pending, running and completed ones: {refused:,} writes refused")


async def wait(store: Store) -> None:
    """Leave the jobs pending."""
    assert {record.status for record in await every_record(store)} == {JobStatus.PENDING}


async def run(store: Store) -> None:
    """Run the jobs under a newer claim."""
    await claim_all(store)


async def complete(store: Store) -> None:
    """Complete the jobs under the newest claims."""
    newest = [claim_on(record) for record in await every_record(store)]
    assert set(await store.settle([completed(claim) for claim in newest])) == {JobStatus.COMPLETED}
