"""Only the newest claim may write. Every older claim is a zombie, in any later state of the job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Claim, Heartbeat, JobStatus, LeaseAnswer, Released
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    completed,
    failed,
    insert_and_claim,
    job,
    read,
    reclaim,
)

Takeover = Callable[[Store, Claim], Awaitable[None]]


async def _pending_again(store: Store, claim: Claim) -> None:
    await store.expire(jitter=timedelta(0))


async def _reclaimed(store: Store, claim: Claim) -> None:
    await store.expire(jitter=timedelta(0))
    await reclaim(store, claim.id)


async def _finished_by_another(store: Store, claim: Claim) -> None:
    await store.expire(jitter=timedelta(0))
    await store.settle([completed(await reclaim(store, claim.id), '"by another"')])


async def _cancelled(store: Store, claim: Claim) -> None:
    await store.expire(jitter=timedelta(0))
    await store.cancel(claim.id)


async def _settled_by_itself(store: Store, claim: Claim) -> None:
    await store.settle([failed(claim, retry_after=timedelta(0))])


TAKEOVERS = [_pending_again, _reclaimed, _finished_by_another, _cancelled, _settled_by_itself]


async def _lose_claim(store: Store, clock: FakeClock, takeover: Takeover) -> Claim:
    claim = await insert_and_claim(store, job("a"))
    clock.advance(LEASE + MILLISECOND)
    await takeover(store, claim)
    clock.advance(MILLISECOND)
    return claim


async def test_a_stale_worker_cannot_complete_a_reclaimed_job(store: Store, clock: FakeClock) -> None:
    stale = await insert_and_claim(store, job("a"))
    clock.advance(LEASE + MILLISECOND)
    await store.expire(jitter=timedelta(0))
    newest = await reclaim(store, "a")
    running = await read(store, "a")

    assert list(await store.settle([completed(stale, '"stale"')])) == [None]
    assert await read(store, "a") == running

    assert list(await store.settle([completed(newest, '"newest"')])) == [JobStatus.COMPLETED]
    assert (await read(store, "a")).result == '"newest"'


@pytest.mark.parametrize("takeover", TAKEOVERS)
async def test_a_stale_claim_settles_nothing(store: Store, clock: FakeClock, takeover: Takeover) -> None:
    claim = await _lose_claim(store, clock, takeover)
    before = await read(store, "a")

    for settlement in (completed(claim, '"stale"'), failed(claim, "stale"), Released(id="a", token=claim.token)):
        assert list(await store.settle([settlement])) == [None]
        assert await read(store, "a") == before


@pytest.mark.parametrize("takeover", TAKEOVERS)
async def test_a_stale_claim_renews_nothing(store: Store, clock: FakeClock, takeover: Takeover) -> None:
    claim = await _lose_claim(store, clock, takeover)
    before = await read(store, "a")

    beat = Heartbeat(id="a", token=claim.token, progress=99, message="stale")

    assert list(await store.renew([beat], timedelta(hours=1))) == [LeaseAnswer.LOST]
    assert await read(store, "a") == before


async def test_a_token_is_worth_nothing_for_another_job(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    other = await insert_and_claim(store, job("b"))
    before = await read(store, "a")

    assert list(await store.renew([Heartbeat(id="a", token=other.token, progress=9, message=None)], LEASE)) == [
        LeaseAnswer.LOST
    ]
    assert list(await store.settle([Released(id="a", token=other.token)])) == [None]
    assert await read(store, "a") == before


async def test_a_late_worker_may_write_if_no_other_claimed_its_job(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    clock.advance(LEASE * 10)

    assert list(await store.renew([Heartbeat(id="a", token=claim.token, progress=5, message=None)], LEASE)) == [
        LeaseAnswer.RENEWED
    ]
    clock.advance(LEASE * 10)
    assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]
