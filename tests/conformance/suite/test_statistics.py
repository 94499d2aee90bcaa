"""Numbers about queues and jobs: states, counts of outcomes, and groups of failures."""

from __future__ import annotations

from datetime import timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import UNREADABLE, Ended, Failed, Outcome
from server_jobs.domain.statistics import COUNT_RETENTION, Counts, FailureGroup, JobCounts, MinuteCounts, QueueState
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import SECOND, START, completed, insert_and_claim, job

MINUTE = timedelta(minutes=1)


async def fail(store: Store, job_id: str, error: str, error_class: str | None, *, name: str = "SendEmail") -> None:
    claim = await insert_and_claim(store, job(job_id, name, queue="mail"))
    await store.settle([Failed(claim.id, claim.token, error, None, ended=Ended(Outcome.FAILED, error_class))])


async def test_the_state_of_each_queue_and_name(store: Store, clock: FakeClock) -> None:
    assert await store.queue_states() == []
    await store.insert(
        [
            job("a", scheduled_for=START - SECOND),
            job("b", scheduled_for=START),
            job("c", scheduled_for=START + SECOND),
            job("d", priority=3, scheduled_for=START - 2 * SECOND, concurrency_key="", rate_key=""),
            job("e", queue="mail", scheduled_for=START + SECOND),
            job("f", "ImportCsv", spec_version=2, scheduled_for=START),
        ]
    )
    await insert_and_claim(store, job("running"))
    await store.settle([completed(await insert_and_claim(store, job("done")))])
    await fail(store, "failed", "no", "ValueError")
    await fail(store, "parked", f"{UNREADABLE}no", "InvalidParamsError")

    assert await store.queue_states() == [
        QueueState(queue="default", job_name="ImportCsv", due=1, oldest_due_at=START),
        QueueState(
            queue="default", job_name="SendEmail", due=3, oldest_due_at=START - 2 * SECOND, scheduled=1, running=1
        ),
        QueueState(queue="mail", job_name="SendEmail", scheduled=1, failed=2, parked=1),
    ]


async def test_outcomes_are_counted_per_minute_and_in_total(store: Store, clock: FakeClock) -> None:
    await store.add_counts([])
    assert await store.finished_counts(since=None) == await store.finished_counts(since=START) == []
    await store.add_counts([JobCounts("mail", "SendEmail", Counts(3, 1, 2)), JobCounts("a", "B", Counts(1))])
    await store.add_counts([JobCounts("mail", "SendEmail", Counts(1, 0, 5))])
    clock.advance(MINUTE)
    await store.add_counts([JobCounts("mail", "SendEmail", Counts(0, 1))])

    assert await store.finished_counts(since=START) == [
        MinuteCounts(START, "a", "B", Counts(1)),
        MinuteCounts(START, "mail", "SendEmail", Counts(4, 1, 7)),
        MinuteCounts(START + MINUTE, "mail", "SendEmail", Counts(0, 1)),
    ]
    assert len(await store.finished_counts(since=START + SECOND)) == 1
    assert await store.finished_counts(since=None) == [
        MinuteCounts(None, "a", "B", Counts(1)),
        MinuteCounts(None, "mail", "SendEmail", Counts(4, 2, 7)),
    ]


async def test_counts_of_a_minute_are_forgotten_and_totals_are_not(store: Store, clock: FakeClock) -> None:
    await store.add_counts([JobCounts("mail", "SendEmail", Counts(3))])
    clock.advance(COUNT_RETENTION)
    assert await store.forget_counts() == 0
    clock.advance(SECOND)
    assert await store.forget_counts() == 1

    assert await store.finished_counts(since=START) == []
    assert len(await store.finished_counts(since=None)) == 1


async def test_failures_are_grouped_by_name_and_class(store: Store, clock: FakeClock) -> None:
    assert await store.failure_groups() == []
    await fail(store, "a", "first", "ValueError")
    await fail(store, "b", "unknown", None)
    clock.advance(SECOND)
    await fail(store, "c", "second", "ValueError")
    await fail(store, "d", "other", "ValueError", name="ImportCsv")
    await store.settle([completed(await insert_and_claim(store, job("done")))])

    def group(name: str, error_class: str | None, count: int, newest: str, error: str, after: int) -> FailureGroup:
        return FailureGroup(
            job_name=name,
            error_class=error_class,
            count=count,
            newest_id=newest,
            error=error,
            failed_at=START + after * SECOND,
        )

    assert await store.failure_groups() == [
        group("ImportCsv", "ValueError", 1, "d", "other", 1),
        group("SendEmail", None, 1, "b", "unknown", 0),
        group("SendEmail", "ValueError", 2, "c", "second", 1),
    ]
