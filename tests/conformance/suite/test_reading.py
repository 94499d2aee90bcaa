"""Reading jobs: one by its id, pages of a list, counts, and the next due time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from server_jobs.domain.interfaces import Row, Statement, Store, Value
from server_jobs.domain.options import ConcurrencyLimit
from server_jobs.domain.record import (
    UNREADABLE,
    ClaimRequest,
    Heartbeat,
    JobCount,
    JobQuery,
    JobStatus,
    JobSummary,
    KnownJob,
    PendingWork,
    PruneRule,
    UpcomingWork,
)
from server_jobs.errors import InvalidOptionError, JobNotFoundError
from server_jobs.stores.sql.parameters import EPOCH
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from server_jobs.testing.conformance.examples import (
    IMPORT,
    LEASE,
    MILLISECOND,
    SECOND,
    SEND,
    START,
    completed,
    failed,
    firing,
    ids,
    insert_and_claim,
    job,
    request,
    schedule,
)

UNSTORABLE = ["\0", "a\0b", "\ud800", "a\udfffb"]


async def test_an_unknown_id_is_answered_with_none(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])

    assert await store.get("A") is None
    assert await store.get("a%") is None
    assert await store.get("") is None


async def test_jobs_are_listed_newest_id_first(store: Store, clock: FakeClock) -> None:
    await store.insert([job("b"), job("d"), job("a"), job("c")])

    assert ids(await store.list_jobs(JobQuery())) == ["d", "c", "b", "a"]


async def test_a_list_is_filtered_by_each_of_its_columns_and_by_all_of_them(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job("a"),
            job("b", "ImportCsv"),
            job("c", queue="slow"),
            job("d", correlation_id="x"),
            job("e", "ImportCsv", queue="slow", correlation_id="x"),
        ]
    )
    await store.claim(request(IMPORT, limit=1))

    assert ids(await store.list_jobs(JobQuery(status=JobStatus.RUNNING))) == ["b"]
    assert ids(await store.list_jobs(JobQuery(job_name="ImportCsv"))) == ["e", "b"]
    assert ids(await store.list_jobs(JobQuery(queues=("slow",)))) == ["e", "c"]
    assert ids(await store.list_jobs(JobQuery(queues=("slow", "none")))) == ["e", "c"]
    assert ids(await store.list_jobs(JobQuery(queues=("slow",), job_name="SendEmail"))) == ["c"]
    assert await store.list_summaries(JobQuery(queues=())) == []
    assert ids(await store.list_jobs(JobQuery(correlation_id="x"))) == ["e", "d"]
    everything = JobQuery(status=JobStatus.PENDING, job_name="ImportCsv", queues=("slow",), correlation_id="x")
    assert ids(await store.list_jobs(everything)) == ["e"]
    assert ids(await store.list_jobs(JobQuery(status=JobStatus.FAILED))) == []


async def test_a_filter_is_compared_as_a_whole_and_never_as_a_pattern(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", correlation_id="order_1"), job("b", correlation_id="order%"), job("c")])

    assert ids(await store.list_jobs(JobQuery(correlation_id="order%"))) == ["b"]
    assert ids(await store.list_jobs(JobQuery(correlation_id="_rder_1"))) == []
    assert ids(await store.list_jobs(JobQuery(job_name="sendemail"))) == []
    assert ids(await store.list_jobs(JobQuery(job_name="' OR ''='"))) == []


async def test_pages_follow_each_other_without_gaps_while_jobs_are_added(store: Store, clock: FakeClock) -> None:
    await store.insert([job(f"{number:02}") for number in range(10)])

    first = ids(await store.list_jobs(JobQuery(limit=4)))
    await store.insert([job("99")])
    second = ids(await store.list_jobs(JobQuery(limit=4, before=first[-1])))
    third = ids(await store.list_jobs(JobQuery(limit=4, before=second[-1])))

    assert [first, second, third] == [["09", "08", "07", "06"], ["05", "04", "03", "02"], ["01", "00"]]
    assert ids(await store.list_jobs(JobQuery(limit=4, before="00"))) == []


async def test_a_summary_says_where_a_job_is_as_its_record_does(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("run", "ImportCsv", queue="slow", priority=7, max_attempts=5))
    await store.renew([Heartbeat(id="run", token=claim.token, progress=40, message="half")], LEASE)
    await store.settle([completed(await insert_and_claim(store, job("done")))])
    await store.settle([failed(await insert_and_claim(store, job("bad")), retry_after=None)])
    await store.settle([failed(await insert_and_claim(store, job("parked")), f"{UNREADABLE}no", retry_after=None)])
    await store.insert([job("later", scheduled_for=START + SECOND)])

    records = await store.list_jobs(JobQuery())
    summaries = await store.list_summaries(JobQuery())

    assert list(summaries) == [record.summary for record in records]
    assert [await store.summary(record.id) for record in records] == list(summaries)
    assert [summary.id for summary in summaries if summary.is_parked] == ["parked"]
    (run,) = await store.list_summaries(JobQuery(status=JobStatus.RUNNING, queues=("slow",), job_name="ImportCsv"))
    assert (run.id, run.progress, run.progress_message, run.attempt_count) == ("run", 40, "half", 1)
    assert [one.id for one in await store.list_summaries(JobQuery(before="later", limit=1))] == ["done"]
    assert [one.id for one in await store.list_summaries(JobQuery(parked=True))] == ["parked"]
    assert await store.summary("nobody") is None


async def test_a_summary_reads_nothing_that_may_be_long(store: Store, clock: FakeClock) -> None:
    claim = await insert_and_claim(store, job("a", params='{"text":"%s"}' % ("x" * 900_000)))
    await store.settle([completed(claim, '"%s"' % ("y" * 900_000))])
    claim = await insert_and_claim(store, job("b"))
    await store.settle([failed(claim, "z" * 60_000, retry_after=None)])
    if not isinstance(store, SqlStore):
        assert not {"params", "result", "error"} & {field.name for field in fields(JobSummary)}
        return
    read: list[Row] = []
    run = store.database.run

    async def noted(*calls: tuple[Statement, Mapping[str, Value]]) -> Sequence[Sequence[Row]]:
        answers = await run(*calls)
        # Also while another task announces jobs to other processes.
        read.extend(
            row
            for (statement, _), rows in zip(calls, answers, strict=True)
            if "FROM jobs" in statement.sql
            for row in rows
        )
        return answers

    with patch.object(store.database, "run", noted):
        assert [one.id for one in await store.list_summaries(JobQuery())] == ["b", "a"]
        assert await store.summary("a") is not None

    assert len(read) == 3
    assert all(len(str(list(row.values()))) < 1_000 for row in read)


async def test_a_list_of_a_status_with_few_jobs_reads_no_others(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b", "ImportCsv"), job("c")])
    await store.claim(request(IMPORT, limit=1))
    running = JobQuery(status=JobStatus.RUNNING)
    if not isinstance(store, SqlStore):
        assert ids(await store.list_jobs(running)) == ["b"]
        return
    with patch.object(store.database, "run", wraps=store.database.run) as run:
        assert ids(await store.list_jobs(running)) == ["b"]
    calls = [parameters for call in run.call_args_list for _, parameters in call.args]
    assert [parameters["ids"] for parameters in calls if "ids" in parameters] == ['["b"]']


async def test_bytes_of_another_program_are_read_as_text(store: Store, clock: FakeClock) -> None:
    if not isinstance(store, SqlStore) or store.name == "postgresql":
        return  # no other type is stored there
    await store.insert([job("a", params='{"text":"\u00e9"}', correlation_id="x"), job("b")])
    bytes_ = "params = CAST(params AS BLOB), correlation_id = CAST(correlation_id AS BLOB), created_at = x'3132'"
    await store.database.run((Statement(f"UPDATE jobs SET {bytes_} WHERE id = 'a'", writes=True), {}))

    records = {record.id: record for record in await store.list_jobs(JobQuery())}
    claims = {claim.id: claim.params for claim in await store.claim(request())}

    assert (records["a"].params, records["a"].correlation_id) == ('{"text":"\u00e9"}', "x")
    assert records["a"].created_at == EPOCH + 12 * MILLISECOND
    assert claims == {one.id: one.params for one in records.values()}


@pytest.mark.parametrize("limit", [0, -1, 1001, 2.5, True, "10"])
def test_a_page_has_1_to_1000_jobs(limit: int) -> None:
    with pytest.raises(InvalidOptionError, match=f"limit must be a whole number between 1 and 1000, not {limit!r}"):
        JobQuery(limit=limit)


@pytest.mark.parametrize("text", UNSTORABLE)
async def test_an_id_that_no_database_can_store_is_never_found(store: Store, clock: FakeClock, text: str) -> None:
    await store.insert([job("a")])

    assert await store.get(text) is None
    assert await store.summary(text) is None
    assert await store.claim_one(text, request()) is None
    assert not await store.enable_schedule(text, enabled=True)
    for call in (store.cancel(text), store.retry(text)):
        with pytest.raises(JobNotFoundError):
            await call


@pytest.mark.parametrize("text", UNSTORABLE)
def test_impossible_values_are_refused_by_claims_and_pruning(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="queues must not contain NUL characters or lone surrogates, and is '"):
        request(queues=("default", text))
    with pytest.raises(
        InvalidOptionError, match="job_name must not contain NUL characters or lone surrogates, and is '"
    ):
        PruneRule(status=JobStatus.FAILED, age=timedelta(0), job_name=text)


@pytest.mark.parametrize("text", UNSTORABLE)
@pytest.mark.parametrize("name", ["job_name", "error_class", "worker_id", "correlation_id", "before"])
def test_a_filter_that_no_job_can_fit_is_refused(name: str, text: str) -> None:
    given: dict[str, Any] = {name: text}
    with pytest.raises(
        InvalidOptionError, match=f"^{name} must not contain NUL characters or lone surrogates, and is '"
    ):
        JobQuery(**given)


async def test_jobs_are_counted_by_name_and_status(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a"), job("b"), job("c", "ImportCsv")])
    await store.settle([completed(await insert_and_claim(store, job("d")))])

    assert list(await store.count_jobs()) == [
        JobCount("ImportCsv", JobStatus.PENDING, 1),
        JobCount("SendEmail", JobStatus.COMPLETED, 1),
        JobCount("SendEmail", JobStatus.PENDING, 2),
    ]


async def test_jobs_are_counted_since_the_time_they_were_created(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    clock.advance(SECOND)
    await store.insert([job("b")])

    assert list(await store.count_jobs(since=START + SECOND)) == [JobCount("SendEmail", JobStatus.PENDING, 1)]
    assert list(await store.count_jobs(since=START)) == [JobCount("SendEmail", JobStatus.PENDING, 2)]
    assert list(await store.count_jobs(since=START + SECOND + MILLISECOND)) == []


async def test_only_the_newest_jobs_are_counted_on_request(store: Store, clock: FakeClock) -> None:
    await store.settle([completed(await insert_and_claim(store, job("a")))])
    await store.insert([job("b")])
    clock.advance(SECOND)
    await store.insert([job("c"), job("d")])

    pending = JobCount("SendEmail", JobStatus.PENDING, 3)
    assert list(await store.count_jobs(newest=2)) == [replace(pending, count=2)]
    assert list(await store.count_jobs(newest=3)) == [pending]
    assert list(await store.count_jobs(newest=4)) == [JobCount("SendEmail", JobStatus.COMPLETED, 1), pending]
    assert list(await store.count_jobs(newest=9)) == list(await store.count_jobs())
    assert list(await store.count_jobs(newest=3, since=START + SECOND)) == [replace(pending, count=2)]


async def test_due_jobs_are_counted_as_a_claim_would_see_them(store: Store, clock: FakeClock) -> None:
    await store.insert(
        [
            job("a"),
            job("b"),
            job("c", queue="slow"),
            job("later", delay=SECOND),
            job("unknown", "Vacuum"),
            job("version", spec_version=2),
        ]
    )
    await insert_and_claim(store, job("running"))

    assert await store.count_due(request(limit=1)) == 3
    assert await store.count_due(request(KnownJob("SendEmail", 1, ConcurrencyLimit(limit=1)))) == 3
    assert await store.count_due(request(queues=("slow",))) == 1
    assert await store.count_due(request(IMPORT)) == 0
    clock.advance(SECOND)
    assert await store.count_due(request(limit=1)) == 4


async def test_the_wait_for_the_next_due_job_is_known(store: Store, clock: FakeClock) -> None:
    assert await store.upcoming_work(request()) == UpcomingWork()
    await store.insert([job("a", delay=timedelta(minutes=5)), job("b", delay=timedelta(minutes=3), priority=-1)])
    await store.insert([job("unknown", "Vacuum"), job("slow", queue="slow", delay=SECOND)])
    clock.advance(timedelta(minutes=1))

    two = timedelta(minutes=2)
    assert await store.upcoming_work(request(queues=("default",))) == UpcomingWork(until_due=two, until_later=two)
    assert await store.upcoming_work(request(IMPORT)) == UpcomingWork()

    clock.advance(two)
    work = UpcomingWork(until_due=timedelta(0), until_later=two)
    assert await store.upcoming_work(request(queues=("default",))) == work
    clock.advance(timedelta(minutes=5))
    assert await store.upcoming_work(request(SEND)) == UpcomingWork(until_due=timedelta(0))


async def test_the_wait_for_the_end_of_the_next_lease_is_known(store: Store, clock: FakeClock) -> None:
    await insert_and_claim(store, job("a"))
    clock.advance(SECOND)
    claim = await insert_and_claim(store, job("b"))

    assert await store.upcoming_work(request()) == UpcomingWork(until_lease_end=LEASE - SECOND)
    assert await store.count_due(request()) == 0
    for other in (request(IMPORT), request(KnownJob("SendEmail", 2)), request(queues=("slow",))):
        assert await store.upcoming_work(other) == UpcomingWork()

    clock.advance(LEASE - SECOND + MILLISECOND)
    assert await store.upcoming_work(request(queues=("default",))) == UpcomingWork(until_lease_end=timedelta(0))
    await store.expire(jitter=timedelta(0))
    await store.settle([completed(claim)])
    assert await store.upcoming_work(request()) == UpcomingWork(until_due=timedelta(0))


async def test_the_wait_for_the_next_slot_of_a_schedule_is_known(store: Store, clock: FakeClock) -> None:
    minute = timedelta(minutes=1)
    await store.save_schedules([schedule("s0", name="disabled", enabled=False), schedule("s1")])
    assert await store.upcoming_work(request()) == UpcomingWork(until_slot=timedelta(0))

    await store.fire(firing(next_run_at=START + minute))
    assert await store.upcoming_work(request()) == UpcomingWork(until_slot=minute)
    assert await store.upcoming_work(request(IMPORT)) == UpcomingWork()

    clock.advance(2 * minute)
    assert await store.upcoming_work(request()) == UpcomingWork(until_slot=timedelta(0))


async def test_an_open_store_answers_a_ping_and_can_be_opened_twice(store: Store, clock: FakeClock) -> None:
    await store.open()
    await store.ping()


CRAWL = KnownJob("Crawl", 1, concurrency=ConcurrencyLimit(limit=1))
NOTHING = PendingWork(has_expired=False, has_due_schedule=False, has_due_job=False)
DUE_JOB = PendingWork(has_expired=False, has_due_schedule=False, has_due_job=True)


@pytest.mark.parametrize("asked", [request(), request(CRAWL), request(SEND, CRAWL)], ids=["plain", "limited", "both"])
async def test_an_empty_store_has_nothing_to_do(store: Store, clock: FakeClock, asked: ClaimRequest) -> None:
    assert await store.pending_work(asked) == NOTHING


async def test_a_job_counts_as_due_from_its_time_until_it_is_claimed(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", scheduled_for=START + SECOND)])
    assert await store.pending_work(request()) == NOTHING

    clock.advance(SECOND)
    assert await store.pending_work(request()) == DUE_JOB
    assert await store.pending_work(request()) == DUE_JOB

    assert ids(await store.claim(request())) == ["a"]
    assert await store.pending_work(request()) == NOTHING


@pytest.mark.parametrize(
    "asked",
    [request(IMPORT), request(KnownJob("SendEmail", 2)), request(queues=("mail",))],
    ids=["another name", "another version", "another queue"],
)
async def test_jobs_that_may_not_run_here_are_not_pending_work(
    store: Store, clock: FakeClock, asked: ClaimRequest
) -> None:
    await store.insert([job("a")])

    assert await store.pending_work(asked) == NOTHING


async def test_jobs_of_a_paused_queue_are_not_pending_work(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a")])
    await store.pause_queue("default")

    assert await store.pending_work(request()) == NOTHING


async def test_jobs_with_limits_are_pending_work_even_if_a_limit_blocks_them(store: Store, clock: FakeClock) -> None:
    await store.insert([job(name, "Crawl", concurrency_key="") for name in "ab"])
    assert await store.pending_work(request(CRAWL)) == DUE_JOB

    assert ids(await store.claim(request(CRAWL))) == ["a"]
    assert await store.pending_work(request(CRAWL)) == DUE_JOB
    assert ids(await store.claim(request(CRAWL))) == []


async def test_an_expired_lease_is_found_for_any_worker(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", "ImportCsv")])
    await store.claim(request(IMPORT))
    assert await store.pending_work(request()) == NOTHING

    clock.advance(LEASE + SECOND)

    assert await store.pending_work(request()) == PendingWork(
        has_expired=True, has_due_schedule=False, has_due_job=False
    )


async def test_a_schedule_is_found_when_it_is_unplanned_or_due(store: Store, clock: FakeClock) -> None:
    due = PendingWork(has_expired=False, has_due_schedule=True, has_due_job=False)
    await store.save_schedules([schedule()])
    assert await store.pending_work(request()) == due
    assert await store.pending_work(request(IMPORT)) == NOTHING

    await store.fire(firing(next_run_at=START + timedelta(hours=1)))
    assert await store.pending_work(request()) == NOTHING

    clock.advance(timedelta(hours=1))
    assert await store.pending_work(request()) == due

    await store.enable_schedule(schedule().id, enabled=False)
    assert await store.pending_work(request()) == NOTHING


async def test_jobs_that_lost_their_limits_are_found_and_claimed_afterwards(store: Store, clock: FakeClock) -> None:
    await store.insert([job("a", concurrency_key="k")])

    assert await store.pending_work(request()) == DUE_JOB
    assert ids(await store.claim(request())) == ["a"]


async def test_pending_work_does_not_hide_a_later_limit(store: Store, clock: FakeClock) -> None:
    await store.pending_work(request())
    (first,) = [await store.claim(request())]
    await store.insert([job(name, "Crawl") for name in "ab"])

    assert list(first) == []
    assert await store.pending_work(request(CRAWL)) == DUE_JOB
    (claim,) = await store.claim(request(CRAWL))
    assert list(await store.claim(request(CRAWL))) == []
    await store.settle([completed(claim)])
    assert len(await store.claim(request(CRAWL))) == 1
