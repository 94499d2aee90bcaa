"""The store of one tenant in its object: who may enqueue, when it wakes, and what it reports, on a fake storage."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from server_jobs import (
    DatabaseError,
    InvalidOptionError,
    JobContext,
    JobOptions,
    JobStatus,
    RateLimit,
    create_job_registry,
    define_job,
)
from server_jobs.domain.record import JobQuery
from server_jobs.security.tokens import NamedToken, Tokens, new_token, rights_of
from server_jobs.stores.opening import store_of
from server_jobs.stores.sql.store import SqlStore
from server_jobs_cloudflare import background, tenant_object
from server_jobs_cloudflare.pipeline import PIPELINE
from server_jobs_cloudflare.tenant_backend import TenantBackend
from server_jobs_cloudflare.tenant_directory import TenantDirectory, check_name
from server_jobs_cloudflare.tenant_object import TenantObject
from server_jobs_cloudflare.tenant_store import TenantStore
from server_jobs_cloudflare.tenants import TenantHandler, create_tenant_handler
from server_jobs_http.app import application
from server_jobs_http.http_options import HttpOptions
from server_jobs_turso.database import TursoDatabase
from server_jobs_turso.http_transport import Reply

from tests.server_jobs_cloudflare.object_storage import FakeStorage

Ring = Callable[..., Awaitable[None]]

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
ROOT = Path(__file__).parents[2]
MIGRATIONS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "generated/worker/migrations").glob("*")}
TABLES = {name: text for name, text in MIGRATIONS.items() if name.endswith("_tables.sql")}


class Note(BaseModel):
    tenant: str


async def _keep(params: Note, context: JobContext) -> Note:
    if params.tenant == "acme":
        await GATE.wait()
    return params


GATE = asyncio.Event()
GATE.set()
Keep = define_job(name="Keep", params=Note, result=Note, handler=_keep, options=JobOptions(shard_by="/tenant"))
Rare = define_job(
    name="Rare",
    params=Note,
    result=Note,
    handler=_keep,
    options=JobOptions(rate=RateLimit(limit=1, per=timedelta(days=1))),
)
REGISTRY = create_job_registry().register(Keep).register(Rare)


@dataclass
class FakeContext:
    """The `ctx` of an object."""

    storage: FakeStorage


class FakeDirectory:
    """The directory as the stub of another object."""

    def __init__(self) -> None:
        self.tenants = TenantDirectory(FakeStorage())
        self.calls = 0
        self.is_away = False

    def idFromName(self, name: str) -> str:
        return name

    def get(self, _name: str) -> FakeDirectory:
        return self

    async def record(self, name: str, version: str) -> None:
        if self.is_away:
            raise RuntimeError("the directory is away")
        self.calls += 1
        self.tenants.record(name, version)

    async def forget(self, name: str) -> None:
        if self.is_away:
            raise RuntimeError("the directory is away")
        self.tenants.forget(name)

    async def behind(self, version: str, limit: int) -> str:
        return self.tenants.behind(version, limit)


class Tenant:
    """The object of the tenant acme, made anew for each event like after an eviction."""

    def __init__(self) -> None:
        self.storage = FakeStorage()
        self.directory = FakeDirectory()
        self.env = SimpleNamespace(TENANT_DIRECTORY=self.directory)

    def woken(self, migrations: Mapping[str, str] = TABLES) -> TenantObject:
        handler = create_tenant_handler(job_registry=REGISTRY, migrations=migrations)
        return handler.tenant(FakeContext(self.storage), self.env)

    @property
    def seconds_until_alarm(self) -> float:
        assert self.storage.alarm is not None
        return self.storage.alarm / 1000 - time.time()


@pytest.fixture
def tenant() -> Tenant:
    return Tenant()


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Future[None]]:
    """Return the work that goes on after an alarm has returned."""
    kept = list[asyncio.Future[None]]()
    monkeypatch.setattr(background, "keep_running", lambda work: kept.append(asyncio.ensure_future(work)))
    return kept


@pytest.fixture
def ring(kept: list[asyncio.Future[None]]) -> Ring:
    """Return a function that rings the alarm of an object, and waits for the end of its tick."""

    async def ring(woken: TenantObject, retries: int = 0) -> None:
        await woken.alarm(retries)
        await asyncio.gather(*kept)

    return ring


async def backend_of(tenant: Tenant) -> tuple[TenantObject, TenantBackend]:
    woken = tenant.woken()
    await woken.upgrade("acme")
    return woken, woken.backend()


async def test_a_new_tenant_makes_one_call_to_the_directory(tenant: Tenant) -> None:
    for _ in range(3):
        await tenant.woken().upgrade("acme")

    assert tenant.directory.calls == 1
    page = json.loads(tenant.directory.tenants.page("server_jobs_0001_8dccab51", "", 10))
    assert [one["name"] for one in page["tenants"]] == ["acme"]
    assert (page["total"], page["behind"]) == (1, 0)


async def test_a_deploy_runs_at_the_next_call_and_is_reported(tenant: Tenant, ring: Ring) -> None:
    await tenant.woken().upgrade("acme")
    deployed = create_tenant_handler(job_registry=REGISTRY, migrations=MIGRATIONS)

    assert _behind(tenant, deployed) == ["acme"]
    await ring(tenant.woken(MIGRATIONS), 0)

    assert _behind(tenant, deployed) == []
    assert tenant.directory.calls == 2


async def test_a_tenant_whose_migration_fails_delays_no_other_one(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"tenant-{number:03}" for number in range(130)]
    directory, failing = FakeDirectory(), set(names[:110])
    for name in names:
        directory.tenants.record(name, "old")
    handler = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES)

    class Stub:
        def __init__(self, name: str) -> None:
            self.name = name

        async def wake(self) -> None:
            if self.name in failing:
                raise RuntimeError(f"no such column in {self.name}")
            directory.tenants.record(self.name, handler.version)

    env = SimpleNamespace(TENANT_DIRECTORY=directory, TENANTS=SimpleNamespace(idFromName=str, get=Stub))

    for _ in range(40):
        with pytest.raises(RuntimeError, match="no such column in tenant-"):
            await handler.scheduled(env)

    assert set(_behind_in(directory, handler)) == failing
    assert "stays behind the newest revision; a later tick tries again" in caplog.text


async def test_a_tenant_works_without_the_directory_and_reports_later(
    tenant: Tenant, ring: Ring, caplog: pytest.LogCaptureFixture
) -> None:
    tenant.directory.is_away = True
    _, backend = await backend_of(tenant)
    handle = await Keep.using(backend).later(Note(tenant="acme"))
    await ring(tenant.woken(), 0)
    assert (await handle.status()) is JobStatus.COMPLETED
    assert "the directory does not know yet that the tenant 'acme' is at" in caplog.text

    tenant.directory.is_away = False
    await ring(tenant.woken(), 0)
    assert tenant.directory.calls == 1


async def test_a_woken_object_that_is_no_tenant_stores_nothing(tenant: Tenant) -> None:
    await tenant.woken().wake()

    assert not tenant.woken().exists
    assert (tenant.directory.calls, tenant.storage.alarm) == (0, None)
    assert tenant.storage.sql.exec("SELECT name FROM sqlite_master").rows == []


async def test_the_alarm_comes_when_a_job_is_due(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)

    await Keep.using(backend).later(Note(tenant="acme"), delay=timedelta(seconds=20))
    assert 18 < tenant.seconds_until_alarm <= 20
    await Keep.using(backend).later(Note(tenant="acme"))
    assert tenant.seconds_until_alarm < 1


async def test_an_alarm_runs_the_due_jobs_and_plans_the_next_one(tenant: Tenant, ring: Ring) -> None:
    _, backend = await backend_of(tenant)
    done = await Keep.using(backend).later(Note(tenant="acme"))
    await Keep.using(backend).later(Note(tenant="acme"), delay=timedelta(seconds=20))

    await ring(tenant.woken(), 0)

    assert (await done.status()) is JobStatus.COMPLETED
    assert 15 < tenant.seconds_until_alarm <= 20


async def test_without_its_alarm_the_jobs_of_a_tenant_are_late(
    tenant: Tenant, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> None:
        """Set no alarm."""

    monkeypatch.setattr(TenantObject, "plan", nothing)

    with pytest.raises(AssertionError):
        await test_the_alarm_comes_when_a_job_is_due(tenant)
    with pytest.raises(AssertionError):
        await test_an_alarm_runs_the_due_jobs_and_plans_the_next_one(tenant, ring)


async def test_alarms_pause_while_a_limit_blocks_the_due_jobs(tenant: Tenant, ring: Ring) -> None:
    woken, backend = await backend_of(tenant)
    await Rare.using(backend).later_many([Note(tenant="acme"), Note(tenant="acme")])

    pauses = []
    for _ in range(60):
        await ring(woken, 0)
        pauses.append(round(tenant.seconds_until_alarm))

    assert pauses[1:9] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_failing_alarm_is_repeated_by_cloudflare_and_then_every_minute(
    tenant: Tenant, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, backend = await backend_of(tenant)
    handle = await Keep.using(backend).later(Note(tenant="acme"))
    woken = tenant.woken()

    async def fail(*_: object, **_named: object) -> None:
        raise DatabaseError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(tenant_object, "tick", fail)
        for retries in range(5):
            with pytest.raises(DatabaseError, match="the disk is full"):
                await ring(woken, retries)
        await ring(woken, 5)
    assert 55 < tenant.seconds_until_alarm <= 60

    await ring(woken, 0)
    assert (await handle.status()) is JobStatus.COMPLETED


async def test_a_handler_enqueues_for_another_tenant(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)
    other = Tenant()
    tenant.env.TENANTS = SimpleNamespace(idFromName=str, get=lambda _: other.woken())

    due = datetime(2060, 1, 1, 12, 30, 0, 250_000, tzinfo=UTC)
    sent = await Keep.using(backend).later(Note(tenant="globex"), scheduled_for=due, priority=7)

    assert await backend.store.list_jobs(JobQuery()) == []
    (found,) = await other.woken().backend().store.list_jobs(JobQuery())
    assert (found.id, found.params, found.priority) == (str(sent), '{"tenant":"globex"}', 7)
    assert found.scheduled_for == due
    assert other.storage.alarm == pytest.approx(due.timestamp() * 1000, abs=1000)
    with pytest.raises(InvalidOptionError, match="cannot be stored for the tenant 'acme'"):
        await Keep.using(backend).later_many([Note(tenant="globex"), Note(tenant="initech")])


async def test_jobs_that_the_object_of_another_tenant_does_not_take_raise_an_error(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)
    with pytest.raises(InvalidOptionError, match="the name of a tenant must have 1 to 128 characters"):
        await Keep.using(backend).later(Note(tenant="a/b"))

    other = Tenant()
    tenant.env.TENANTS = SimpleNamespace(idFromName=str, get=lambda _: other.woken({}))
    with pytest.raises(DatabaseError, match="the jobs of the tenant 'globex' could not be stored: "):
        await Keep.using(backend).later(Note(tenant="globex"))


async def test_a_job_or_schedule_of_another_tenant_is_refused(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)
    assert isinstance(backend.store, TenantStore)
    backend.store.send = None

    with pytest.raises(InvalidOptionError, match="a Keep of the tenant 'globex' cannot be stored for"):
        await Keep.using(backend).later(Note(tenant="globex"))
    with pytest.raises(InvalidOptionError, match="send it to /_jobs/tenants/globex of the Worker"):
        await Keep.using(backend).now(Note(tenant="globex"))
    with pytest.raises(InvalidOptionError, match="the schedule Keep/daily of the tenant 'globex' cannot be stored for"):
        await Keep.using(backend).schedule("daily").add(cron="0 8 * * *", params=Note(tenant="globex"))
    await Keep.using(backend).schedule("daily").add(cron="0 8 * * *", params=Note(tenant="acme"))
    with pytest.raises(InvalidOptionError, match="a schedule of the tenant 'globex'"):
        await Keep.using(backend).schedule("daily").change(params=Note(tenant="globex"))
    assert await backend.store.list_jobs(JobQuery()) == []
    await Rare.using(backend).later(Note(tenant="globex"))  # without shardBy, the store is the tenant


async def test_a_deleted_tenant_leaves_nothing_and_a_later_job_makes_a_new_one(tenant: Tenant, ring: Ring) -> None:
    woken, backend = await backend_of(tenant)
    await Keep.using(backend).later(Note(tenant="acme"), delay=timedelta(hours=1))

    assert await woken.delete()
    assert tenant.storage.sql.exec("SELECT name FROM sqlite_master").rows == []
    assert (tenant.storage.alarm, woken.exists) == (None, False)
    await ring(woken)  # of a tick that still ran
    assert not woken.exists
    assert not await woken.delete()

    await woken.upgrade("acme")
    assert await woken.backend().store.list_jobs(JobQuery()) == []
    assert tenant.directory.calls == 2


async def test_only_an_administrator_deletes_a_tenant_and_again_what_a_failed_call_left(tenant: Tenant) -> None:
    await backend_of(tenant)
    env = SimpleNamespace(
        TENANT_DIRECTORY=tenant.directory,
        TENANTS=SimpleNamespace(idFromName=str, get=lambda _: tenant.woken()),
    )
    app = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES).app
    reader = new_token()
    env.JOBS_TOKEN, env.JOBS_TOKENS = TOKEN, NamedToken.of("reader", rights_of(["read", "enqueue"]), reader).line

    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["env"] = env
        await app(scope, receive, send)

    transport = httpx.ASGITransport(answer, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://jobs.example.com") as client:

        async def deleted(name: str, token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return (await client.delete(f"/_jobs/tenants/{name}", headers=headers)).status_code

        assert [await deleted("acme", "x" * 43), await deleted("acme", reader)] == [401, 403]
        assert tenant.woken().exists
        tenant.directory.is_away = True
        assert await deleted("acme", TOKEN) == 500
        tenant.directory.is_away = False
        assert await deleted("acme", TOKEN) == 404
        assert json.loads(tenant.directory.tenants.page("", "", 10))["tenants"] == []
        assert await deleted("a b", TOKEN) == 422


async def test_an_address_with_a_name_that_no_tenant_can_have_is_refused_with_the_name() -> None:
    app = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES).app

    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["env"] = SimpleNamespace(JOBS_TOKEN=TOKEN)
        await app(scope, receive, send)

    headers = {"authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url="https://jobs.example.com", headers=headers) as client:
        refusal = await client.post("/_jobs/tenants/a b/jobs/Keep", json={"params": {}})
        unnamed = await client.get("/_jobs/status")

    assert (refusal.status_code, unnamed.status_code) == (422, 404)
    assert refusal.json()["title"].endswith("start with a letter or digit, not 'a b'")
    assert "ask /_jobs/tenants/TENANT/" in unnamed.json()["title"]


def test_the_address_of_a_tenant_is_its_store_and_the_address_of_all_is_none() -> None:
    store = store_of("https://jobs.example.com/_jobs/tenants/a%40b", None)

    assert isinstance(store, TenantStore)
    assert store.tenant == "a@b"
    with pytest.raises(InvalidOptionError, match=r"is the address of all tenants; add the name of one: https://jobs\."):
        store_of("https://jobs.example.com/_jobs/tenants", None)


async def test_a_running_job_does_not_delay_the_next_alarm(tenant: Tenant, kept: list[asyncio.Future[None]]) -> None:
    woken, backend = await backend_of(tenant)
    slow = await Keep.using(backend).later(Note(tenant="acme"))
    GATE.clear()
    try:
        await woken.alarm(0)
        assert (await slow.status()) is JobStatus.RUNNING
        await Rare.using(backend).later(Note(tenant="acme"), delay=timedelta(seconds=20))
        assert 18 < tenant.seconds_until_alarm <= 20
    finally:
        GATE.set()
    await asyncio.gather(*kept)
    assert (await slow.status()) is JobStatus.COMPLETED


async def test_a_blocked_job_does_not_delay_a_later_one(tenant: Tenant, ring: Ring) -> None:
    woken, backend = await backend_of(tenant)
    await Rare.using(backend).later_many([Note(tenant="acme"), Note(tenant="acme")])
    for _ in range(8):
        await ring(woken)
    await Keep.using(backend).later(Note(tenant="acme"), delay=timedelta(seconds=20))

    await ring(woken)

    assert 15 < tenant.seconds_until_alarm <= 20


@pytest.mark.parametrize("name", ["", "a/b", "é", "-a", "a b", "a" * 129, "..", "a?b"])
def test_names_that_no_path_can_have_are_refused(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="the name of a tenant must have 1 to 128 characters"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "7", "ada@example.com", "0b5c6f7e-1b2f-5044-831d-45b8fd043722", "a:b+c_d"])
def test_other_names_are_accepted(name: str) -> None:
    check_name(name)


def test_the_directory_lists_pages_by_name() -> None:
    directory = TenantDirectory(FakeStorage())
    for name, version in (("c", "2"), ("a", "2"), ("b", "1")):
        directory.record(name, version)

    first = json.loads(directory.page("2", "", 2))
    second = json.loads(directory.page("2", first["next"], 2))

    assert first["tenants"] == [
        {"name": "a", "version": "2", "is_behind": False},
        {"name": "b", "version": "1", "is_behind": True},
    ]
    assert [one["name"] for one in second["tenants"]] == ["c"]
    assert (first["total"], first["behind"], second["next"]) == (3, 1, None)
    assert json.loads(directory.behind("2", 10)) == ["b"]


class AppTransport:
    """Requests of `TursoDatabase` to the routes of a tenant, in this process."""

    def __init__(self, backend: TenantBackend, token: str = TOKEN) -> None:
        app = application(
            lambda _scope: _Opened(backend),
            lambda _scope: Tokens.from_environment({"JOBS_TOKEN": TOKEN}),
            HttpOptions(),
            further_routes=(PIPELINE,),
        )
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://jobs.example.com", headers=headers
        )

    async def post(self, body: str) -> Reply:
        response = await self._client.post("/v2/pipeline", content=body.encode())
        return Reply(response.status_code, response.text)

    async def close(self) -> None:
        await self._client.aclose()


class _Opened:
    def __init__(self, backend: TenantBackend) -> None:
        self._backend = backend

    async def __aenter__(self) -> TenantBackend:
        return self._backend

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


async def test_a_tenant_is_a_libsql_database_for_the_command_line(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)
    handle = await Keep.using(backend).later(Note(tenant="acme"), delay=timedelta(hours=1))
    remote = SqlStore(TursoDatabase("https://jobs.example.com", transport=AppTransport(backend)))
    await remote.open()

    (found,) = await remote.list_jobs(JobQuery())
    assert (found.id, found.params) == ((await handle.record()).id, '{"tenant":"acme"}')
    await remote.pause_queue("default")
    assert [one.name for one in await backend.store.paused_queues()] == ["default"]
    await remote.close()


async def test_a_statement_that_fails_changes_nothing(tenant: Tenant) -> None:
    _, backend = await backend_of(tenant)
    transport = AppTransport(backend)
    steps = ["BEGIN IMMEDIATE", "DELETE FROM paused_queues", "DELETE FROM missing", "COMMIT", "ROLLBACK"]
    await backend.store.pause_queue("default")

    reply = await transport.post(_batch(*steps))

    assert reply.status == 200
    assert "no such table: missing" in json.loads(reply.text)["results"][0]["error"]["message"]
    assert len(await backend.store.paused_queues()) == 1


@pytest.mark.parametrize(
    "body",
    [
        "[",
        "{}",
        '{"requests": [{"type": "sequence", "sql": "DELETE FROM jobs"}, {"type": "close"}]}',
        '{"requests": [{"type": "execute", "stmt": {"sql": "SELECT ?1", "args": [{}]}}, {"type": "close"}]}',
    ],
)
async def test_other_requests_of_the_protocol_are_refused(tenant: Tenant, body: str) -> None:
    _, backend = await backend_of(tenant)

    assert (await AppTransport(backend).post(body)).status == 422
    assert (await AppTransport(backend).post(_batch("DELETE FROM jobs", "COMMIT"))).status == 422
    assert (await AppTransport(backend, token="x" * 43).post(body)).status == 401


def _batch(*statements: str) -> str:
    steps = [{"stmt": {"sql": sql, "args": []}} for sql in statements]
    return json.dumps({"requests": [{"type": "batch", "batch": {"steps": steps}}, {"type": "close"}]})


def _behind(tenant: Tenant, deployed: TenantHandler) -> list[str]:
    return _behind_in(tenant.directory, deployed)


def _behind_in(directory: FakeDirectory, deployed: TenantHandler) -> list[str]:
    found: list[str] = json.loads(directory.tenants.behind(deployed.version, 1000))
    return found
