"""Unique keys in use: a new job leaves the unfinished one alone, takes its place, or follows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from server_jobs.domain.audit import AuditAction, enqueuing_as
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import ConcurrencyLimit, OnConflict
from server_jobs.domain.record import (
    UNREADABLE,
    Claim,
    ClaimRequest,
    Ended,
    Failed,
    Inserted,
    JobQuery,
    JobStatus,
    KnownJob,
    NewJob,
    Outcome,
    Released,
    Report,
    Retrial,
)
from server_jobs.domain.record.audit import AuditQuery
from server_jobs.errors import DuplicateJobError
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    LEASE,
    SECOND,
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

MINUTE = timedelta(minutes=1)
KEY = "SendEmail:k"
REPLACING = [OnConflict.REPLACE, OnConflict.RESCHEDULE]
CRAWL = KnownJob("SendEmail", 1, concurrency=ConcurrencyLimit(limit=100, by=("/site",)))
Outcomes = Callable[[Store, FakeClock, Claim], Awaitable[object]]


def other(job_id: str, on_conflict: OnConflict = OnConflict.REPLACE) -> NewJob:
    """Return a job with the unique key."""
    return job(job_id, unique_key=KEY, on_conflict=on_conflict)


async def test_by_default_the_unfinished_job_stays_as_it_is(store: Store, clock: FakeClock) -> None:
    await store.insert([other("a", OnConflict.KEEP)])
    before = await read(store, "a")

    new = other("b", OnConflict.KEEP)._replace(params='{"n":2}', delay=MINUTE)
    assert list(await store.insert([new])) == [Inserted("a", created=False)]

    assert await read(store, "a") == before
    assert await store.get("b") is None


@pytest.mark.parametrize("on_conflict", REPLACING)
async def test_a_pending_job_gets_the_params_and_options_of_the_new_one(
    store: Store, clock: FakeClock, on_conflict: OnConflict
) -> None:
    assert list(await store.insert([other("a", on_conflict)._replace(delay=MINUTE)])) == [Inserted("a", created=True)]
    before = await read(store, "a")
    clock.advance(SECOND)
    new = other("b", on_conflict)._replace(
        params='{"n":2}',
        queue="other",
        priority=3,
        spec_version=2,
        max_attempts=7,
        delay=2 * MINUTE,
        expires_after=SECOND,
        correlation_id="c",
        headers='{"trace":"1"}',
    )

    assert list(await store.insert([new])) == [Inserted("a", created=False)]

    due = before.created_at + MINUTE if on_conflict is OnConflict.REPLACE else clock.now() + 2 * MINUTE
    assert await read(store, "a") == replace(
        before,
        params='{"n":2}',
        queue="other",
        priority=3,
        spec_version=2,
        max_attempts=7,
        scheduled_for=due,
        start_before=due + SECOND,
        correlation_id="c",
        headers='{"trace":"1"}',
        updated_at=clock.now(),
    )
    assert await store.get("b") is None


async def test_a_caller_who_replaces_a_job_is_in_the_audit_log(store: Store, clock: FakeClock) -> None:
    with enqueuing_as("token:first"):
        await store.insert([other("a")])
    clock.advance(SECOND)
    with enqueuing_as("token:second"):
        many = [job("c", unique_key="SendEmail:c", on_conflict=OnConflict.REPLACE), other("b")._replace(priority=7)]
        await store.insert(many)
        await store.insert([other("a")])  # the same call again changes nothing
        await store.insert([other("d", OnConflict.KEEP)])

    (entry,) = await store.audit_log(AuditQuery(action=AuditAction.REPLACE))
    assert (entry.actor, entry.target, entry.job_name) == ("token:second", "a", "SendEmail")
    assert (entry.at, entry.detail) == (clock.now(), "new params, priority 7")


async def test_a_late_job_is_not_replaced_and_has_no_entry(store: Store, clock: FakeClock) -> None:
    await store.insert([other("a")._replace(expires_after=SECOND)])
    clock.advance(MINUTE)
    with enqueuing_as("token:second"):
        assert list(await store.insert([other("b")])) == [Inserted("b", created=True)]
    assert not await store.audit_log(AuditQuery())


async def test_an_application_that_replaces_its_own_jobs_writes_no_entry(store: Store) -> None:
    await store.insert([other("a")])
    await store.insert([other("b")])
    assert not await store.audit_log(AuditQuery())


async def test_a_running_job_that_is_followed_by_another_one_has_no_entry(store: Store) -> None:
    await insert_and_claim(store, other("a"))
    with enqueuing_as("token:second"):
        assert list(await store.insert([other("b")])) == [Inserted("b", created=True)]
    assert not await store.audit_log(AuditQuery())


async def test_keys_of_limits_change_with_the_params(store: Store, clock: FakeClock) -> None:
    await store.insert([other("a")._replace(concurrency_key="one", rate_key="")])

    await store.insert([other("b")._replace(concurrency_key="two", rate_key="")])

    assert (await read(store, "a")).concurrency_key == "two"
    assert ids(await store.claim(request(CRAWL))) == ["a"]


async def test_a_job_between_two_attempts_starts_anew(store: Store, clock: FakeClock) -> None:
    await store.insert([other("a")._replace(max_attempts=2, batch_id="first")])
    before = await read(store, "a")
    (claim,) = await store.claim(request(worker_id="w1"))
    ended = Ended(Outcome.FAILED, "ValueError")
    await store.settle([Failed("a", claim.token, "boom", MINUTE, report=Report(50, "half"), ended=ended)])

    await store.insert([other("b")._replace(rate_key="r", batch_id="second")])

    due = clock.now() + MINUTE
    assert await read(store, "a") == replace(
        before, max_attempts=3, rate_key="r", batch_id="second", scheduled_for=due, updated_at=clock.now()
    )
    assert [attempt.error for attempt in await store.attempts("a")] == ["boom"]


@pytest.mark.parametrize("on_conflict", REPLACING)
async def test_of_many_jobs_with_one_key_the_last_one_wins(
    store: Store, clock: FakeClock, on_conflict: OnConflict
) -> None:
    jobs = [other(name, on_conflict)._replace(params=f'{{"n":"{name}"}}') for name in "abc"]
    jobs.insert(1, job("d", on_conflict=on_conflict))

    answers = list(await store.insert(jobs))

    first, again = Inserted("a", created=True), Inserted("a", created=False)
    assert answers == [first, Inserted("d", created=True), again, again]
    assert (await read(store, "a")).params == '{"n":"c"}'


async def test_jobs_of_one_call_may_differ(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k1"), job("b", unique_key="k2")])
    await store.claim_one("b", request())
    jobs = [
        job("c", unique_key="k1", on_conflict=OnConflict.RESCHEDULE, delay=MINUTE),
        job("d", unique_key="k2", on_conflict=OnConflict.REPLACE),
        job("e", unique_key="k3", on_conflict=OnConflict.REPLACE, params='"' + "x" * 40_000 + '"'),
        job("f", unique_key="k1"),
        job("g"),
    ]

    assert [(one.id, one.created) for one in await store.insert(jobs)] == [
        ("a", False),
        ("d", True),
        ("e", True),
        ("a", False),
        ("g", True),
    ]
    assert (await read(store, "e")).params == jobs[2].params


@pytest.mark.parametrize("on_conflict", REPLACING)
async def test_a_running_job_is_followed_by_the_new_one(
    store: Store, clock: FakeClock, on_conflict: OnConflict
) -> None:
    claim = await insert_and_claim(store, other("a"))

    assert list(await store.insert([other("b", on_conflict)._replace(params='{"n":2}')])) == [
        Inserted("b", created=True)
    ]

    assert (await read(store, "a")).replaced_by == "b"
    assert ids(await store.claim(request())) == []
    assert await store.claim_one("b", request()) is None
    assert (await store.pending_work(request())).has_due_job is False
    assert await store.count_due(request()) == 0
    assert list(await store.insert([other("c", on_conflict)._replace(params='{"n":3}')])) == [
        Inserted("b", created=False)
    ]
    assert list(await store.insert([other("d", OnConflict.KEEP)])) == [Inserted("b", created=False)]

    assert list(await store.settle([completed(claim)])) == [JobStatus.COMPLETED]

    (following,) = await store.claim(request())
    assert (following.id, following.params) == ("b", '{"n":3}')


@pytest.mark.parametrize("asked", [request(), request(CRAWL)], ids=["plain", "limited"])
async def test_a_waiting_job_does_not_block_the_jobs_behind_it(
    store: Store, clock: FakeClock, asked: ClaimRequest
) -> None:
    key = "" if asked.known[0].is_limited else None
    await store.insert([other("a")._replace(concurrency_key=key, rate_key=key)])
    await store.claim_one("a", asked)
    await store.insert(
        [
            other("b")._replace(priority=9, concurrency_key=key, rate_key=key),
            job("c")._replace(concurrency_key=key, rate_key=key),
        ]
    )

    assert ids(await store.claim(replace(asked, limit=1))) == ["c"]


async def _failed(store: Store, clock: FakeClock, claim: Claim) -> None:
    await store.settle([failed(claim, "boom", retry_after=SECOND)])


async def _failed_for_good(store: Store, clock: FakeClock, claim: Claim) -> None:
    await store.settle([failed(claim, "boom", retry_after=None)])


async def _parked(store: Store, clock: FakeClock, claim: Claim) -> None:
    await store.settle([failed(claim, f"{UNREADABLE}boom", retry_after=None)])


async def _released(store: Store, clock: FakeClock, claim: Claim) -> None:
    await store.settle([Released(claim.id, claim.token)])


async def _snoozed(store: Store, clock: FakeClock, claim: Claim) -> None:
    await store.settle([Released(claim.id, claim.token, SECOND, ended=Ended(Outcome.SNOOZED))])


async def _expired(store: Store, clock: FakeClock, claim: Claim) -> None:
    clock.advance(LEASE + SECOND)
    await store.expire(jitter=timedelta(0))


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (_failed, JobStatus.CANCELLED, "boom"),
        (_failed_for_good, JobStatus.FAILED, "boom"),
        (_parked, JobStatus.FAILED, f"{UNREADABLE}boom"),
        (_released, JobStatus.CANCELLED, "replaced by the job b"),
        (_snoozed, JobStatus.CANCELLED, "replaced by the job b"),
        (_expired, JobStatus.CANCELLED, "the worker died or stalled: its lease expired in attempt 1 of 3"),
    ],
)
async def test_a_replaced_job_is_not_tried_again_and_the_new_one_runs(
    store: Store, clock: FakeClock, end: Outcomes, status: JobStatus, error: str
) -> None:
    claim = await insert_and_claim(store, other("a"))
    await store.insert([other("b")])

    await end(store, clock, claim)

    record = await read(store, "a")
    assert (record.status, record.error, record.completed_at) == (status, error, clock.now())
    assert ids(await store.claim(request())) == ["b"]
    assert list(await store.settle([completed(claim)])) == [None]


async def test_a_retry_of_a_replaced_job_respects_the_key_of_the_new_one(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, other("a"))
    await store.insert([other("b")])
    await store.settle([failed(claim, "boom", retry_after=None)])

    assert list(await store.retry_many(["a"])) == [Retrial.DUPLICATE]
    with pytest.raises(DuplicateJobError):
        await store.retry("a")
    await store.cancel("b")
    await store.retry("a")

    record = await read(store, "a")
    assert (record.status, record.replaced_by) == (JobStatus.PENDING, None)
    assert list(await store.insert([other("c", OnConflict.KEEP)])) == [Inserted("a", created=False)]


async def test_jobs_of_one_key_never_run_together_although_the_new_one_was_cancelled(
    store: Store, clock: FakeClock
) -> None:
    claim = await insert_and_claim(store, other("a"))
    await store.insert([other("b")])
    await store.cancel("b")

    with pytest.raises(DuplicateJobError, match="a"):
        await store.start(other("c"), LEASE)
    assert list(await store.insert([other("d", OnConflict.KEEP)])) == [Inserted("d", created=True)]
    assert ids(await store.claim(request())) == []

    await store.settle([completed(claim)])
    assert ids(await store.claim(request())) == ["d"]


async def test_a_start_never_replaces_a_job(store: Store, clock: FakeClock) -> None:
    await store.insert([other("a")])

    with pytest.raises(DuplicateJobError):
        await store.start(other("b"), LEASE)

    assert (await read(store, "a")).status is JobStatus.PENDING


@pytest.mark.parametrize("on_conflict", REPLACING)
async def test_a_late_job_is_cancelled_instead_of_replaced(
    store: Store, clock: FakeClock, on_conflict: OnConflict
) -> None:
    await store.insert([other("a", on_conflict)._replace(expires_after=MINUTE)])
    clock.advance(MINUTE + SECOND)

    answers = await store.insert([other("b", on_conflict)._replace(expires_after=MINUTE)])

    assert list(answers) == [Inserted("b", created=True)]
    assert (await read(store, "a")).status is JobStatus.CANCELLED
    assert ids(await store.claim(request())) == ["b"]


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "completed"])
async def test_an_insert_that_is_repeated_after_a_lost_answer_changes_nothing(
    store: Store, clock: FakeClock, *, is_running: bool
) -> None:
    claim = await insert_and_claim(store, other("a"))
    if not is_running:
        await store.settle([completed(claim)])
        await insert_and_claim(store, other("b"))
    before = await read(store, "a"), await store.get("b")

    assert list(await store.insert([other("a")])) == [Inserted("a", created=False)]

    assert (await read(store, "a"), await store.get("b")) == before


async def test_a_finished_job_that_is_inserted_again_stays_finished(store: Store, clock: FakeClock) -> None:
    await store.settle([completed(await insert_and_claim(store, other("a")))])

    assert list(await store.insert([other("a")])) == [Inserted("a", created=False)]

    assert [one.status for one in await store.list_jobs(JobQuery())] == [JobStatus.COMPLETED]


async def test_the_jobs_of_a_schedule_keep_the_job_with_their_key(store: Store, clock: FakeClock) -> None:
    await store.save_schedules([schedule()])
    await store.insert([other("a")._replace(params='{"n":1}')])
    slots = firing(clock.now(), next_run_at=clock.now() + MINUTE, unique_key=KEY)

    assert list(await store.fire(slots)) == [False]

    assert (await read(store, "a")).params == '{"n":1}'


async def test_finished_and_replaced_jobs_stay_as_they_are_when_their_key_is_taken(
    store: Store, clock: FakeClock
) -> None:
    await store.settle([completed(await insert_and_claim(store, other("a")))])
    finished = await read(store, "a")
    running = await insert_and_claim(store, other("b"))
    await store.insert([other("c")])
    before = [finished, await read(store, "b")]
    clock.advance(SECOND)

    await store.insert([other("d")])
    assert [await read(store, job_id) for job_id in "ab"] == before

    await store.settle([completed(running)])
    before = [await read(store, job_id) for job_id in "ab"]
    assert ids(await store.claim(request())) == ["c"]
    clock.advance(SECOND)

    await store.insert([other("e")])
    assert [await read(store, job_id) for job_id in "ab"] == before
    assert ((await read(store, "c")).replaced_by, (await read(store, "c")).updated_at) == ("e", clock.now())


async def test_only_a_running_job_that_was_replaced_delays_the_start_of_another_one(
    store: Store, clock: FakeClock
) -> None:
    others = [job(f"{key}1", unique_key=f"SendEmail:{key}", on_conflict=OnConflict.REPLACE) for key in "az"]
    running = [await insert_and_claim(store, new) for new in (other("before"), *others)]
    await store.insert([other("b"), *(new._replace(id=f"{new.id}, next") for new in others)])
    await store.settle([completed(running[0])])
    replaced = await store.claim_one("b", request())
    assert replaced is not None
    await store.insert([other("c")])
    await store.cancel("c")
    with pytest.raises(DuplicateJobError) as refused:
        await store.start(other("d", OnConflict.KEEP), LEASE)
    assert refused.value.job_id == "b"
    await store.start(job("e", unique_key="SendEmail:e"), LEASE)

    await store.settle([completed(replaced)])

    assert (await store.start(other("d", OnConflict.KEEP), LEASE)).id == "d"
