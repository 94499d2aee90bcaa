"""The three jobs through the generated registry and a worker, as a project runs them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from server_jobs import InvalidParamsError, JobStatus, Worker
from server_jobs.testing import FakeClock, InMemoryBackend

from generated.jobs.daily_digest import DailyDigest
from generated.jobs.import_csv import ImportCsv
from generated.jobs.send_email import SendEmail
from generated.registry import registry
from tests.examples import airports


@pytest.fixture(autouse=True)
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SMTP_URL", "SMTP_HOST", "MAIL_FROM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUTBOX_DIR", str(tmp_path / "outbox"))
    monkeypatch.setenv("EXAMPLE_DATABASE", str(tmp_path / "examples.sqlite3"))
    monkeypatch.setenv("IMPORT_DIR", str(airports.ROOT))
    return tmp_path / "outbox"


@asynccontextmanager
async def project(clock: FakeClock | None = None) -> AsyncGenerator[InMemoryBackend, None]:
    """Yield a backend with the jobs of this project."""
    backend = InMemoryBackend(job_registry=registry, clock=clock)
    await backend.initialize()
    registry.bind(backend)
    try:
        yield backend
    finally:
        registry.bind(None)
        await backend.shutdown()


def subjects(outbox: Path) -> list[str]:
    return sorted(message_from_bytes(file.read_bytes(), policy=policy.default)["Subject"] for file in outbox.iterdir())


def test_every_spec_has_an_implemented_handler() -> None:
    assert registry.get_names() == ["DailyDigest", "ImportCsv", "SendEmail"]
    assert not any(one.is_stub for one in registry.registrations())


async def test_mails_an_import_and_a_digest_run_to_their_end(outbox: Path) -> None:
    async with project() as backend:
        mails = await SendEmail.later_many(
            [{"to": ["ada@example.com"], "subject": f"Note {n}", "body": "Hello."} for n in range(5)]
        )
        imported = await ImportCsv.later(airports.params())
        await Worker(backend, until_empty=True).run()
        digest = await DailyDigest.later({"recipients": ["operations@example.com"]}, correlation_id="run-1")
        await Worker(backend, until_empty=True).run()

        assert [await mail.status() for mail in mails] == [JobStatus.COMPLETED] * 5
        report = (await imported.result()).data
        assert (report.rows_read, report.rows_rejected) == (airports.ROWS, 2827)
        summary = (await digest.result()).data
        assert {tally.job_name: tally.completed for tally in summary.jobs} == {"ImportCsv": 1, "SendEmail": 5}
        mail = await backend.store.get(summary.email_job_id)
        assert mail is not None
        assert (mail.status, mail.correlation_id) == (JobStatus.COMPLETED, "run-1")
        assert [name for name in subjects(outbox) if name.startswith("Note")] == [f"Note {n}" for n in range(5)]
        assert len(subjects(outbox)) == 6


async def test_the_digest_is_scheduled_for_half_past_seven_in_berlin() -> None:
    # In the night of 29 March the clocks in Berlin go forward: half past seven is 06:30 UTC, then 05:30.
    clock = FakeClock(datetime(2026, 3, 28, 0, 0, tzinfo=UTC))
    async with project(clock) as backend:
        await backend.execution.scheduler.tick()
        (schedule,) = await backend.store.list_schedules()
        assert schedule.next_run_at == datetime(2026, 3, 28, 6, 30, tzinfo=UTC)

        clock.advance(timedelta(hours=7))
        await backend.execution.scheduler.tick()
        (schedule,) = await backend.store.list_schedules()
        assert schedule.next_run_at == datetime(2026, 3, 29, 5, 30, tzinfo=UTC)
        assert schedule.last_job_id is not None
        job = await backend.store.get(schedule.last_job_id)
        assert job is not None
        assert (job.job_name, json.loads(job.params)["recipients"]) == ("DailyDigest", ["operations@example.com"])


async def test_an_import_that_is_cancelled_while_it_runs_stops() -> None:
    clock = FakeClock()
    async with project(clock) as backend:
        handle = await ImportCsv.later(airports.params())
        (claim,) = (await backend.poll_and_claim(1)).claimed_jobs
        run = asyncio.ensure_future(backend.execute(claim))
        while not backend.execution.runner.attempts() or backend.execution.runner.attempts()[0].context.progress < 10:
            await asyncio.sleep(0)
        await handle.cancel()
        clock.advance(timedelta(seconds=3))

        assert not (await run).success
        record = await handle.record()
        assert record.status is JobStatus.CANCELLED
        assert 10 <= record.progress < 100


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"to": ["nobody"], "subject": "Hello", "body": "x"}, "/to/0"),
        ({"to": [], "subject": "Hello", "body": "x"}, "/to"),
        ({"to": ["ada@example.com"], "subject": "a\nb", "body": "x"}, "/subject"),
        ({"to": ["ada@example.com"], "subject": "Hello"}, "/body"),
        ({"to": ["ada@example.com"], "subject": "Hello", "body": "x", "bcc": []}, "/bcc"),
        ({"to": ["ada@example.com"], "subject": "Hello", "body": "x", "html": None}, "/html"),
    ],
)
async def test_params_that_do_not_fit_are_refused_with_a_pointer(params: dict[str, object], pointer: str) -> None:
    async with project() as backend:
        with pytest.raises(InvalidParamsError) as refused:
            backend.add_job(job_name="SendEmail", params=params)

    assert [problem.pointer for problem in refused.value.problems] == [pointer]
