"""Heartbeats extend leases and store progress, in batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Cancellation, Claim, Heartbeat, LeaseAnswer
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import LEASE, MILLISECOND, SECOND, completed, insert_and_claim, job, read


def beat(claim: Claim, progress: int = 0, message: str | None = None) -> Heartbeat:
    return Heartbeat(id=claim.id, token=claim.token, progress=progress, message=message)


async def test_a_heartbeat_extends_the_lease_and_stores_progress(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.renew([beat(claim, 42, "row 42 of 100")], timedelta(minutes=5))) == [LeaseAnswer.RENEWED]

    assert await read(store, "a") == replace(
        running,
        progress=42,
        progress_message="row 42 of 100",
        worker_expires_at=clock.now() + timedelta(minutes=5),
        updated_at=clock.now(),
    )


async def test_a_heartbeat_without_a_message_clears_the_last_one(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.renew([beat(claim, 10, "begun")], LEASE)

    await store.renew([beat(claim, 20)], LEASE)

    record = await read(store, "a")
    assert (record.progress, record.progress_message) == (20, None)


async def test_a_renewed_job_does_not_expire(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))

    for _ in range(5):
        clock.advance(LEASE)
        await store.renew([beat(claim)], LEASE)
        assert list(await store.expire(jitter=timedelta(0))) == []

    clock.advance(LEASE + MILLISECOND)
    assert len(await store.expire(jitter=timedelta(0))) == 1


async def test_heartbeats_are_answered_in_their_order(store: Store, clock: FakeClock) -> None:
    claims = {name: await insert_and_claim(store, job(name)) for name in "abcd"}
    await store.settle([completed(claims["b"])])
    assert await store.cancel("d") is Cancellation.REQUESTED
    unknown = Heartbeat(id="nobody", token="0" * 32, progress=1, message=None)

    holds = await store.renew(
        [beat(claims["d"], 4), unknown, beat(claims["b"], 2), beat(claims["a"], 1), beat(claims["c"], 3)], LEASE
    )

    assert list(holds) == [
        LeaseAnswer.CANCEL_REQUESTED,
        LeaseAnswer.LOST,
        LeaseAnswer.LOST,
        LeaseAnswer.RENEWED,
        LeaseAnswer.RENEWED,
    ]
    assert [(await read(store, name)).progress for name in "abcd"] == [1, 100, 3, 4]


async def test_an_empty_batch_of_heartbeats_renews_nothing(store: Store, clock: FakeClock) -> None:
    assert list(await store.renew([], LEASE)) == []


async def test_progress_lies_between_0_and_100(store: Store, clock: FakeClock) -> None:
    claims = [await insert_and_claim(store, job(name)) for name in "ab"]

    await store.renew([beat(claims[0], 0), beat(claims[1], 100)], LEASE)

    assert [(await read(store, name)).progress for name in "ab"] == [0, 100]
