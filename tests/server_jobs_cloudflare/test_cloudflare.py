"""The Cloudflare handler, on a strict fake of the D1 binding."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel
from server_jobs import (
    DatabaseError,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobStatus,
    Retention,
    Schedule,
    SchemaMissingError,
    ValueTooLargeError,
    create_job_registry,
    define_job,
)
from server_jobs.domain.ids import schedule_id
from server_jobs.domain.record import Completed, JobQuery, ScheduleRecord
from server_jobs.engine.backend import Backend
from server_jobs.memory import InMemoryBackend
from server_jobs_cloudflare import CloudflareWorkerBackend, CronHandler, create_cron_handler, database_of
from server_jobs_cloudflare import entry as cloudflare
from server_jobs_cloudflare.query_budget import QueryBudget
from server_jobs_http.routes import events
from starlette.types import ASGIApp, Message

from tests.conformance.d1_binding import D1Refusal, FakeD1
from tests.conformance.hrana_server import HranaServer
from tests.conformance.stores import TURSO_TOKEN, create_d1_file, create_sqlite_file

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"


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
Shout.is_in_code = False  # like a generated class, whose schedules a migration stores
REGISTRY = create_job_registry().register(Shout)


class JsNull:
    """Pyodide's value for `null`: not None, and without attributes."""

    def __bool__(self) -> bool:
        return False


NOTHING = JsNull()


@dataclass
class FakeRequest:
    """A request as the Workers SDK passes it."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def without_body(url: str, *, method: str, headers: list[tuple[str, str]]) -> FakeRequest:
    """Return a new request, as the Workers SDK makes it."""
    return FakeRequest(method, url, dict(headers))


@dataclass
class FakeResponse:
    """The response to a request."""

    status: int = 0
    body: bytes = b""


@dataclass
class Promise:
    """A JavaScript promise of an awaitable. It cannot be used once it is destroyed."""

    run: Awaitable[None]
    is_destroyed: bool = False

    def destroy(self) -> None:
        self.is_destroyed = True


class FakeSdk:
    """The used part of the Workers SDK: the adapter for ASGI, and work after the response."""

    def __init__(self) -> None:
        self.waits: list[Promise] = []
        self.read: list[int] = []
        """The bytes read of each request. The SDK reads the whole body before it calls the application."""

    async def fetch(self, app: ASGIApp, request: FakeRequest, env: object, ctx: object) -> FakeResponse:
        del ctx
        self.read.append(len(request.body))
        response = FakeResponse()
        url = urlsplit(request.url)

        bodies = [request.body]

        async def receive() -> Message:
            if not bodies:
                await asyncio.Event().wait()  # nothing ends the connection
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                response.status = message["status"]
            else:
                response.body += message["body"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": [(b"host", url.netloc.encode())]
            + [(name.encode(), value.encode()) for name, value in request.headers.items()],
            "env": env,
        }
        await app(scope, receive, send)
        return response


@pytest.fixture
def binding(tmp_path: Path) -> Iterator[FakeD1]:
    path = tmp_path / "d1.sqlite3"
    create_d1_file(path)
    binding = FakeD1(path)
    yield binding
    binding.close()


@pytest.fixture
def handler() -> CronHandler:
    return create_cron_handler(database=database_of, job_registry=REGISTRY, max_concurrency=10)


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    sdk = FakeSdk()
    asgi, workers, ffi = ModuleType("asgi"), ModuleType("workers"), ModuleType("pyodide.ffi")
    asgi.fetch = sdk.fetch  # type: ignore[attr-defined]  # modules made on the spot
    workers.wait_until = sdk.waits.append  # type: ignore[attr-defined]
    workers.Request = without_body  # type: ignore[attr-defined]
    ffi.create_proxy = Promise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    monkeypatch.setitem(sys.modules, "asgi", asgi)
    monkeypatch.setitem(sys.modules, "workers", workers)
    return sdk


async def test_a_cron_trigger_runs_the_jobs_that_are_due(binding: FakeD1, handler: CronHandler) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    handle = await Shout.using(backend).later({"text": "hello"})

    done = await handler.scheduled(SimpleNamespace(cron="* * * * *"), SimpleNamespace(DB=binding), None)

    assert (done.completed, done.failed) == (1, 0)
    assert (await handle.result()).data == Note(text="HELLO")


async def test_a_worker_may_have_its_jobs_in_a_turso_database(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "turso.sqlite3")
    handler = create_cron_handler(database=database_of, job_registry=REGISTRY)
    with HranaServer(tmp_path / "turso.sqlite3", TURSO_TOKEN) as server:
        env = SimpleNamespace(TURSO_DATABASE_URL=server.url, TURSO_AUTH_TOKEN=TURSO_TOKEN, DB=NOTHING)
        await handler.scheduled(None, env, None)
        handle = await Shout.later({"text": "hello"})

        done = await handler.scheduled(None, env, None)

        assert (done.completed, done.failed) == (1, 0)
        assert (await handle.result()).data == Note(text="HELLO")
        assert server.open_streams == 0


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


async def test_a_schedule_in_code_fires_on_d1_until_the_code_drops_it(
    binding: FakeD1, caplog: pytest.LogCaptureFixture
) -> None:
    env = SimpleNamespace(DB=binding)
    handler = _minutely(Schedule(name="minutely", cron="* * * * *", params='{"text":"tick"}'))
    for _ in range(2):  # one stores the schedule, the other plans it
        await handler.scheduled(None, env, None)
    binding.execute("UPDATE cron_jobs SET next_run_at = next_run_at - 120000")

    done = await handler.scheduled(None, env, None)
    assert (done.scheduled, done.completed) == (1, 1)

    binding.execute("UPDATE cron_jobs SET next_run_at = next_run_at - 120000")
    done = await _minutely().scheduled(None, env, None)
    assert (done.scheduled, done.completed) == (0, 0)
    assert "schedule minutely of Minutely is disabled" in caplog.text


def _minutely(*schedules: Schedule) -> CronHandler:
    job = define_job(name="Minutely", params=Note, result=Note, handler=_shout, schedules=schedules)
    return create_cron_handler(database=database_of, job_registry=create_job_registry().register(job))


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
    assert json.loads(replies[0].body) == {"exact": True, "counts": [], "jobs": [], "paused_queues": []}


async def test_a_job_that_a_request_enqueues_is_run_after_the_answer_and_not_a_minute_later(
    binding: FakeD1, handler: CronHandler, sdk: FakeSdk
) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    request = FakeRequest("POST", "https://x.example/_jobs/jobs/Shout", headers, b'{"params": {"text": "hello"}}')

    reply = await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == 201
    (promise,) = sdk.waits
    before = promise.is_destroyed
    await promise.run
    await asyncio.sleep(0)
    assert (before, promise.is_destroyed) == (False, True)
    record = await CloudflareWorkerBackend(database=binding, job_registry=REGISTRY).store.get(
        json.loads(reply.body)["id"]
    )
    assert record is not None
    assert (record.status, record.result) == (JobStatus.COMPLETED, '{"text":"HELLO"}')


async def test_jobs_that_cannot_run_now_wait_for_the_next_tick(
    binding: FakeD1,
    handler: CronHandler,
    sdk: FakeSdk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(CloudflareWorkerBackend, "handle_cron", broken)
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    request = FakeRequest("POST", "https://x.example/_jobs/jobs/Shout", headers, b'{"params": {"text": "hello"}}')

    await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)
    await sdk.waits[0].run

    assert "the next tick runs it" in caplog.text


@pytest.mark.parametrize("token", ["short", "x" * 64])
async def test_a_token_that_cannot_be_used_opens_nothing_and_is_named_in_the_log(
    binding: FakeD1, handler: CronHandler, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    request = FakeRequest("GET", "https://x.example/_jobs/status", {"authorization": f"Bearer {token}"})

    reply = await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=token), None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == 404
    assert "no route is open" in caplog.text
    assert token not in caplog.text.replace("32 random bytes", "")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"content-length": "20000000"}, 413),
        ({"content-length": "9" * 5000}, 413),
        ({"content-length": "many"}, 400),
        ({"transfer-encoding": "chunked"}, 411),
        ({"transfer-encoding": "chunked", "content-length": "5"}, 411),
    ],
)
async def test_a_refused_body_is_not_read_and_strangers_get_the_usual_answer(
    handler: CronHandler, binding: FakeD1, sdk: FakeSdk, said: dict[str, str], status: int
) -> None:
    url, body = "https://x.example/_jobs/jobs/Shout", b"x" * 20_000_000
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", **said}
    env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN)

    replies = [
        await handler.fetch(FakeRequest("POST", url, headers, body), env, None),
        await handler.fetch(FakeRequest("POST", url, {**headers, "authorization": "Bearer x"}, body), env, None),
        await handler.fetch(FakeRequest("POST", url, headers, body), SimpleNamespace(DB=binding), None),
    ]

    answers = [(reply.status, json.loads(reply.body)) for reply in replies if isinstance(reply, FakeResponse)]
    assert [answer[0] for answer in answers] == [status, 401, 404]
    assert all(document["status"] == answer for answer, document in answers)
    assert sdk.read == [0, 0, 0]


async def test_work_beyond_the_budget_waits_for_the_next_tick() -> None:
    backend = InMemoryBackend(job_registry=REGISTRY, max_concurrency=1)
    for _ in range(3):
        backend.add_job(job_name="Shout", params={"text": "x"})
    cloudflare = CloudflareWorkerBackend(database=backend.store, job_registry=REGISTRY, max_concurrency=1)

    assert (await cloudflare.handle_cron(budget=timedelta(0))).completed == 0
    assert (await cloudflare.handle_cron()).completed == 3


async def test_a_trigger_by_request_has_the_budget_of_a_cron_trigger(binding: FakeD1) -> None:
    handler = create_cron_handler(database=lambda env: env.DB, job_registry=REGISTRY, budget=timedelta(0))
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    handle = await Shout.using(backend).later({"text": "hello"})
    request = FakeRequest("POST", "https://x.example/_jobs/trigger", {"authorization": f"Bearer {TOKEN}"})

    await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)

    assert await handle.status() is JobStatus.PENDING


async def test_a_database_opened_from_a_url_is_closed_after_the_invocation(tmp_path: Path) -> None:
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


async def test_the_first_statement_reports_a_d1_without_tables(tmp_path: Path) -> None:
    binding = FakeD1(tmp_path / "empty.sqlite3")
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)

    with pytest.raises(SchemaMissingError, match=r"no such table: jobs.*migrate"):
        await backend.handle_cron()

    health = await backend.health_check()
    assert not health.ok
    assert "no such table" in health.detail
    binding.close()


async def test_an_idle_tick_asks_d1_one_thing(binding: FakeD1, handler: CronHandler) -> None:
    for queries in (3, 1, 1):  # the first of five minutes also reports, and forgets dead workers
        binding.queries = 0
        await handler.scheduled(None, SimpleNamespace(DB=binding), None)
        assert binding.queries == queries


@pytest.mark.parametrize("kept", [10, 5000])
async def test_an_idle_tick_scans_a_thousand_jobs_for_pruning_with_one_more_query(binding: FakeD1, kept: int) -> None:
    options = JobOptions(retention=Retention(completed=timedelta(days=1)))
    brief = define_job(name="Brief", params=Note, result=Note, handler=_shout, options=options)
    registry = create_job_registry().register(brief)
    backend = CloudflareWorkerBackend(database=binding, job_registry=registry)
    await brief.using(backend).later_many([{"text": "later"}] * kept, delay=timedelta(days=1))

    await CloudflareWorkerBackend(database=binding, job_registry=registry).handle_cron()  # reports
    for _ in range(8):
        binding.queries = 0
        await CloudflareWorkerBackend(database=binding, job_registry=registry).handle_cron()
        assert binding.queries == 2


async def test_a_result_too_large_for_d1_fails_only_its_job(binding: FakeD1) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    large, small = await Shout.using(backend).later_many([{"text": "x" * 1_020_000}, {"text": "x"}])
    binding.queries = 0

    done = await backend.handle_cron()

    assert (done.completed, done.failed) == (1, 1)
    record = await large.record()
    assert (record.status, record.attempt_count) == (JobStatus.FAILED, 1)
    assert record.error is not None
    assert record.error.startswith(
        "its result of 1,020,011 characters could not be stored: D1 stores at most 2,000,000 bytes in a row"
    )
    assert (await small.result()).data == Note(text="X")
    assert binding.queries < 15


async def test_a_row_too_large_for_d1_is_refused_with_the_limit(binding: FakeD1) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    await Shout.using(backend).later_many([{"text": "x" * 1_040_000}, {"text": "x"}])
    claims = (await backend.poll_and_claim(2)).claimed_jobs

    with pytest.raises(ValueTooLargeError, match="at most 2,000,000 bytes in a row"):
        await backend.store.settle(
            [Completed(id=claim.id, token=claim.token, result=json.dumps("x" * 1_040_000)) for claim in claims]
        )

    assert {record.status for record in await backend.store.list_jobs(JobQuery())} == {JobStatus.RUNNING}


async def test_a_tick_asks_d1_little_for_many_jobs(binding: FakeD1) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY, max_concurrency=50)
    await backend.handle_cron()  # reports
    await Shout.using(backend).later_many([{"text": "hello"}] * 50)
    binding.queries = 0

    assert (await backend.handle_cron()).completed == 50
    assert binding.queries == 5  # look, claim (two), settle, look again


@pytest.mark.parametrize("most", [20, 50, 100, 200])
async def test_an_invocation_keeps_within_its_queries_and_leaves_the_rest_to_the_next(
    binding: FakeD1, most: int
) -> None:
    handler = create_cron_handler(database=lambda env: env.DB, job_registry=REGISTRY, max_queries=most)
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    await Shout.using(backend).later_many([{"text": "hello"}] * 120)
    ran = 0
    while ran < 120:
        binding.queries = 0
        done = await handler.scheduled(None, SimpleNamespace(DB=binding), None)
        assert binding.queries <= most
        assert done.completed > 0
        ran += done.completed

    assert ran == 120


@pytest.mark.parametrize("value", ["50", " 50 ", 50])
async def test_a_variable_of_the_worker_says_how_many_queries_there_are(binding: FakeD1, value: object) -> None:
    handler = create_cron_handler(database=database_of, job_registry=REGISTRY)
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    await Shout.using(backend).later_many([{"text": "x"}] * 200)
    binding.queries = 0

    done = await handler.scheduled(None, SimpleNamespace(DB=binding, JOBS_MAX_QUERIES=value), None)

    assert 0 < done.completed < 200
    assert binding.queries <= 50


@pytest.mark.parametrize("value", ["", "  ", None, NOTHING])
async def test_without_a_value_the_variable_says_nothing(binding: FakeD1, value: object) -> None:
    handler = create_cron_handler(database=database_of, job_registry=REGISTRY)
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    await Shout.using(backend).later_many([{"text": "x"}] * 200)

    done = await handler.scheduled(None, SimpleNamespace(DB=binding, JOBS_MAX_QUERIES=value), None)

    assert done.completed == 200


@pytest.mark.parametrize(
    "value", ["many", "0", "19", "-50", "1e3", "50.5", 0, 50.5, True, "1000001", "9" * 5000, "\u0665\u0660"]
)
async def test_a_variable_that_makes_no_sense_is_named_and_nothing_runs(
    binding: FakeD1, handler: CronHandler, value: object
) -> None:
    env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN, JOBS_MAX_QUERIES=value)
    request = FakeRequest("GET", "https://x.example/_jobs/status", {"authorization": f"Bearer {TOKEN}"})

    with pytest.raises(DatabaseError, match=r"JOBS_MAX_QUERIES must be a whole number between 20 and 1,000,000, not '"):
        await handler.scheduled(None, env, None)
    reply = await handler.fetch(request, env, None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == 503
    assert binding.queries == 0


def _trigger(**headers: str) -> FakeRequest:
    return FakeRequest("POST", "https://x.example/_jobs/trigger", {"authorization": f"Bearer {TOKEN}", **headers})


@pytest.mark.parametrize(
    ("variables", "origin", "status"),
    [
        ({}, "https://x.example", 200),
        ({}, "https://admin.example", 403),
        ({"JOBS_ALLOWED_ORIGINS": "https://a.example, https://admin.example"}, "https://admin.example", 200),
        ({"JOBS_ALLOWED_HOSTS": "a.example,X.example"}, "https://x.example", 200),
        ({"JOBS_ALLOWED_HOSTS": "a.example"}, "https://x.example", 421),
        ({"JOBS_ALLOWED_HOSTS": " ", "JOBS_ALLOWED_ORIGINS": NOTHING}, "https://x.example", 200),
    ],
)
async def test_variables_of_the_worker_say_which_hosts_and_origins_may_write(
    binding: FakeD1, handler: CronHandler, variables: dict[str, object], origin: str, status: int
) -> None:
    env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN, **variables)

    reply = await handler.fetch(_trigger(origin=origin), env, None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == status


@pytest.mark.parametrize("name", ["JOBS_ALLOWED_HOSTS", "JOBS_ALLOWED_ORIGINS"])
async def test_invalid_hosts_and_origins_close_the_routes_and_are_reported(
    binding: FakeD1, handler: CronHandler, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    env = SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN, **{name: "*"})

    reply = await handler.fetch(_trigger(), env, None)

    assert isinstance(reply, FakeResponse)
    assert reply.status == 404
    assert f"no route is open: {name.removeprefix('JOBS_').lower()} has '*', which is no " in caplog.text


async def test_schedules_that_the_queries_are_not_enough_for_fire_in_the_next_invocation(binding: FakeD1) -> None:
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY, max_queries=30)
    schedules = [
        ScheduleRecord(
            id=f"s{number:02}",
            job_name="Shout",
            name=f"n{number:02}",
            cron_expression="* * * * *",
            timezone="UTC",
            misfire="fire_once",
            params='{"text":"tick"}',
        )
        for number in range(20)
    ]
    await backend.store.save_schedules(schedules)
    planned: list[int] = []
    for _ in range(5):
        binding.queries = 0
        await CloudflareWorkerBackend(database=binding, job_registry=REGISTRY, max_queries=30).handle_cron()
        assert binding.queries <= 30
        planned.append(sum(one.next_run_at is not None for one in await backend.store.list_schedules()))

    assert planned[0] < 20
    assert planned[-1] == 20


@pytest.mark.parametrize("most", [0, 19, -1, True, "many"])
def test_queries_that_make_no_sense_are_refused(most: int) -> None:
    with pytest.raises(InvalidOptionError, match="max_queries"):
        CloudflareWorkerBackend(
            database=InMemoryBackend(job_registry=REGISTRY).store, job_registry=REGISTRY, max_queries=most
        )


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("BEGIN", "not authorized"),
        ("PRAGMA journal_mode = DELETE", "not authorized"),
        (" UNION ".join(["SELECT 1"] * 6), "too many terms in compound SELECT"),
        ("SELECT " + "+".join(["1"] * 200), "maximum depth 100"),
        ("SELECT max(" + ",".join(["1"] * 40) + ")", "too many arguments"),
        ("SELECT " + ",".join(["1"] * 101), "too many columns"),
        (f"SELECT '{'x' * 100_000}'", "too long"),
        (f"SELECT 'a' LIKE '{'%' * 51}'", "pattern too complex"),
        ("SELECT " + ",".join(f"?{number}" for number in range(1, 102)), "number must be between"),
    ],
)
async def test_the_fake_rejects_the_same_as_d1(binding: FakeD1, sql: str, complaint: str) -> None:
    with pytest.raises(D1Refusal, match=complaint):
        await binding.prepare(sql).all()


async def test_a_database_that_is_kept_for_many_invocations_has_all_queries_in_each(tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "turso.sqlite3")
    with HranaServer(tmp_path / "turso.sqlite3", TURSO_TOKEN) as server:
        env = SimpleNamespace(TURSO_DATABASE_URL=server.url, TURSO_AUTH_TOKEN=TURSO_TOKEN)
        handler = create_cron_handler(database=database_of, job_registry=REGISTRY, max_queries=30)
        backend = CloudflareWorkerBackend(database=database_of(env), job_registry=REGISTRY)
        ran = 0
        for _ in range(12):
            await Shout.using(backend).later({"text": "hello"})
            ran += (await handler.scheduled(None, env, None)).completed
        await backend.shutdown()

    assert ran == 12


async def test_work_after_a_request_has_the_remaining_queries(binding: FakeD1, sdk: FakeSdk) -> None:
    handler = create_cron_handler(database=lambda env: env.DB, job_registry=REGISTRY, max_queries=40)
    await Shout.using(CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)).later_many([{"text": "x"}] * 60)
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", "content-length": "29"}
    request = FakeRequest("POST", "https://x.example/_jobs/jobs/Shout", headers, b'{"params": {"text": "hello"}}')
    binding.queries = 0

    await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)
    (promise,) = sdk.waits
    await promise.run

    assert binding.queries <= 40


async def test_a_stream_of_progress_ends_while_there_are_queries_left(
    binding: FakeD1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAUSE", 0.001)
    monkeypatch.setattr(cloudflare, "TICK_BUDGET", timedelta(seconds=1))
    handler = create_cron_handler(database=database_of, job_registry=REGISTRY, max_queries=30)
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY)
    job = await Shout.using(backend).later({"text": "hello"}, delay=timedelta(hours=1))
    url = f"https://x.example/_jobs/jobs/{job}/events"
    binding.queries = 0

    request = FakeRequest("GET", url, {"authorization": f"Bearer {TOKEN}"})
    await handler.fetch(request, SimpleNamespace(DB=binding, JOBS_TOKEN=TOKEN), None)

    assert 10 < binding.queries <= 30


async def test_without_the_budget_an_invocation_makes_more_queries_than_it_may(
    binding: FakeD1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryBudget, "_room", lambda *_: 1000)
    backend = CloudflareWorkerBackend(database=binding, job_registry=REGISTRY, max_queries=20)
    await Shout.using(backend).later_many([{"text": "hello"}] * 120)
    binding.queries = 0

    await backend.handle_cron()

    assert binding.queries > 20
