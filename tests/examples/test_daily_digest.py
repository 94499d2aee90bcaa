"""`DailyDigest` on a store with finished, failed and pending jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from server_jobs import JobContext, JobRecord, create_job_registry
from server_jobs.domain.record import ClaimRequest, Completed, Failed, KnownJob, NewJob
from server_jobs.stores.memory import MemoryStore
from server_jobs.testing import FakeClock, InMemoryBackend, create_job_context

from generated.handlers import daily_digest
from generated.handlers.digest_text import body_of
from generated.handlers.job_report import read_report
from generated.jobs.send_email import SendEmail
from generated.models.daily_digest import DailyDigestParams, DailyDigestResult, JobTally
from generated.models.send_email import SendEmailParams

START = datetime(2026, 3, 29, 5, 30, tzinfo=UTC)
PARAMS = DailyDigestParams(recipients=["operations@example.com"])


class History:
    """Writes the past of a store: every job makes the transitions that it would make under a worker."""

    def __init__(self, store: MemoryStore, clock: FakeClock) -> None:
        self._store = store
        self._clock = clock
        self._count = 0

    async def pending(self, job_name: str) -> str:
        self._count += 1
        job = NewJob(id=f"{self._count:06}", job_name=job_name, params="{}", max_attempts=1)
        await self._store.insert([job])
        return job.id

    async def completed(self, job_name: str, took: timedelta = timedelta(seconds=1)) -> str:
        job_id, token = await self._claimed(job_name)
        self._clock.advance(took)
        await self._store.settle([Completed(id=job_id, token=token, result="{}")])
        return job_id

    async def failed(self, job_name: str, error: str) -> str:
        job_id, token = await self._claimed(job_name)
        await self._store.settle([Failed(id=job_id, token=token, error=error, retry_after=None)])
        return job_id

    async def running(self, job_name: str) -> str:
        return (await self._claimed(job_name))[0]

    async def cancelled(self, job_name: str) -> str:
        job_id = await self.pending(job_name)
        await self._store.cancel(job_id)
        return job_id

    async def _claimed(self, job_name: str) -> tuple[str, str]:
        job_id = await self.pending(job_name)
        request = ClaimRequest(known=(KnownJob(job_name, 1),), limit=1, lease=timedelta(minutes=5))
        claim = await self._store.claim_one(job_id, request)
        assert claim is not None
        return claim.id, claim.token


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def store(clock: FakeClock) -> Iterator[MemoryStore]:
    """Yield the store of a backend that `SendEmail` is bound to."""
    registry = create_job_registry().register(SendEmail)
    backend = InMemoryBackend(job_registry=registry, clock=clock)
    registry.bind(backend)
    yield backend.store
    registry.bind(None)


@pytest.fixture
def history(store: MemoryStore, clock: FakeClock) -> History:
    return History(store, clock)


async def digest(store: MemoryStore, history: History, **changes: object) -> tuple[DailyDigestResult, JobRecord]:
    """Run the handler for a job that is stored now. Return its result and the stored mail job."""
    job_id = await history.running("DailyDigest")
    params = PARAMS.model_copy(update=changes)
    result = await daily_digest.handle(params, context_of(store, job_id))
    mail = await store.get(result.email_job_id)
    assert mail is not None
    return result, mail


def context_of(store: MemoryStore, job_id: str | None) -> JobContext:
    return create_job_context(job_name="DailyDigest", job_id=job_id, jobs=store)


def mail_params(mail: JobRecord) -> SendEmailParams:
    return SendEmailParams.model_validate_json(mail.params)


async def test_the_result_counts_every_job_by_name_and_status(store: MemoryStore, history: History) -> None:
    for _ in range(3):
        await history.completed("SendEmail")
    await history.failed("SendEmail", "no route to host")
    await history.cancelled("ImportCsv")
    await history.running("ImportCsv")
    await history.pending("ImportCsv")

    result, _ = await digest(store, history)

    assert result.jobs == [
        JobTally(job_name="ImportCsv", completed=0, failed=0, cancelled=1, running=1, pending=1),
        JobTally(job_name="SendEmail", completed=3, failed=1, cancelled=0, running=0, pending=0),
    ]


async def test_jobs_from_before_the_window_are_not_counted(
    store: MemoryStore, history: History, clock: FakeClock
) -> None:
    await history.completed("Early")
    clock.advance(timedelta(hours=10))
    await history.completed("Late")
    clock.advance(timedelta(hours=2))

    result, mail = await digest(store, history, hours=3)

    assert [tally.job_name for tally in result.jobs] == ["Late"]
    assert "Early" not in mail_params(mail).body
    assert result.since == clock.now() - timedelta(hours=3)


async def test_a_digest_that_runs_late_leaves_no_gap(store: MemoryStore, history: History, clock: FakeClock) -> None:
    slot = clock.now()
    await history.completed("SendEmail", took=timedelta(0))
    clock.advance(timedelta(hours=27))
    late = NewJob(id="late", job_name="DailyDigest", params="{}", scheduled_for=slot + timedelta(hours=24))
    await store.insert([late])

    result = await daily_digest.handle(PARAMS, context_of(store, "late"))

    assert result.since == slot
    assert [tally.completed for tally in result.jobs] == [1]


async def test_the_mail_has_the_recipients_and_the_counts(store: MemoryStore, history: History) -> None:
    slow = await history.completed("ImportCsv", took=timedelta(seconds=90))
    await history.completed("SendEmail", took=timedelta(seconds=1))
    failed = await history.failed("SendEmail", "MailRefusedError: 550 no such mailbox\nsecond line")

    result, mail = await digest(store, history)

    params = mail_params(mail)
    assert params.to == ["operations@example.com"]
    assert params.subject == f"Jobs since {result.since:%Y-%m-%d %H:%M} UTC: 2 completed, 1 failed"
    assert params.body == (
        f"What the jobs did since {result.since:%Y-%m-%d %H:%M} UTC.\n"
        "\n"
        "  job        completed  failed  cancelled  running  pending\n"
        "  ImportCsv          1       0          0        0        0\n"
        "  SendEmail          1       1          0        0        0\n"
        "\n"
        "Slowest\n"
        f"     90.00 s  ImportCsv  {slow}\n"
        "      1.00 s  SendEmail  000002\n"
        "\n"
        "Failed\n"
        f"  SendEmail  {failed}  after 1 attempt\n"
        "    MailRefusedError: 550 no such mailbox\n"
    )


async def test_the_slowest_are_found_however_many_jobs_there_are(store: MemoryStore, history: History) -> None:
    slow = await history.completed("SendEmail", took=timedelta(seconds=30))
    for _ in range(450):
        await history.completed("SendEmail", took=timedelta(seconds=1))

    report = await read_report(store, START, besides="DailyDigest")

    assert (report.slowest[0].record.id, report.slowest[0].duration) == (slow, timedelta(seconds=30))
    assert len({job.record.id for job in report.slowest}) == 5
    assert report.tallies[0].completed == 451


async def test_only_the_newest_failures_are_listed_and_long_errors_are_cut(
    store: MemoryStore, history: History
) -> None:
    for number in range(30):
        await history.failed("SendEmail", f"failure {number} " + "x" * 60_000)

    report = await read_report(store, START, besides="DailyDigest")

    assert len(body_of(report)) < 10_000
    assert "failure 29" in body_of(report)
    assert "failure 19 " not in body_of(report)


async def test_a_quiet_day_is_reported_too(store: MemoryStore, history: History) -> None:
    result, mail = await digest(store, history)

    assert result.jobs == []
    assert "Nothing was stored in that time." in mail_params(mail).body


async def test_another_attempt_does_not_queue_a_second_mail(store: MemoryStore, history: History) -> None:
    job_id = await history.running("DailyDigest")

    first = await daily_digest.handle(PARAMS, context_of(store, job_id))
    second = await daily_digest.handle(PARAMS, context_of(store, job_id))

    assert first.email_job_id == second.email_job_id
    assert [tally.job_name for tally in second.jobs] == ["SendEmail"]


async def test_a_digest_needs_a_store() -> None:
    with pytest.raises(RuntimeError, match="persist=True"):
        await daily_digest.handle(PARAMS, create_job_context(job_name="DailyDigest"))
