"""Manual changes: cancel and retry."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Cancellation, Heartbeat, JobStatus, LeaseAnswer
from server_jobs.errors import DuplicateJobError, JobNotFoundError, JobNotRetryableError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
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


async def test_a_pending_job_is_cancelled_at_once(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", delay=timedelta(days=1))])
    before = await read(store, "a")
    clock.advance(SECOND)

    assert await store.cancel("a") is Cancellation.CANCELLED

    assert await read(store, "a") == replace(
        before, status=JobStatus.CANCELLED, completed_at=clock.now(), updated_at=clock.now()
    )
    clock.advance(timedelta(days=2))
    assert list(await store.claim(request())) == []


async def test_a_job_waiting_for_its_next_attempt_is_cancelled_at_once(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await store.settle([failed(claim, retry_after=SECOND)])

    assert await store.cancel("a") is Cancellation.CANCELLED
    record = await read(store, "a")
    assert (record.status, record.attempt_count, record.error) == (JobStatus.CANCELLED, 1, "boom")


async def test_a_running_job_is_asked_to_stop_and_learns_it_with_its_heartbeat(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    running = await read(store, "a")
    clock.advance(SECOND)

    assert await store.cancel("a") is Cancellation.REQUESTED

    assert await read(store, "a") == replace(running, cancel_requested=True, updated_at=clock.now())
    beat = Heartbeat(id="a", token=claim.token, progress=3, message=None)
    assert list(await store.renew([beat], LEASE)) == [LeaseAnswer.CANCEL_REQUESTED]
    assert await store.cancel("a") is Cancellation.REQUESTED


async def test_cancelling_an_unknown_job_is_an_error(store: Store, clock: FakeClock) -> None:
    with pytest.raises(JobNotFoundError) as raised:
        await store.cancel("nobody")

    assert raised.value.job_id == "nobody"


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
async def test_a_failed_or_cancelled_job_can_be_retried_with_all_its_attempts(
    store: Store, clock: FakeClock, status: JobStatus
) -> None:
    claim = await insert_and_claim(store, job("a", max_attempts=1, priority=4, correlation_id="c"))
    running = await read(store, "a")
    await store.renew([Heartbeat(id="a", token=claim.token, progress=50, message="half")], LEASE)
    await finish(store, claim, status)
    clock.advance(timedelta(hours=1))

    await store.retry("a")

    assert await read(store, "a") == replace(
        running,
        status=JobStatus.PENDING,
        attempt_count=0,
        scheduled_for=clock.now(),
        progress=0,
        progress_message=None,
        error=None,
        cancel_requested=False,
        fencing_token=None,
        worker_started_at=None,
        worker_expires_at=None,
        completed_at=None,
        updated_at=clock.now(),
    )
    assert (await reclaim(store, "a")).attempt == 1


async def test_a_retried_job_is_not_cancelled_by_the_request_of_its_last_life(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a"))
    await finish(store, claim, JobStatus.CANCELLED)
    await store.retry("a")

    claim = await reclaim(store, "a")

    assert list(await store.settle([failed(claim, retry_after=SECOND)])) == [JobStatus.PENDING]


async def test_a_job_can_be_retried_again_and_again(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", max_attempts=1)])

    for _ in range(3):
        await store.settle([failed(await reclaim(store, "a"))])
        await store.retry("a")

    assert ids(await store.claim(request())) == ["a"]


async def test_only_failed_and_cancelled_jobs_can_be_retried(store: Store, clock: FakeClock) -> None:
    await store.insert([job("pending")])
    await insert_and_claim(store, job("running"))
    await store.settle([completed(await insert_and_claim(store, job("completed")))])
    before = [await read(store, status) for status in ("pending", "running", "completed")]

    for record in before:
        with pytest.raises(JobNotRetryableError) as raised:
            await store.retry(record.id)
        assert (raised.value.job_id, raised.value.status) == (record.id, record.status)

    assert [await read(store, record.id) for record in before] == before


async def test_retrying_an_unknown_job_is_an_error(store: Store, clock: FakeClock) -> None:
    with pytest.raises(JobNotFoundError):
        await store.retry("nobody")


async def test_a_job_is_not_retried_while_another_one_has_its_unique_key(store: Store, clock: FakeClock) -> None:
    await finish(store, await insert_and_claim(store, job("a", unique_key="k")), JobStatus.FAILED)
    await store.insert([job("b", unique_key="k")])
    before = await read(store, "a")

    with pytest.raises(DuplicateJobError) as raised:
        await store.retry("a")

    assert (raised.value.unique_key, raised.value.job_id) == ("k", "b")
    assert await read(store, "a") == before

    await store.cancel("b")
    await store.retry("a")
    assert (await read(store, "a")).status is JobStatus.PENDING


async def test_a_retried_job_has_its_unique_key_again(store: Store, clock: FakeClock) -> None:
    await finish(store, await insert_and_claim(store, job("a", unique_key="k")), JobStatus.FAILED)
    await store.retry("a")

    (answer,) = await store.insert([job("b", unique_key="k")])

    assert (answer.id, answer.created) == ("a", False)
