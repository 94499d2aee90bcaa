"""Leases: heartbeats renew them. A job whose lease expires is pending again, or fails.

Only the newest claim may write. Every older claim is a zombie, in any later state of the job.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    LEASE_EXPIRED,
    Cancellation,
    Claim,
    Expired,
    Heartbeat,
    JobStatus,
    LeaseAnswer,
    Released,
)
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    SECOND,
    completed,
    failed,
    ids,
    insert_and_claim,
    job,
    read,
    reclaim,
    request,
)


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


async def test_a_lease_lasts_up_to_and_including_its_last_instant(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    running = await read(store, "a")

    clock.advance(LEASE)
    assert list(await store.expire(jitter=timedelta(0))) == []
    assert await read(store, "a") == running

    clock.advance(MILLISECOND)
    assert list(await store.expire(jitter=timedelta(0))) == [Expired("a", "SendEmail", JobStatus.PENDING)]


async def test_a_lease_in_its_last_instant_is_left_alone_while_others_expire(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("over"))
    clock.advance(MILLISECOND)
    last = await insert_and_claim(store, job("last"))
    clock.advance(LEASE)

    assert [over.id for over in await store.expire(jitter=timedelta(0))] == ["over"]

    assert [len(await store.attempts(job_id)) for job_id in ("over", "last")] == [1, 0]
    assert list(await store.settle([completed(last)])) == [JobStatus.COMPLETED]


async def test_an_expired_job_is_pending_again_with_its_attempt_counted(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(LEASE + SECOND)

    await store.expire(jitter=timedelta(0))

    record = await read(store, "a")
    assert record == replace(
        running,
        status=JobStatus.PENDING,
        error=record.error,
        error_class=LEASE_EXPIRED,
        scheduled_for=clock.now(),
        fencing_token=None,
        worker_expires_at=None,
        updated_at=clock.now(),
    )
    assert record.attempt_count == 1
    assert "lease expired in attempt 1 of 3" in (record.error or "")
    assert (await reclaim(store, "a")).attempt == 2


async def test_an_expired_job_becomes_due_within_the_jitter_and_never_early(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:02}") for number in range(50)])
    await store.claim(request(limit=50))
    clock.advance(LEASE + SECOND)

    await store.expire(jitter=timedelta(seconds=60))

    due = [(await read(store, f"{number:02}")).scheduled_for for number in range(50)]
    assert all(moment is not None and clock.now() <= moment <= clock.now() + timedelta(seconds=60) for moment in due)
    assert len(set(due)) > 10


async def test_a_job_whose_last_attempt_expired_fails_and_says_why(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=2))
    await store.settle([failed(claim, "boom", retry_after=timedelta(0))])
    await reclaim(store, "a")
    running = await read(store, "a")
    clock.advance(LEASE + SECOND)

    assert list(await store.expire(jitter=timedelta(hours=1))) == [Expired("a", "SendEmail", JobStatus.FAILED)]

    record = await read(store, "a")
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 2)
    assert "worker died" in (record.error or "")
    assert "lease expired in attempt 2 of 2" in (record.error or "")
    assert record.completed_at == clock.now()
    assert record.scheduled_for == running.scheduled_for


async def test_an_expired_job_that_was_asked_to_cancel_is_cancelled(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    await store.cancel("a")
    clock.advance(LEASE + SECOND)

    assert list(await store.expire(jitter=timedelta(0))) == [Expired("a", "SendEmail", JobStatus.CANCELLED)]
    record = await read(store, "a")
    assert (record.status, record.completed_at) == (JobStatus.CANCELLED, clock.now())


async def test_only_the_jobs_whose_lease_ran_out_expire(store: Store, clock: FakeClock) -> None:
    claims = {name: await insert_and_claim(store, job(name)) for name in "abcd"}
    await store.insert([job("pending")])
    await store.settle([completed(claims["c"])])
    clock.advance(LEASE)
    await store.renew([Heartbeat(id="b", token=claims["b"].token, progress=1, message=None)], LEASE)
    clock.advance(MILLISECOND)

    expired = await store.expire(jitter=timedelta(0))

    assert sorted(one.id for one in expired) == ["a", "d"]
    assert (await read(store, "b")).status is JobStatus.RUNNING
    assert (await read(store, "c")).status is JobStatus.COMPLETED
    assert (await read(store, "pending")).attempt_count == 0


async def test_claims_that_the_caller_still_runs_are_left_alone_and_others_expire(
    store: Store, clock: FakeClock
) -> None:
    claims = {name: await insert_and_claim(store, job(name)) for name in "abcd"}
    running = {name: await read(store, name) for name in "ac"}
    clock.advance(LEASE + SECOND)

    expired = await store.expire(jitter=timedelta(0), except_for=[claims["a"].token, claims["c"].token])

    assert sorted(one.id for one in expired) == ["b", "d"]
    assert {name: await read(store, name) for name in "ac"} == running
    assert list(await store.settle([completed(claims["a"])])) == [JobStatus.COMPLETED]
    assert [one.id for one in await store.expire(jitter=timedelta(0))] == ["c"]


async def test_a_token_of_an_earlier_claim_spares_nothing(store: Store, clock: FakeClock) -> None:
    old = await insert_and_claim(store, job("a"))
    await store.settle([failed(old, retry_after=timedelta(0))])
    await reclaim(store, "a")
    clock.advance(LEASE + SECOND)

    assert [one.id for one in await store.expire(jitter=timedelta(0), except_for=[old.token])] == ["a"]


async def test_an_expired_job_expires_once(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    clock.advance(LEASE + SECOND)

    assert len(await store.expire(jitter=timedelta(0))) == 1
    assert list(await store.expire(jitter=timedelta(0))) == []


async def test_crashes_use_up_the_attempts_of_a_job(store: Store, clock: FakeClock) -> None:
    await store.insert([job("poison", max_attempts=3)])

    for _ in range(3):
        assert ids(await store.claim(request())) == ["poison"]
        clock.advance(LEASE + SECOND)
        await store.expire(jitter=timedelta(0))

    assert ids(await store.claim(request())) == []
    assert (await read(store, "poison")).status is JobStatus.FAILED


async def test_a_started_job_whose_caller_died_is_offered_to_workers(store: Store, clock: FakeClock) -> None:
    await store.start(job("a"), LEASE)
    clock.advance(LEASE + SECOND)

    await store.expire(jitter=timedelta(0))

    assert ids(await store.claim(request())) == ["a"]


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
