"""Batches: counts, and the completion job that becomes due once, after every job of the batch has finished."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import (
    WAITS,
    JobFilter,
    JobQuery,
    JobStatus,
    PendingWork,
    PruneRule,
    PruneStep,
    Released,
    Repair,
)
from server_jobs.domain.statistics import BatchCounts
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    IMPORT,
    SECOND,
    SEND,
    batch,
    claim_on,
    completed,
    failed,
    finish,
    ids,
    job,
    read,
    reclaim,
    request,
)

FINISHED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
BOTH = request(SEND, IMPORT)


async def end(store: Store, job_id: str, status: JobStatus = JobStatus.COMPLETED) -> None:
    """Run a job of one of the two names to this status."""
    claim = await store.claim_one(job_id, BOTH)
    assert claim is not None
    await finish(store, claim, status)


async def test_a_batch_counts_its_jobs_by_status_without_its_completion_job(store: Store, clock: FakeClock) -> None:
    await store.insert([*batch("a", "b", "c", "d", "e"), *batch("x", batch_id="other"), job("alone")])
    await end(store, "a", JobStatus.COMPLETED)
    await end(store, "b", JobStatus.FAILED)
    await end(store, "c", JobStatus.CANCELLED)
    await reclaim(store, "d")

    counts = await store.count_batch("batch")

    assert counts is not None
    assert counts == BatchCounts(pending=1, running=1, completed=1, failed=1, cancelled=1)
    assert (counts.total, counts.unfinished, counts.finished, counts.percent) == (5, 2, 3, 60)
    assert await store.count_batch("other") == BatchCounts(pending=1)


async def test_an_unknown_batch_has_no_counts(store: Store, clock: FakeClock) -> None:
    await store.insert([job("alone")])

    assert [await store.count_batch(batch_id) for batch_id in ("alone", "unknown", "\0")] == [None, None, None]
    assert list(await store.batch_jobs("unknown", "SendEmail")) == []


async def test_the_jobs_of_a_batch_are_found_in_the_order_of_their_ids(store: Store, clock: FakeClock) -> None:
    await store.insert([*batch("c", "a", "b"), *batch("x", batch_id="other")])
    await end(store, "a")

    assert list(await store.batch_jobs("batch", "SendEmail")) == ["a", "b", "c"]
    assert list(await store.batch_jobs("batch", "ImportCsv")) == []


async def test_a_filter_finds_the_jobs_of_a_batch(store: Store, clock: FakeClock) -> None:
    await store.insert([*batch("a", "b", "c"), *batch("x", batch_id="other"), job("alone")])
    await end(store, "b", JobStatus.FAILED)

    assert ids(await store.list_jobs(JobQuery(batch_id="batch"))) == ["c", "b", "a"]
    page = await store.find_page(JobQuery(batch_id="batch", limit=2))
    assert ([one.id for one in page.jobs], page.next) == (["c", "b"], "b")
    failures = await store.find_page(JobQuery(batch_id="batch", status=JobStatus.FAILED))
    assert [one.id for one in failures.jobs] == ["b"]
    await store.cancel_many(["a", "x", "batch"], among=JobFilter(batch_id="batch"))
    statuses = [(await read(store, job_id)).status for job_id in ("a", "x", "batch")]
    assert statuses == [JobStatus.CANCELLED, JobStatus.PENDING, JobStatus.PENDING]


async def test_a_claim_has_the_batch_of_its_job(store: Store, clock: FakeClock) -> None:
    await store.insert([*batch("a", "b"), job("c")])

    claims = {one.id: one.batch_id for one in await store.claim(request())}

    assert claims == {"a": "batch", "b": "batch", "c": None}


async def test_a_completion_job_waits_until_every_job_has_finished(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a", "b", "c"))
    for job_id, status in zip(("a", "b", "c"), FINISHED, strict=True):
        assert list(await store.end_batches()) == []
        assert list(await store.claim(request(IMPORT))) == []
        clock.advance(SECOND)
        await end(store, job_id, status)

    assert list(await store.claim(request(IMPORT))) == []
    assert list(await store.end_batches()) == ["batch"]

    record = await read(store, "batch")
    assert (record.scheduled_for, record.updated_at, record.waits_for_batch) == (clock.now(), clock.now(), False)
    assert ids(await store.claim(request(IMPORT))) == ["batch"]


async def test_a_running_job_has_not_finished(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    claim = await reclaim(store, "a")
    assert list(await store.end_batches()) == []
    assert list(await store.end_batches(["batch"])) == []
    assert await store.count_batch("batch") == BatchCounts(running=1)
    assert list(await store.batch_jobs("batch", claim.job_name)) == ["a"]
    assert [job.id for job in (await store.find_page(JobQuery(batch_id="batch"))).jobs] == ["a"]


async def test_a_job_between_two_attempts_has_not_finished(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await store.settle([failed(await reclaim(store, "a"), retry_after=timedelta(days=1))])
    assert list(await store.end_batches()) == []

    claim = await reclaim(store, "a")
    await store.settle([Released(id="a", token=claim.token)])
    assert list(await store.end_batches()) == []


async def test_a_batch_ends_once(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await end(store, "a", JobStatus.FAILED)
    assert list(await store.end_batches()) == ["batch"]
    assert list(await store.end_batches()) == []
    await store.retry("a")
    await end(store, "a")
    assert list(await store.end_batches()) == []

    await end(store, "batch")
    assert list(await store.end_batches()) == []


async def test_only_the_given_batches_end(store: Store, clock: FakeClock) -> None:
    await store.insert([*batch("a"), *batch("b", batch_id="second"), *batch("c", batch_id="third")])
    for job_id in ("a", "b"):
        await end(store, job_id)

    assert list(await store.end_batches([])) == []
    assert list(await store.end_batches(["third", "second", "unknown", "\0"])) == ["second"]
    assert list(await store.end_batches()) == ["batch"]


async def test_a_batch_without_jobs_ends_at_once(store: Store, clock: FakeClock) -> None:
    await store.insert(batch())

    assert await store.count_batch("batch") == BatchCounts()
    assert list(await store.end_batches()) == ["batch"]


async def test_a_batch_without_completion_job_ends_silently(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a", then=False))
    await end(store, "a")

    assert list(await store.end_batches()) == []
    assert await store.count_batch("batch") == BatchCounts(completed=1)


async def test_deleted_jobs_do_not_keep_a_batch_open(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a", "b", "c"))
    await end(store, "a")
    await store.delete(["b"])
    await end(store, "c")
    clock.advance(timedelta(days=2))
    rules = (PruneRule(status=JobStatus.COMPLETED, age=timedelta(days=1)),)
    assert (await store.prune(PruneStep(rules=rules))).count == 2

    assert await store.count_batch("batch") == BatchCounts()
    assert list(await store.end_batches()) == ["batch"]


async def test_a_cancelled_batch_ends_when_its_running_jobs_have_stopped(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a", "b"))
    claim = await reclaim(store, "a")
    await store.cancel_many(["a", "b"])
    assert list(await store.end_batches()) == []

    await store.settle([failed(claim)])

    assert list(await store.end_batches()) == ["batch"]


async def test_an_expired_lease_of_the_last_attempt_ends_a_batch(store: Store, clock: FakeClock) -> None:
    await store.insert([one._replace(max_attempts=1) for one in batch("a")])
    await reclaim(store, "a")
    clock.advance(timedelta(hours=1))
    await store.expire(jitter=timedelta(0))

    assert list(await store.end_batches()) == ["batch"]


async def test_a_cancelled_completion_job_stays_cancelled(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await store.cancel("batch")
    await end(store, "a")

    assert list(await store.end_batches()) == []
    assert (await read(store, "batch")).status is JobStatus.CANCELLED


async def test_a_completion_job_that_is_retried_before_the_end_waits_again(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await store.cancel("batch")
    await store.retry("batch")
    assert (await read(store, "batch")).scheduled_for == WAITS
    assert list(await store.claim(request(IMPORT))) == []

    await end(store, "a")

    assert list(await store.end_batches()) == ["batch"]


async def test_a_completion_job_that_is_repaired_before_the_end_waits_on(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await store.repair(Repair(instead_of=await read(store, "batch"), params='{"b": 2}', spec_version=1))

    record = await read(store, "batch")
    assert (record.params, record.scheduled_for) == ('{"b": 2}', WAITS)


async def test_a_retry_after_the_end_makes_a_completion_job_due(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await end(store, "a")
    await store.end_batches()
    await end(store, "batch", JobStatus.FAILED)
    clock.advance(SECOND)

    await store.retry("batch")

    assert (await read(store, "batch")).scheduled_for == clock.now()


async def test_a_completion_job_that_ran_early_by_hand_does_not_run_again(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    claim = await store.claim_one("batch", request(IMPORT))
    assert claim is not None
    await store.settle([completed(claim_on(await read(store, "batch")))])
    await end(store, "a")

    assert list(await store.end_batches()) == []


async def test_an_ended_batch_is_pending_work(store: Store, clock: FakeClock) -> None:
    await store.insert(batch("a"))
    await reclaim(store, "a")
    nothing = PendingWork(has_expired=False, has_due_schedule=False, has_due_job=False)
    assert await store.pending_work(request(IMPORT)) == nothing
    await store.settle([completed(claim_on(await read(store, "a")))])

    found = await store.pending_work(request(IMPORT))

    assert (found.has_ended_batch, found.has_due_job) == (True, False)
    await store.end_batches()
    found = await store.pending_work(request(IMPORT))
    assert (found.has_ended_batch, found.has_due_job) == (False, True)


async def test_a_duplicate_belongs_to_the_batch_that_stored_it(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", unique_key="k", batch_id="first")])

    answers = await store.insert([job("b", unique_key="k", batch_id="second"), *batch("c", batch_id="second")])

    assert [(one.id, one.created) for one in answers] == [("a", False), ("c", True), ("second", True)]
    assert await store.count_batch("first") == BatchCounts(pending=1)
    assert await store.count_batch("second") == BatchCounts(pending=1)
    await end(store, "c")
    assert list(await store.end_batches()) == ["second"]


async def test_many_jobs_of_a_batch_are_counted(store: Store, clock: FakeClock) -> None:
    await store.insert(batch(*(f"{number:04}" for number in range(1500))))
    await store.settle([completed(one) for one in await store.claim(request())])

    assert await store.count_batch("batch") == BatchCounts(pending=1490, completed=10)
