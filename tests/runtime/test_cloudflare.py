"""The Cloudflare handler, on a strict stand-in for the D1 binding."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from pydantic import BaseModel
from server_jobs import DatabaseError, JobContext, JobStatus, Schedule, cloudflare, create_job_registry, define_job
from server_jobs.backend import Backend
from server_jobs.cloudflare import CloudflareWorkerBackend, CronHandler, create_cron_handler
from server_jobs.ids import schedule_id
from server_jobs.memory import InMemoryBackend
from server_jobs.record import JobQuery, ScheduleRecord

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_sqlite_file

TOKEN = "a-token-of-more-than-thirty-two-characters"


class Note(BaseModel):
    text: str


async def _shout(params: Note, context: JobContext) -> Note:
    await context.update_progress(50, "shouting")
    return Note(text=params.text.upper())


Shout = define_job(
    name="Shout",
    params=Note,
    result=Note,
    handler=_shout,
    schedules=[Schedule(name="minutely", cron="* * * * *", params='{"text":"tick"}')],
)
REGISTRY = create_job_registry().register(Shout)


@dataclass
class FakeRequest:
    """A request as the Workers SDK gives it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeResponse:
    """The response class of the Workers SDK."""

    body: str
    status: int
    headers: dict[str, str]


@pytest.fixture
def binding(tmp_path: Path) -> Iterator[FakeD1]:
    path = tmp_path / "d1.sqlite3"
    create_sqlite_file(path)
    binding = FakeD1(path)
    yield binding
    binding.close()


@pytest.fixture
def handler() -> CronHandler:
    return create_cron_handler(database=lambda env: env.DB, job_registry=REGISTRY, max_concurrency=10)


@pytest.fixture(autouse=True)
def _workers_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = ModuleType("workers")
    workers.Response = FakeResponse  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "workers", workers)


async def test_a_cron_trigger_runs_the_jobs_that_are_due(binding: FakeD1, handler: CronHandler) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    handle = await Shout.using(backend).later({"text": "hello"})

    done = await handler.scheduled(SimpleNamespace(cron="* * * * *"), SimpleNamespace(DB=binding), None)

    assert (done.completed, done.failed) == (1, 0)
    assert (await handle.result()).data == Note(text="HELLO")


async def test_a_slot_fires_once_when_a_trigger_is_delivered_twice(binding: FakeD1, handler: CronHandler) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    await backend.store.save_schedules(
        [
            ScheduleRecord(
                id=schedule_id("Shout", "minutely"),
                job_name="Shout",
                name="minutely",
                cron_expression="* * * * *",
                timezone="UTC",
                misfire="fire_once",
                params='{"text":"tick"}',
            )
        ]
    )
    env = SimpleNamespace(DB=binding)
    await handler.scheduled(None, env, None)
    binding.execute("UPDATE cron_jobs SET next_run_at = next_run_at - 120000")

    ticks = [await handler.scheduled(None, env, None) for _ in range(2)]

    assert [done.scheduled for done in ticks] == [1, 0]
    (record,) = await backend.store.list_jobs(JobQuery())
    assert (record.job_name, record.status, record.result) == ("Shout", JobStatus.COMPLETED, '{"text":"TICK"}')


async def test_the_routes_need_the_token_of_the_environment(binding: FakeD1, handler: CronHandler) -> None:
    url = "https://jobs.example.com/_jobs/status?limit=1"
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with_token, without = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), SimpleNamespace(DB=binding)

    replies = [
        await handler.fetch(FakeRequest("GET", url, bearer), with_token, None),
        await handler.fetch(FakeRequest("GET", url), with_token, None),
        await handler.fetch(FakeRequest("GET", url, bearer), without, None),
    ]

    assert [reply.status for reply in replies if isinstance(reply, FakeResponse)] == [200, 401, 404]
    assert isinstance(replies[0], FakeResponse)
    assert json.loads(replies[0].body) == {"counts": [], "jobs": []}


async def test_work_beyond_the_budget_waits_for_the_next_tick() -> None:
    backend = InMemoryBackend(job_registry=REGISTRY, max_concurrency=1)
    for _ in range(3):
        backend.add_job(job_name="Shout", params={"text": "x"})
    cloudflare = CloudflareWorkerBackend(database=backend.store, job_registry=REGISTRY, max_concurrency=1)

    assert (await cloudflare.handle_cron(budget=timedelta(0))).completed == 0
    assert (await cloudflare.handle_cron()).completed == 3


async def test_a_trigger_by_request_has_the_budget_of_a_cron_trigger(
    binding: FakeD1, handler: CronHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudflare, "TICK_BUDGET", timedelta(0))
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    handle = await Shout.using(backend).later({"text": "hello"})
    request = FakeRequest("POST", "https://x.example/_jobs/trigger", {"authorization": f"Bearer {TOKEN}"})

    await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)

    assert await handle.status() is JobStatus.PENDING


async def test_what_an_invocation_opened_from_a_url_is_closed_after_it(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    handler = create_cron_handler(database=f"sqlite:///{tmp_path}/jobs.sqlite3", job_registry=REGISTRY)

    await handler.scheduled(None, None, None)

    assert isinstance(Shout.backend, Backend)
    with pytest.raises(DatabaseError, match="is not open"):
        await Shout.backend.store.ping()


async def test_a_request_that_is_refused_opens_and_binds_nothing() -> None:
    handler = create_cron_handler(database=lambda env: pytest.fail("opened"), job_registry=REGISTRY)
    request = FakeRequest("POST", "https://x.example/_jobs/trigger", {"authorization": "Bearer wrong"})

    reply = await handler.fetch(request, SimpleNamespace(JOBS_TOKEN=TOKEN), None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == 401
