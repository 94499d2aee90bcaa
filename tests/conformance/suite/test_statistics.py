"""Numbers about queues and jobs: states, counts of outcomes, and groups of failures."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from server_jobs.domain.ids import slot_job_id
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import UNREADABLE, Ended, Failed, NewJob, Outcome
from server_jobs.domain.record.reports import COUNT_RETENTION, Counts, JobCounts
from server_jobs.domain.statistics import ENQUEUE_WINDOW, EnqueuedCount, FailureGroup, MinuteCounts, QueueState
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import MILLISECOND, SECOND, START, completed, insert_and_claim, job

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


async def test_the_failed_jobs_of_a_state_have_their_own_bound(store: Store) -> None:
    for number in range(3):
        await fail(store, f"parked {number}", f"{UNREADABLE}no", "InvalidParamsError")
    await store.insert([job(f"due {number}", queue="mail", scheduled_for=START) for number in range(3)])

    (state,) = await store.queue_states(most_failed=2)
    assert (state.due, state.failed, state.parked) == (3, 2, 2)
    (state,) = await store.queue_states(most=2, most_failed=1)
    assert (state.due, state.failed, state.parked) == (2, 1, 1)


def enqueued(at: datetime, name: str = "SendEmail", *, queue: str = "default", key: str = "") -> NewJob:
    """Return a job whose id has this time."""
    return job(slot_job_id(f"{queue} {name} {key}", at), name, queue=queue)


async def test_jobs_of_the_last_minute_are_counted_by_queue_and_name(store: Store, clock: FakeClock) -> None:
    assert await store.enqueued_counts() == []
    await store.insert([enqueued(START, key=f"{number}") for number in range(3)])
    clock.advance(ENQUEUE_WINDOW - MILLISECOND)
    now = clock.now()
    mail, rows = enqueued(now, queue="mail"), enqueued(now, "ImportCsv")
    await store.insert([mail, rows, rows])
    await store.settle([completed(await insert_and_claim(store, enqueued(now, "ImportCsv", key="done")))])
    deleted = enqueued(now, key="deleted")
    await store.insert([deleted])
    await store.delete([deleted.id], by="ann")

    recent = [EnqueuedCount("default", "ImportCsv", 2), EnqueuedCount("mail", "SendEmail", 1)]
    assert await store.enqueued_counts() == [recent[0], EnqueuedCount("default", "SendEmail", 3), recent[1]]
    clock.advance(MILLISECOND)
    assert await store.enqueued_counts() == recent
    clock.advance(ENQUEUE_WINDOW)
    assert await store.enqueued_counts() == []


async def test_the_time_of_the_database_decides_which_jobs_are_recent(store: Store, clock: FakeClock) -> None:
    """Clocks of machines differ by up to a minute, so that ids are older or newer than their rows."""
    late, early = START - MINUTE, START + MINUTE
    await store.insert([enqueued(late), enqueued(early)])

    clock.advance(ENQUEUE_WINDOW - MILLISECOND)
    assert await store.enqueued_counts() == [EnqueuedCount("default", "SendEmail", 2)]
    clock.advance(MILLISECOND)
    assert await store.enqueued_counts() == []


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
