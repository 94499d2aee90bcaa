"""Paused queues: no job is claimed from them; everything else works."""

from __future__ import annotations

from datetime import timedelta

import pytest
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import JobStatus, PausedQueue
from server_jobs.errors import InvalidOptionError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    SECOND,
    START,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    read,
    request,
    schedule,
)


async def test_nothing_is_claimed_from_a_paused_queue(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", queue="mail", priority=9), job("b", queue="slow"), job("c")])

    assert await store.pause_queue("mail")

    assert ids(await store.claim(request(queues=("mail",)))) == []
    assert ids(await store.claim(request(limit=2))) == ["b", "c"]
    assert (await read(store, "a")).status is JobStatus.PENDING


async def test_a_resumed_queue_is_claimed_from_as_before(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b", priority=1)])
    await store.pause_queue("default")

    assert await store.resume_queue("default")

    assert ids(await store.claim(request())) == ["b", "a"]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "q" * 101])
async def test_a_queue_whose_name_none_can_have_is_not_paused(store: Store, clock: FakeClock, name: str) -> None:
    with pytest.raises(InvalidOptionError, match="a queue must "):
        await store.pause_queue(name)

    assert not await store.resume_queue(name)
    assert await store.paused_queues() == []


async def test_pausing_and_resuming_say_whether_they_changed_anything(store: Store, clock: FakeClock) -> None:
    assert not await store.resume_queue("mail")
    assert await store.pause_queue("mail")
    clock.advance(SECOND)
    assert not await store.pause_queue("mail")
    assert list(await store.paused_queues()) == [PausedQueue("mail", START)]
    assert await store.resume_queue("mail")
    assert not await store.resume_queue("mail")
    assert list(await store.paused_queues()) == []


async def test_paused_queues_are_listed_by_name_with_the_moment(store: Store, clock: FakeClock) -> None:
    await store.pause_queue("slow")
    clock.advance(SECOND)
    await store.pause_queue("mail")

    paused = list(await store.paused_queues())

    assert paused == [PausedQueue("mail", START + SECOND), PausedQueue("slow", START)]


async def test_jobs_are_enqueued_and_fired_into_a_paused_queue(store: Store, clock: FakeClock) -> None:
    await store.pause_queue("default")
    await store.save_schedules([schedule()])

    (inserted,) = await store.insert([job("a")])
    (fired,) = await store.fire(firing(START, next_run_at=START + timedelta(hours=1)))

    assert inserted.created
    assert fired
    assert ids(await store.claim(request())) == []


async def test_running_jobs_of_a_paused_queue_finish_and_fail_as_ever(store: Store, clock: FakeClock) -> None:
    done = await insert_and_claim(store, job("a"))
    lost = await insert_and_claim(store, job("b"))
    await insert_and_claim(store, job("c"))
    await store.pause_queue("default")

    statuses = await store.settle([completed(done), failed(lost, retry_after=timedelta(0))])
    clock.advance(LEASE + SECOND)
    (expired,) = await store.expire(jitter=timedelta(0))

    assert list(statuses) == [JobStatus.COMPLETED, JobStatus.PENDING]
    assert (expired.id, expired.status) == ("c", JobStatus.PENDING)
    assert ids(await store.claim(request())) == []


async def test_a_job_of_a_paused_queue_can_be_run_by_hand(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    await store.pause_queue("default")

    claim = await store.claim_one("a", request())
    started = await store.start(job("b"), LEASE)

    assert claim is not None
    assert {claim.id, started.id} == {"a", "b"}


async def test_jobs_of_a_paused_queue_are_not_due(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", queue="mail"), job("b", delay=SECOND)])
    await store.pause_queue("mail")

    assert await store.count_due(request()) == 0
    assert (await store.upcoming_work(request())).until_due == SECOND
    await store.pause_queue("default")
    assert (await store.upcoming_work(request())).until_due is None
    await store.resume_queue("mail")
    assert await store.count_due(request()) == 1
    assert (await store.upcoming_work(request())).until_due == timedelta(0)


async def test_a_queue_that_is_resumed_leaves_the_others_paused(store: Store, clock: FakeClock) -> None:
    await store.pause_queue("mail")
    await store.pause_queue("slow")

    assert await store.resume_queue("mail")

    assert [one.name for one in await store.paused_queues()] == ["slow"]
