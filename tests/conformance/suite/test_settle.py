"""Settling: the effect of an attempt's outcome on its job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    Cancellation,
    Cancelled,
    Ended,
    Failed,
    Heartbeat,
    JobStatus,
    Outcome,
    Released,
    Report,
)
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    MILLISECOND,
    SECOND,
    completed,
    failed,
    finish,
    ids,
    insert_and_claim,
    job,
    read,
    reclaim,
    request,
)


async def test_a_completed_job_has_its_result(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.settle([completed(claim, '{"messageId":"m1"}')])) == [JobStatus.COMPLETED]

    assert await read(store, "a") == replace(
        running,
        status=JobStatus.COMPLETED,
        result='{"messageId":"m1"}',
        progress=100,
        fencing_token=None,
        worker_expires_at=None,
        completed_at=clock.now(),
        updated_at=clock.now(),
    )


async def test_a_completed_job_forgets_the_errors_of_its_earlier_attempts(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    ended = Ended(Outcome.FAILED, "ValueError")
    await store.settle([Failed("a", claim.token, "first try", timedelta(0), ended=ended)])

    await store.settle([completed(await reclaim(store, "a"))])

    record = await read(store, "a")
    assert (record.error, record.error_class, record.attempt_count) == (None, None, 2)


async def test_a_job_that_was_asked_to_cancel_may_still_complete(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    assert await store.cancel("a") is Cancellation.REQUESTED

    assert list(await store.settle([completed(claim, "1")])) == [JobStatus.COMPLETED]
    record = await read(store, "a")
    assert (record.status, record.result) == (JobStatus.COMPLETED, "1")


async def test_a_failed_attempt_is_retried_after_its_delay(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.settle([failed(claim, "boom", retry_after=timedelta(seconds=8))])) == [JobStatus.PENDING]

    assert await read(store, "a") == replace(
        running,
        status=JobStatus.PENDING,
        error="boom",
        scheduled_for=clock.now() + timedelta(seconds=8),
        fencing_token=None,
        worker_expires_at=None,
        updated_at=clock.now(),
    )
    clock.advance(timedelta(seconds=8) - MILLISECOND)
    assert ids(await store.claim(request())) == []
    clock.advance(MILLISECOND)
    assert ids(await store.claim(request())) == ["a"]


async def test_the_last_attempt_to_fail_fails_the_job(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=2))
    await store.settle([failed(claim, "one", retry_after=timedelta(0))])
    claim = await reclaim(store, "a")
    running = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.settle([failed(claim, "two", retry_after=timedelta(0))])) == [JobStatus.FAILED]

    record = await read(store, "a")
    assert (record.status, record.error, record.attempt_count) == (JobStatus.FAILED, "two", 2)
    assert record.completed_at == clock.now()
    assert (record.fencing_token, record.worker_expires_at, record.result) == (None, None, None)
    assert record.scheduled_for == running.scheduled_for


async def test_a_failure_without_a_retry_fails_the_job_at_once(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=5))

    assert list(await store.settle([failed(claim, "bad params", retry_after=None)])) == [JobStatus.FAILED]
    record = await read(store, "a")
    assert (record.error, record.attempt_count) == ("bad params", 1)


async def test_a_failed_attempt_of_a_job_that_was_asked_to_cancel_cancels_it(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.cancel("a")
    clock.advance(SECOND)

    assert list(await store.settle([failed(claim, "stopped", retry_after=SECOND)])) == [JobStatus.CANCELLED]

    record = await read(store, "a")
    assert (record.status, record.error) == (JobStatus.CANCELLED, "stopped")
    assert record.completed_at == clock.now()


async def test_a_released_job_is_due_as_before_and_has_lost_no_attempt(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=1))
    running = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.settle([Released(id="a", token=claim.token)])) == [JobStatus.PENDING]

    assert await read(store, "a") == replace(
        running,
        status=JobStatus.PENDING,
        attempt_count=0,
        fencing_token=None,
        worker_expires_at=None,
        updated_at=clock.now(),
    )
    (again,) = await store.claim(request())
    assert again.attempt == 1


async def test_a_job_released_for_a_while_is_due_after_it(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=1))
    clock.advance(SECOND)

    assert list(await store.settle([Released(id="a", token=claim.token, delay=timedelta(hours=1))])) == [
        JobStatus.PENDING
    ]

    released = await read(store, "a")
    assert (released.attempt_count, released.scheduled_for) == (0, clock.now() + timedelta(hours=1))


async def test_a_job_that_its_handler_cancels_ends_with_the_reason(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(SECOND)

    cancelled = Cancelled(id="a", token=claim.token, reason="no such customer", report=Report(30, "looked"))
    assert list(await store.settle([cancelled])) == [JobStatus.CANCELLED]

    assert await read(store, "a") == replace(
        running,
        status=JobStatus.CANCELLED,
        error="no such customer",
        progress=30,
        progress_message="looked",
        fencing_token=None,
        worker_expires_at=None,
        completed_at=clock.now(),
        updated_at=clock.now(),
    )


async def test_a_released_job_that_was_asked_to_cancel_is_cancelled(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.cancel("a")

    assert list(await store.settle([Released(id="a", token=claim.token)])) == [JobStatus.CANCELLED]
    record = await read(store, "a")
    assert (record.status, record.attempt_count) == (JobStatus.CANCELLED, 0)


async def test_a_mixed_batch_is_answered_in_its_order_and_a_stale_claim_in_it_spoils_nothing(
    store: Store, clock: FakeClock
) -> None:
    claims = {name: await insert_and_claim(store, job(name)) for name in "abcdef"}
    await store.settle([failed(claims["c"], retry_after=timedelta(0))])
    await reclaim(store, "c")
    await store.cancel("e")
    reclaimed = await read(store, "c")

    statuses = await store.settle(
        [
            failed(claims["f"], retry_after=None),
            completed(claims["b"], '"b"'),
            completed(claims["c"], '"stale"'),
            failed(claims["a"], retry_after=SECOND),
            Released(id="d", token=claims["d"].token),
            Released(id="e", token=claims["e"].token),
        ]
    )

    assert list(statuses) == [
        JobStatus.FAILED,
        JobStatus.COMPLETED,
        None,
        JobStatus.PENDING,
        JobStatus.PENDING,
        JobStatus.CANCELLED,
    ]
    assert await read(store, "c") == reclaimed
    stored = {name: (await read(store, name)).status for name in "abdef"}
    assert stored == {
        "a": JobStatus.PENDING,
        "b": JobStatus.COMPLETED,
        "d": JobStatus.PENDING,
        "e": JobStatus.CANCELLED,
        "f": JobStatus.FAILED,
    }
    assert (await read(store, "b")).result == '"b"'


async def test_a_claim_is_settled_once(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([completed(claim, "1")])
    before = await read(store, "a")
    clock.advance(SECOND)

    assert list(await store.settle([completed(claim, "2")])) == [None]
    assert await read(store, "a") == before


async def test_a_claim_is_settled_once_even_within_one_batch(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))

    assert list(await store.settle([completed(claim, "1"), failed(claim)])) == [JobStatus.COMPLETED, None]
    assert (await read(store, "a")).result == "1"


async def test_an_empty_batch_settles_nothing(store: Store, clock: FakeClock) -> None:
    assert list(await store.settle([])) == []


async def test_five_hundred_claims_are_settled_in_one_batch(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:03}") for number in range(500)])
    claims = await store.claim(request(limit=500))

    statuses = await store.settle([completed(claim, f'"{claim.id}"') for claim in claims])

    assert list(statuses) == [JobStatus.COMPLETED] * 500
    assert (await read(store, "321")).result == '"321"'


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_finished_job_never_changes_by_itself(store: Store, clock: FakeClock, status: JobStatus) -> None:
    claim = await insert_and_claim(store, job("a", unique_key="k"))
    await finish(store, claim, status)
    before = await read(store, "a")
    clock.advance(timedelta(days=1))

    assert await store.cancel("a") is Cancellation.FINISHED
    assert list(await store.expire(jitter=timedelta(0))) == []
    assert list(await store.claim(request())) == []
    assert await store.claim_one("a", request()) is None
    await store.insert([job("a", unique_key="k")])
    await store.renew([Heartbeat(id="a", token=claim.token, progress=1, message="late")], LEASE)
    await store.settle([completed(claim, '"late"'), failed(claim, "late"), Released(id="a", token=claim.token)])

    assert await read(store, "a") == before


async def test_the_last_report_of_progress_is_stored_with_the_outcome(store: Store, clock: FakeClock) -> None:
    claims = {name: await insert_and_claim(store, job(name)) for name in "abc"}
    report = Report(70, "row 700")

    await store.settle(
        [
            failed(claims["a"])._replace(report=report),
            completed(claims["b"])._replace(report=report),
            Released(id="c", token=claims["c"].token, report=report),
        ]
    )

    stored = {name: await read(store, name) for name in "abc"}
    assert {name: record.progress for name, record in stored.items()} == {"a": 70, "b": 100, "c": 70}
    assert {record.progress_message for record in stored.values()} == {"row 700"}


async def test_without_a_report_the_progress_stored_before_stays(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.renew([Heartbeat(id="a", token=claim.token, progress=30, message="row 300")], LEASE)

    await store.settle([failed(claim)])

    record = await read(store, "a")
    assert (record.progress, record.progress_message) == (30, "row 300")


async def test_a_report_without_a_message_clears_the_last_one(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.renew([Heartbeat(id="a", token=claim.token, progress=30, message="row 300")], LEASE)

    await store.settle([failed(claim)._replace(report=Report(40, None))])

    record = await read(store, "a")
    assert (record.progress, record.progress_message) == (40, None)
