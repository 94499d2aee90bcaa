"""Places of plug-ins: a worker opens those that its jobs name, and claims no job without its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from server_jobs import JobOptions, JobStatus, Outcome, Worker
from server_jobs.binding import Binding
from server_jobs.contract.documents import WrittenResult
from server_jobs.engine.attempts.attempt import Attempt
from server_jobs.engine.attempts.leases import LeaseKeeper
from server_jobs.engine.attempts.places import Place
from server_jobs.engine.open_places import open_places
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.errors import InvalidOptionError, PlaceError
from server_jobs.inspection.why import why
from server_jobs.isolation.place_kinds import PlaceKind, PlaceSettings

from tests.runtime.example_jobs import SECOND, SOON, TextJob, backend_on, echo, read, status_of, text_job, until

PARAMS = {"text": "hello"}
ROAR = JobOptions(run_in="zoo", max_attempts=1)


class Cage(Place):
    """Shouts the text of each job, after `delay`."""

    delay = 0.0

    async def run(self, attempt: Attempt, backend: Binding, leases: LeaseKeeper) -> object:
        await attempt.call.wait_within_timeout(asyncio.sleep(self.delay))
        return WrittenResult(attempt.current_params().upper().replace('"TEXT"', '"text"'))


@dataclass
class Zoo:
    """The only plug-in with a place. `errors` are those of the next openings."""

    errors: list[PlaceError] = field(default_factory=list[PlaceError])
    calls: list[str] = field(default_factory=list[str])
    cage: Cage = field(default_factory=Cage)
    needs_shared_database: bool = False

    def names(self) -> Sequence[str]:
        return ["zoo"]

    def find(self, name: str) -> PlaceKind | None:
        kind = PlaceKind(
            open=self.open,
            summary="a zoo",
            options={"animals": {"type": "array", "items": {"type": "string"}}},
            needs_shared_database=self.needs_shared_database,
        )
        return kind if name == "zoo" else None

    @asynccontextmanager
    async def open(self, settings: PlaceSettings) -> AsyncIterator[Cage]:
        if self.errors:
            raise self.errors.pop(0)
        self.calls.append("open")
        yield self.cage
        self.calls.append("close")


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Zoo:
    zoo = Zoo()
    for module in ("engine.open_places", "isolation.place_kinds"):
        monkeypatch.setattr(f"server_jobs.{module}.PLACES", zoo)
    monkeypatch.setattr("server_jobs.engine.open_places._FIRST_PAUSE", 0.01)
    return zoo


def settings_of(backend: PollingBackend, *queues: str) -> PlaceSettings:
    return PlaceSettings(backend=backend, queues=queues or None, drain_timeout=SECOND, poll_interval=SOON)


async def run_all(backend: PollingBackend, *queues: str) -> None:
    """Run a worker with these queues until it has nothing left."""
    async with open_places(settings_of(backend, *queues)), asyncio.timeout(30):
        await Worker(backend, queues=queues or None, until_empty=True).run()


async def test_a_worker_runs_a_job_in_the_place_of_a_plug_in_which_is_open_meanwhile(zoo: Zoo) -> None:
    backend = backend_on(None, job := text_job(echo, options=ROAR), other := text_job(echo, "Other"))
    ids = [await job.later(PARAMS), await job.later(PARAMS), await other.later(PARAMS)]
    await run_all(backend)
    assert [(await read(backend, one)).result for one in ids] == ['{"text":"HELLO"}'] * 2 + ['{"text":"hello"}']
    assert zoo.calls == ["open", "close"]


async def test_the_timeout_of_a_job_ends_its_attempt_in_a_place_that_waits_within_it(zoo: Zoo) -> None:
    backend = backend_on(None, job := text_job(echo, options=replace(ROAR, timeout=timedelta(milliseconds=20))))
    zoo.cage.delay = 60.0
    job_id = await job.later(PARAMS)
    await run_all(backend)
    (attempt,) = await backend.store.attempts(str(job_id))
    assert (attempt.outcome, attempt.error_class) == (Outcome.TIMED_OUT, "TimeoutError")
    assert (attempt.error or "").startswith("TimeoutError: the handler did not return within its timeout of 20ms")


async def test_a_cancelled_job_ends_in_its_place(zoo: Zoo) -> None:
    backend = backend_on(None, job := text_job(echo, options=ROAR))
    zoo.cage.delay = 60.0
    job_id = await job.later(PARAMS)
    async with open_places(settings_of(backend)), asyncio.timeout(30):
        worker = Worker(backend)
        run = asyncio.create_task(worker.run())
        while not worker.attempts():
            await asyncio.sleep(0.005)
        worker.stop()
        worker.stop()
        await run
    assert await status_of(backend, str(job_id)) is JobStatus.PENDING


async def test_a_place_is_opened_only_for_a_job_with_a_handler_in_a_queue_of_the_worker(zoo: Zoo) -> None:
    without_handler = text_job(echo, "Mute", ROAR)
    without_handler.handler = None
    backend = backend_on(None, job := text_job(echo, options=replace(ROAR, queue="zoo")), without_handler)
    await job.later(PARAMS)
    await run_all(backend, "default")
    assert zoo.calls == []


async def test_a_job_whose_spec_moved_to_a_queue_of_others_fails_where_its_place_is_not_open(zoo: Zoo) -> None:
    old = text_job(echo, options=ROAR)
    backend = backend_on(None, old)
    job_id = await old.later(PARAMS)
    moved = backend_on(backend.store, text_job(echo, options=replace(ROAR, queue="night")))
    await run_all(moved, "default")
    record = await read(moved, str(job_id))
    assert record.error == (
        "PlaceNotOpenError: zoo is not open in this worker: the spec of Echo moved to another queue after this job was "
        "enqueued, and this worker serves only the old one; add the queue 'night' to this worker, and retry the job"
    )
    assert zoo.calls == []


async def jobs_of(backend: PollingBackend, *jobs: TextJob) -> list[str]:
    return [str(await job.later(PARAMS)) for job in jobs]


async def test_a_worker_claims_no_job_of_a_place_that_is_away_until_it_answers(
    zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = text_job(echo, options=ROAR), text_job(echo, "Other")
    backend = backend_on(None, *jobs)
    away, refusal = PlaceError("no answer", is_away=True), PlaceError("no permission")
    waiting, other = await jobs_of(backend, *jobs)
    worker = Worker(backend)
    zoo.errors = [away] * 10_000
    async with open_places(settings_of(backend)), asyncio.timeout(30):
        run = asyncio.create_task(worker.run())
        while await status_of(backend, other) is not JobStatus.COMPLETED:
            await asyncio.sleep(0.005)
        assert (await read(backend, waiting)).attempt_count == 0
        _, reasons = await why(backend.store, backend.registry, waiting)
        assert [reason.text for reason in reasons] == ["no living worker of its queue can run Echo now"]
        zoo.errors = [refusal, refusal]
        while await status_of(backend, waiting) is not JobStatus.COMPLETED:
            await asyncio.sleep(0.005)
        worker.stop()
        await until(run)
    assert zoo.calls == ["open", "close"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "zoo is away, so these jobs wait: Echo: no answer",
        "jobs for zoo cannot run, trying again: no permission",
        "zoo answers, and its jobs run",
    ]


async def test_a_place_that_is_still_away_does_not_delay_the_end_of_the_worker(zoo: Zoo) -> None:
    backend = backend_on(None, text_job(echo, options=ROAR))
    zoo.errors = [PlaceError("no answer", is_away=True)] * 10_000
    await run_all(backend)
    assert zoo.calls == []


async def test_a_place_that_refuses_ends_the_start(zoo: Zoo) -> None:
    backend = backend_on(None, text_job(echo, options=ROAR))
    zoo.errors = [PlaceError("no permission")]
    with pytest.raises(PlaceError, match="no permission"):
        await run_all(backend)


async def test_jobs_of_a_place_that_is_not_installed_are_not_claimed(
    zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = text_job(echo, options=replace(ROAR, run_in="circus")), text_job(echo, "Other")
    backend = backend_on(None, *jobs)
    waiting, other = await jobs_of(backend, *jobs)
    await run_all(backend)
    assert await status_of(backend, other) is JobStatus.COMPLETED
    assert (await read(backend, waiting)).attempt_count == 0
    assert [job.name for job in backend.execution.request(limit=1).known] == ["Other"]
    (error,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert error == (
        "the jobs Echo are not claimed: no place is called 'circus'; places are worker, process, zoo; correct runIn, "
        "or install the package with the place"
    )


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("zoo", '"runIn": "zoo" of Echo needs a place that only a worker opens; run `server-jobs worker`, or enter'),
        ("circus", '"runIn": "circus" of Echo cannot run here: no place is called \'circus\'; places are worker, proc'),
    ],
)
async def test_a_worker_without_the_place_of_a_job_refuses_to_start(zoo: Zoo, place: str, expected: str) -> None:
    backend = backend_on(None, text_job(echo, options=replace(ROAR, run_in=place)))
    with pytest.raises(InvalidOptionError) as refused:
        await Worker(backend).prepare()
    assert str(refused.value).startswith(expected)


async def test_a_place_on_other_machines_needs_a_database_that_they_can_reach(zoo: Zoo) -> None:
    backend = backend_on(None, text_job(echo, options=ROAR))
    zoo.needs_shared_database = True
    with pytest.raises(InvalidOptionError, match='"runIn": "zoo" of Echo needs a database that other machines can'):
        await run_all(backend)
    assert zoo.calls == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"plants": []}, "place_options of Echo has 'plants', and options of zoo are: animals"),
        ({"animals": ["lion", 3]}, "place_options of Echo: animals/1 must be a string"),
    ],
)
async def test_options_that_the_place_does_not_have_end_the_start(
    zoo: Zoo, options: dict[str, object], expected: str
) -> None:
    backend = backend_on(None, text_job(echo, options=replace(ROAR, place_options=options)))
    with pytest.raises(InvalidOptionError) as refused:
        await run_all(backend)
    assert str(refused.value) == expected
    assert zoo.calls == []


def test_options_of_a_place_need_a_place_of_a_plug_in() -> None:
    with pytest.raises(InvalidOptionError, match="place_options are for places of plug-ins, and run_in is 'process'"):
        JobOptions(run_in="process", place_options={"animals": []})


async def test_now_needs_no_place(zoo: Zoo) -> None:
    backend = backend_on(None, job := text_job(echo, options=replace(ROAR, run_in="circus")))
    backend.execution.attempt_factory._has_processes = False
    assert (await job.now(PARAMS)).ok
    assert zoo.calls == []
