"""If one step of a tick fails, the other steps still run, and the tick raises the error at the end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from server_jobs import DatabaseError, JobOptions, JobStatus, Retention, tick
from server_jobs.errors import JobNotFoundError
from server_jobs.handle import JobHandle
from server_jobs.testing import FakeClock

from tests.conformance.examples import schedule
from tests.runtime.engine.faulty_store import FaultyStore
from tests.runtime.example_jobs import Text, TextJob, backend_on, echo, text_job

PARAMS = {"text": "hello"}
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
PARTS = {"expire": "dead", "fire": "scheduled", "claim": "waiting", "prune_next": "old"}


class Stage:
    """A store with work for each step of a tick."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FaultyStore(self.clock)
        self.job: TextJob = text_job(echo, options=JobOptions(retention=Retention(completed=HOUR)))
        self.backend = backend_on(self.store, self.job, clock=self.clock, lease=HOUR)

    async def set_up(self) -> None:
        """Store an old job, a due schedule, a pending job, and a job whose worker died."""
        self.old = await self.job.later(PARAMS)
        await self.store.save_schedules([schedule("s1", "Echo", params=json.dumps(PARAMS))])
        await tick(self.backend)
        self.dead = await self.job.later(PARAMS)
        assert (await self.backend.poll_and_claim(1)).claimed_jobs
        self.clock.advance(2 * HOUR)
        self.waiting = await self.job.later(PARAMS)

    async def done(self) -> set[str]:
        """Return the steps that ran."""
        done = {
            "dead": (await self.dead.record()).status is not JobStatus.RUNNING,
            "scheduled": any(one.last_run_at for one in await self.store.list_schedules()),
            "waiting": await self.waiting.status() is JobStatus.COMPLETED,
            "old": await _is_gone(self.old),
        }
        return {part for part, is_done in done.items() if is_done}


@pytest.mark.parametrize("broken", PARTS)
async def test_an_error_in_one_part_keeps_the_others_from_nothing_and_is_raised_at_the_end(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    await stage.set_up()
    stage.store.break_down(broken)

    with pytest.raises(DatabaseError, match=rf"the database is away \({broken}"):
        await tick(stage.backend)

    assert await stage.done() == {*PARTS.values()} - {PARTS[broken]}
    assert "failed: the database is away" in caplog.text


async def test_a_tick_cancels_the_jobs_that_had_to_start_earlier(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    late = await stage.job.later(PARAMS, expires_after=SECOND)
    stage.clock.advance(HOUR)

    done = await tick(stage.backend)

    assert (done.late, done.completed) == (1, 0)
    assert await late.status() is JobStatus.CANCELLED
    assert f"Echo {late}: expired before its start, now cancelled" in caplog.messages
    assert (await tick(stage.backend)).late == 0


async def test_an_unexpected_error_in_one_step_does_not_stop_the_others() -> None:
    stage = Stage()
    await stage.set_up()
    stage.store.break_down("expire", error=KeyError("a bug"))

    with pytest.raises(KeyError, match="a bug"):
        await tick(stage.backend)

    assert await stage.done() == {"scheduled", "waiting", "old"}


async def test_of_several_errors_the_first_one_is_raised_and_all_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    await stage.set_up()
    stage.store.break_down("fire", "claim")

    with pytest.raises(DatabaseError, match=r"away \(fire"):
        await tick(stage.backend)

    assert [message.split(" failed")[0] for message in caplog.messages if message.startswith("tick")] == [
        "tick (schedule)",
        "tick (run)",
    ]


async def test_jobs_of_schedules_that_fired_are_run_though_another_one_was_refused() -> None:
    stage = Stage()
    await stage.set_up()
    records = [schedule("s0", "Echo", "refused", params=json.dumps(PARAMS))]
    await stage.store.save_schedules(records)
    await stage.backend.execution.scheduler.tick(allowance=lambda: 1)  # plans it
    stage.clock.advance(2 * HOUR)
    stage.store.break_down("fire s0")

    with pytest.raises(DatabaseError, match="fire s0"):
        await tick(stage.backend)

    (fired,) = [one for one in await stage.store.list_schedules() if one.last_run_at]
    assert fired.id == "s1"
    assert fired.last_job_id is not None
    made = await stage.store.get(fired.last_job_id)
    assert made is not None
    assert made.status is JobStatus.COMPLETED


@pytest.mark.parametrize("broken", ["report_tick", "forget_workers", "forget_counts"])
async def test_jobs_run_though_the_tick_cannot_report(broken: str) -> None:
    stage = Stage()
    await stage.set_up()
    stage.store.break_down(broken)

    with pytest.raises(DatabaseError, match=broken):
        await tick(stage.backend)

    assert await stage.done() == {*PARTS.values()}


async def test_ticks_with_the_same_jobs_report_once_in_five_minutes_as_one_worker() -> None:
    stage = Stage()
    for _ in range(11):
        await tick(stage.backend)
        stage.clock.advance(timedelta(minutes=1))

    (worker,) = await stage.store.workers()
    assert worker.report.is_tick
    assert worker.report.known == (("Echo", 1),)
    assert worker.last_seen_at - worker.started_at == timedelta(minutes=10)
    assert stage.store.calls["report_tick"] == 3


async def test_ticks_with_other_jobs_are_another_worker_and_a_new_version_is_not() -> None:
    stage = Stage()
    await tick(stage.backend)
    newer = text_job(echo, options=JobOptions(version=2))
    await tick(backend_on(stage.store, newer, clock=stage.clock))
    await tick(backend_on(stage.store, newer, text_job(echo, name="Other"), clock=stage.clock))

    known = [worker.report.known for worker in await stage.store.workers()]
    assert sorted(known) == [(("Echo", 2),), (("Echo", 2), ("Other", 1))]


async def test_a_tick_forgets_workers_that_died_long_ago() -> None:
    stage = Stage()
    await tick(backend_on(stage.store, text_job(echo, name="Former"), clock=stage.clock))
    stage.clock.advance(timedelta(days=8))
    await tick(stage.backend)

    (worker,) = await stage.store.workers()
    assert worker.report.known == (("Echo", 1),)


async def test_ticks_alone_keep_the_counts_of_minutes_for_a_day() -> None:
    stage = Stage()
    await stage.set_up()
    began = stage.clock.now() - timedelta(minutes=1)
    await tick(stage.backend)
    assert await stage.store.finished_counts(since=began)
    before = (await stage.store.finished_counts(since=None))[0].counts.completed

    stage.clock.advance(timedelta(days=2))
    await tick(stage.backend)

    minutes = [one.minute for one in await stage.store.finished_counts(since=began)]
    assert all(minute is not None and minute > began + timedelta(days=1) for minute in minutes)
    assert (await stage.store.finished_counts(since=None))[0].counts.completed >= before


async def _is_gone(job: JobHandle[Text]) -> bool:
    try:
        await job.record()
    except JobNotFoundError:
        return True
    return False
