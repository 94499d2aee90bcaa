"""The alarm of a Worker, on fakes of D1 and of a Durable Object."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from pydantic import BaseModel
from server_jobs import DatabaseError, JobContext, JobOptions, JobStatus, create_job_registry, define_job
from server_jobs.domain.options import RateLimit
from server_jobs_cloudflare import AlarmClock, CloudflareWorkerBackend, background, create_cron_handler
from server_jobs_cloudflare.alarm import AlarmSetter
from server_jobs_cloudflare.query_budget import QueryBudget

from tests.conformance.d1_binding import FakeD1
from tests.conformance.stores import create_d1_file
from tests.server_jobs_cloudflare.test_cloudflare import TOKEN, FakeRequest, FakeSdk, Promise, without_body

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


class Note(BaseModel):
    text: str


gate = asyncio.Event()
"""Holds handlers back; another one for each test."""


async def _handle(params: Note, context: JobContext) -> Note:
    if params.text == "wait":
        await gate.wait()
    if params.text == "fail":
        raise ValueError("not yet")
    return params


Shout = define_job(name="Shout", params=Note, result=Note, handler=_handle)
Rare = define_job(
    name="Rare", params=Note, result=Note, handler=_handle, options=JobOptions(rate=RateLimit(limit=1, per=HOUR))
)
REGISTRY = create_job_registry().register(Shout).register(Rare)


class FakeObject:
    """The base class of objects, with storage for one alarm."""

    def __init__(self, ctx: object, env: object) -> None:
        self.ctx, self.env = SimpleNamespace(storage=self), env
        self.at: float | None = None
        self.wait = timedelta(0)
        self.is_lost = False
        self.calls = 0

    async def getAlarm(self) -> float | None:
        await asyncio.sleep(0)
        return self.at

    async def setAlarm(self, at: float) -> None:
        await asyncio.sleep(0)
        self.at, self.wait = at, timedelta(seconds=round(at / 1000 - time.time()))


class FakeWorker:
    """A Worker with its D1, its handler and the object of its alarm, which is its own namespace."""

    def __init__(self, binding: FakeD1) -> None:
        self.handler = create_cron_handler(database=binding, job_registry=REGISTRY)
        self.env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN, JOBS_ALARM=self)
        clock = type("Clock", (AlarmClock, FakeObject), {"handler": self.handler})
        self.clock = clock(None, self.env)
        self.backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
        self.calls = 0

    def getByName(self, name: str) -> FakeWorker:
        assert name == "jobs"
        return self

    async def wake_at(self, at: float) -> float:
        self.calls += 1
        set_at: float = await self.clock.wake_at(at)
        return set_at

    @property
    def wait(self) -> timedelta | None:
        """The time until the alarm when it was set, to the second."""
        wait: timedelta = self.clock.wait
        return None if self.clock.at is None else wait

    async def ring(self) -> None:
        """Call the alarm. Cloudflare forgets its time before."""
        self.clock.at = None
        await self.clock.alarm()

    async def enqueue(self, **options: object) -> str:
        """Send a request that enqueues, and let the work after the answer end."""
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        body = json.dumps({"params": {"text": "hello"}, **options}).encode()
        request = FakeRequest("POST", "https://x.example/_jobs/jobs/Shout", headers, body)
        reply = await self.handler.fetch(request, self.env, None)
        job_id: str = json.loads(getattr(reply, "body"))["id"]  # noqa: B009  a response of JavaScript
        return job_id


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorker]:
    monkeypatch.setattr(sys.modules[__name__], "gate", asyncio.Event())
    path = tmp_path / "d1.sqlite3"
    create_d1_file(path)
    binding = FakeD1(path)
    yield FakeWorker(binding)
    binding.close()


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    sdk = FakeSdk()
    modules: dict[str, dict[str, object]] = {
        "asgi": {"fetch": sdk.fetch},
        "workers": {"wait_until": sdk.waits.append, "Request": without_body},
        "pyodide.ffi": {"create_proxy": Promise},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return sdk


async def test_a_delayed_job_of_a_request_sets_the_alarm_with_one_call(worker: FakeWorker, sdk: FakeSdk) -> None:
    await worker.enqueue(delay="PT5M")
    await sdk.waits.pop().run

    assert (worker.wait, worker.calls) == (5 * MINUTE, 1)


async def test_a_delayed_job_and_its_retry_run_when_the_alarm_rings(worker: FakeWorker, sdk: FakeSdk) -> None:
    job = await worker.enqueue(delay="PT5M", params={"text": "fail"})
    await sdk.waits.pop().run
    for attempt in (1, 2):
        assert worker.wait is not None, "nothing wakes the Worker"
        await worker.env.DB.prepare("UPDATE jobs SET scheduled_for = created_at").all()  # that time has passed
        await worker.ring()
        await sdk.waits.pop().run

        record = await worker.backend.store.get(job)
        assert record is not None
        assert record.attempt_count == attempt


@pytest.mark.parametrize(("owner", "method"), [(AlarmSetter, "plan"), (AlarmClock, "_set")])
async def test_without_the_alarm_a_delayed_job_or_its_retry_is_late(
    worker: FakeWorker, sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        """Set no alarm."""

    monkeypatch.setattr(owner, method, nothing)

    with pytest.raises(AssertionError, match="nothing wakes the Worker"):
        await test_a_delayed_job_and_its_retry_run_when_the_alarm_rings(worker, sdk)


async def test_a_job_that_a_request_runs_at_once_needs_no_alarm(worker: FakeWorker, sdk: FakeSdk) -> None:
    await worker.enqueue()
    await sdk.waits.pop().run

    assert (worker.wait, worker.calls) == (None, 0)


async def test_a_retry_sets_the_alarm(worker: FakeWorker, sdk: FakeSdk) -> None:
    job = await Shout.using(worker.backend).later(Note(text="fail"))
    await worker.ring()
    await sdk.waits.pop().run

    record = await job.record()
    assert (record.status, record.attempt_count) == (JobStatus.PENDING, 1)
    assert worker.clock.at == pytest.approx(record.scheduled_for.timestamp() * 1000, abs=1000)


async def test_other_writes_of_requests_set_the_alarm_and_reads_do_not(worker: FakeWorker) -> None:
    job = await Shout.using(worker.backend).later(Note(text="hello"))
    await Shout.using(worker.backend).later(Note(text="hello"), delay=HOUR)
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}

    for method, path in (("GET", "status"), ("POST", f"jobs/{job}/cancel")):
        assert worker.calls == 0
        request = FakeRequest(method, f"https://x.example/_jobs/{path}", headers, b"{}")
        await worker.handler.fetch(request, worker.env, None)

    assert (worker.wait, worker.calls) == (HOUR, 1)


async def test_code_outside_of_the_routes_sets_the_alarm(worker: FakeWorker) -> None:
    async with worker.handler.connect(worker.env):
        await Shout.later(Note(text="hello"), delay=HOUR)

    assert (worker.wait, worker.calls) == (HOUR, 1)


async def test_an_earlier_alarm_is_kept_and_not_asked_for_again(worker: FakeWorker, sdk: FakeSdk) -> None:
    for delay in ("PT10M", "PT5M", "PT6M", "PT5M"):
        await worker.enqueue(delay=delay)
        await sdk.waits.pop().run

    assert (worker.wait, worker.calls) == (5 * MINUTE, 2)


async def test_an_alarm_that_may_have_rung_is_set_again(worker: FakeWorker, sdk: FakeSdk) -> None:
    await worker.enqueue(delay="PT4S")
    await sdk.waits.pop().run
    await worker.enqueue(delay="PT1M")
    await sdk.waits.pop().run

    assert worker.calls == 2


async def test_the_cron_trigger_sets_the_alarm_of_a_lost_object(worker: FakeWorker, sdk: FakeSdk) -> None:
    await worker.enqueue(delay="PT5M")
    await sdk.waits.pop().run
    worker.clock.at = None

    await worker.handler.scheduled(None, worker.env, None)

    assert worker.wait == 5 * MINUTE


async def test_two_calls_at_once_leave_the_earlier_alarm(worker: FakeWorker) -> None:
    for times in ((1.0, 2.0), (2.0, 1.0)):
        worker.clock.at = None
        assert 1.0 in await asyncio.gather(*map(worker.wake_at, times))
        assert worker.clock.at == 1.0


async def test_an_alarm_runs_a_tick_and_sets_the_next_one(worker: FakeWorker) -> None:
    now = await Shout.using(worker.backend).later(Note(text="hello"))
    await Shout.using(worker.backend).later(Note(text="hello"), delay=HOUR)

    await worker.ring()

    assert await now.status() is JobStatus.COMPLETED
    assert worker.wait == HOUR


async def test_an_alarm_returns_while_its_jobs_run_so_that_the_next_one_is_not_late(
    worker: FakeWorker, sdk: FakeSdk
) -> None:
    slow = await Shout.using(worker.backend).later(Note(text="wait"))
    soon = await Shout.using(worker.backend).later(Note(text="hello"), delay=timedelta(milliseconds=1200))

    await worker.ring()
    assert await slow.status() is JobStatus.RUNNING
    assert worker.wait == SECOND
    await asyncio.sleep(1.3)
    await worker.ring()
    assert await soon.status() is JobStatus.COMPLETED
    gate.set()
    await sdk.waits.pop().run

    assert await slow.status() is JobStatus.COMPLETED


async def test_no_more_ticks_start_while_many_have_running_jobs(
    worker: FakeWorker, sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MOST_TICKS", 1)
    await Shout.using(worker.backend).later(Note(text="wait"))
    await worker.ring()
    other = await Shout.using(worker.backend).later(Note(text="hello"))

    await worker.ring()
    assert (await other.status(), worker.wait) == (JobStatus.PENDING, None)
    gate.set()
    await sdk.waits.pop().run

    assert await other.status() is JobStatus.COMPLETED


async def test_a_tick_that_fails_fails_its_alarm_which_cloudflare_repeats(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(CloudflareWorkerBackend, "handle_cron", broken)

    with pytest.raises(DatabaseError, match="gone"):
        await worker.ring()
    assert worker.wait is None


async def test_a_tick_that_fails_after_its_alarm_returned_is_tried_again_soon(
    worker: FakeWorker, sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(backend: CloudflareWorkerBackend, **_: object) -> None:
        backend.started.set()
        await gate.wait()
        raise DatabaseError("gone")

    monkeypatch.setattr(CloudflareWorkerBackend, "handle_cron", broken)
    await worker.ring()
    gate.set()
    await sdk.waits.pop().run

    assert worker.wait == 2 * SECOND
    assert "a tick of the alarm failed" in caplog.text


async def test_pauses_grow_while_a_limit_blocks_the_due_jobs_and_delay_no_later_one(
    worker: FakeWorker, sdk: FakeSdk
) -> None:
    await Rare.using(worker.backend).later_many([{"text": "hello"}] * 3)
    await worker.ring()
    await sdk.waits.pop().run
    assert worker.wait == timedelta(0)  # one has run, so there may be more

    waits = []
    for _ in range(8):
        await worker.ring()
        waits.append(worker.wait)
    assert waits == [one * SECOND for one in (1, 2, 4, 8, 16, 32, 60, 60)]
    await Shout.using(worker.backend).later(Note(text="hello"), delay=20 * SECOND)
    await worker.ring()
    assert (worker.wait, sdk.waits) == (20 * SECOND, [])


async def test_an_invocation_without_queries_leaves_the_rest_to_another_one_soon(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBudget, "is_used_up", True)
    await worker.ring()

    assert worker.wait == SECOND


async def test_an_alarm_that_cannot_be_set_fails_nothing(
    worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_at: float) -> float:
        raise RuntimeError("the object is overloaded")

    monkeypatch.setattr(worker, "wake_at", broken)
    await Shout.using(worker.backend).later(Note(text="hello"), delay=HOUR)

    assert (await worker.handler.scheduled(None, worker.env, None)).completed == 0
    assert "the alarm of this Worker was not set; the cron trigger runs due jobs" in caplog.text


async def test_a_worker_without_the_object_makes_no_query_for_it(worker: FakeWorker) -> None:
    del worker.env.JOBS_ALARM
    await worker.handler.scheduled(None, worker.env, None)
    worker.env.DB.queries = 0
    await worker.handler.scheduled(None, worker.env, None)

    assert worker.env.DB.queries == 1


async def test_an_idle_tick_makes_one_query_for_the_alarm(worker: FakeWorker) -> None:
    await worker.handler.scheduled(None, worker.env, None)
    worker.env.DB.queries = 0
    await worker.handler.scheduled(None, worker.env, None)

    assert (worker.env.DB.queries, worker.calls) == (2, 0)
