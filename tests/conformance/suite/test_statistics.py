"""Numbers about queues and jobs: states, counts of outcomes, and groups of failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import UNREADABLE, Ended, Failed, Outcome
from server_jobs.domain.statistics import COUNT_RETENTION, Counts, FailureGroup, JobCounts, MinuteCounts, QueueState
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import SECOND, START, completed, insert_and_claim, job

MINUTE = timedelta(minutes=1)


async def fail(
    store: Store, job_id: str, error: str, error_class: str | None, *, name: str = "SendEmail", queue: str = "mail"
) -> None:
    claim = await insert_and_claim(store, job(job_id, name, queue=queue))
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
        QueueState(
            queue="default", job_name="ImportCsv", due=1, oldest_due_at=START, oldest_due_id="f", versions=((2, 1),)
        ),
        QueueState(
            queue="default",
            job_name="SendEmail",
            due=3,
            oldest_due_at=START - 2 * SECOND,
            oldest_due_id="d",
            scheduled=1,
            running=1,
            versions=((1, 4),),
        ),
        QueueState(queue="mail", job_name="SendEmail", scheduled=1, failed=2, parked=1, versions=((1, 1),)),
    ]


async def test_counts_of_a_state_end_at_their_bound_and_the_oldest_job_is_exact(store: Store) -> None:
    later = START + SECOND
    await fail(store, "failed 1", "no", "ValueError")
    await fail(store, "failed 2", "no", "KeyError")
    await fail(store, "failed 3", "no", None)
    await store.insert(
        [
            *(job(f"due {number}", scheduled_for=START - number * SECOND) for number in range(3)),
            *(job(f"urgent {number}", priority=9, spec_version=2, scheduled_for=later) for number in range(3)),
            job("old", priority=-9, scheduled_for=START - 9 * SECOND),
        ]
    )

    mail = QueueState(queue="mail", job_name="SendEmail", failed=2)
    default = QueueState(
        queue="default",
        job_name="SendEmail",
        due=2,
        oldest_due_at=START - 9 * SECOND,
        oldest_due_id="old",
        scheduled=2,
        versions=((1, 2), (2, 2)),
    )
    assert await store.queue_states(most=2) == [default, mail]
    assert await store.queue_states() == [
        replace(default, due=4, scheduled=3, versions=((1, 4), (2, 3))),
        replace(mail, failed=3),
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


async def test_groups_of_failures_in_some_queues_and_up_to_a_bound(store: Store) -> None:
    await fail(store, "a", "first", "ValueError")
    await fail(store, "b", "second", "ValueError", queue="slow")
    await fail(store, "c", "third", "ValueError")

    async def found(queues: tuple[str, ...] | None, most: int | None = None) -> list[tuple[int, str]]:
        return [(group.count, group.newest_id) for group in await store.failure_groups(queues=queues, most=most)]

    assert await found(None) == [(3, "c")]
    assert await found(("slow", "none")) == [(1, "b")]
    assert await found(("mail",)) == [(2, "c")]
    assert await found(("mail",), most=1) == [(1, "c")]
    assert await found(()) == []
