"""Requests to tenants: which ones reach an object, and that refused ones leave no tenant behind, on a fake storage."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from server_jobs.security.links import events_link
from server_jobs.security.tokens import NamedToken, Tokens, new_token, rights_of
from server_jobs_cloudflare import entry
from server_jobs_cloudflare.tenant_object import TenantObject
from server_jobs_cloudflare.tenants import create_tenant_handler
from server_jobs_http.dashboard.sessions import COOKIE, cookie_of
from starlette.applications import Starlette

from tests.server_jobs_cloudflare.test_tenants import REGISTRY, TABLES, TOKEN, Tenant

READER, BILLER = "reader-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQi", "biller-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQi"
NAMED = "\n".join(
    (
        NamedToken.of("reader", rights_of(["read"]), READER).line,
        NamedToken.of("biller", rights_of(["enqueue:billing"]), BILLER).line,
    )
)
PATH = "/_jobs/tenants/acme"


def tenant() -> Tenant:
    made = Tenant()
    made.env.JOBS_TOKEN, made.env.JOBS_TOKENS = TOKEN, NAMED
    return made


def client_of(app: Starlette, env: object, token: str | None) -> httpx.AsyncClient:
    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["env"] = env
        await app(scope, receive, send)

    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(answer, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://jobs.example.com", headers=headers)


async def answers(woken: TenantObject, env: object, token: str | None, method: str, path: str, body: object) -> int:
    async with client_of(woken._handler.app, env, token) as client:
        return (await client.request(method, f"{PATH}/{path}", json=body)).status_code


@pytest.mark.parametrize(
    ("token", "method", "path", "body", "status"),
    [
        (TOKEN, "POST", "jobs/Keep", {"params": {}}, 422),
        (TOKEN, "POST", "jobs/Keep", {"params": {"tenant": "globex"}}, 422),
        (TOKEN, "POST", "jobs/Keep", {"params": {"tenant": "acme"}, "delay": "yesterday"}, 422),
        (TOKEN, "POST", "jobs/Keep", [], 422),
        (TOKEN, "POST", "batches/Keep", {"params": []}, 422),
        (TOKEN, "POST", "jobs/Unknown", {"params": {"tenant": "acme"}}, 404),
        (TOKEN, "POST", "more/jobs/Keep", {"params": {"tenant": "acme"}}, 404),
        (TOKEN, "GET", "jobs", None, 404),
        (TOKEN, "POST", "trigger", {}, 404),
        (TOKEN, "POST", "schedules/Keep/daily", {"cron": "0 8 * * *", "params": {"tenant": "acme"}}, 404),
        (READER, "POST", "jobs/Keep", {"params": {"tenant": "acme"}}, 403),
        (BILLER, "POST", "jobs/Keep", {"params": {"tenant": "acme"}}, 403),
        (BILLER, "POST", "batches/Keep", {"params": [{"tenant": "acme"}]}, 403),
        (None, "POST", "jobs/Keep", {"params": {"tenant": "acme"}}, 401),
    ],
)
async def test_a_refused_request_makes_no_tenant(
    token: str | None, method: str, path: str, body: object, status: int
) -> None:
    nobody = tenant()

    assert await answers(nobody.woken(), nobody.env, token, method, path, body) == status

    assert nobody.storage.sql.exec("SELECT name FROM sqlite_master").rows == []
    assert (nobody.directory.calls, nobody.storage.alarm) == (0, None)


async def test_the_first_stored_job_makes_the_tenant_and_its_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "keep_running", lambda work: work.close())  # needs Pyodide
    new = tenant()
    woken = new.woken()

    for path, params in (("jobs", {"tenant": "acme"}), ("batches", [{"tenant": "acme"}])):
        assert await answers(woken, new.env, TOKEN, "POST", f"{path}/Keep", {"params": params, "delay": "PT1H"}) == 201

    assert woken.exists
    assert (new.directory.calls, new.seconds_until_alarm > 3000) == (1, True)


async def test_tables_made_before_the_insert_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: with the tables made for any request that would enqueue, a refused one leaves a tenant."""
    nobody = tenant()
    monkeypatch.setattr(TenantObject, "name_it", lambda self, name: self._schema.upgrade())

    await answers(nobody.woken(), nobody.env, TOKEN, "POST", "jobs/Keep", {"params": {}})

    assert nobody.storage.sql.exec("SELECT name FROM sqlite_master").rows != []


@dataclass
class Asked:
    """A request to the Worker, as Cloudflare passes it."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"

    @property
    def url(self) -> str:
        return f"https://jobs.example.com{self.path}"


async def is_forwarded(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the Worker passes a request on to the object of the tenant."""
    handler, woken = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES), list[object]()

    class Stub:
        async def fetch(self, request: object) -> str:
            woken.append(request)
            return "the object's answer"

    async def answered_here(*_: object) -> str:
        return "the Worker's answer"

    env = SimpleNamespace(JOBS_TOKEN=TOKEN, JOBS_TOKENS=NAMED)
    env.TENANTS = SimpleNamespace(idFromName=str, get=lambda _: Stub())
    monkeypatch.setitem(sys.modules, "asgi", SimpleNamespace(fetch=answered_here))
    await handler.fetch(asked, env, None)
    return bool(woken)


def tokens() -> Tokens:
    return Tokens.from_environment({"JOBS_TOKEN": TOKEN, "JOBS_TOKENS": NAMED})


def link(tokens: Tokens) -> str:
    signed = events_link("jobs", "an-id", f"https://jobs.example.com{PATH}", timedelta(hours=1), tokens)
    return signed.removeprefix("https://jobs.example.com")


def cookie(tokens: Tokens) -> str:
    return cookie_of(next(iter(tokens)), tokens)


async def test_a_valid_token_link_or_cookie_reaches_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in (
        Asked(f"{PATH}/jobs", {"Authorization": f"Bearer {TOKEN}"}),
        Asked(f"{PATH}/jobs", {"authorization": f"Bearer {READER}"}),
        Asked(f"{PATH}/jobs/Keep", {"authorization": f"Bearer {BILLER}"}, "POST"),
        Asked(link(tokens())),
        Asked(f"{PATH}/dashboard/", {"cookie": f"theme=dark; {COOKIE}={cookie(tokens())}"}),
    ):
        assert await is_forwarded(asked, monkeypatch), asked


async def test_other_requests_wake_no_object_whatever_tenant_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = Tokens.from_environment({"JOBS_TOKEN": new_token()})
    monkeypatch.setenv("JOBS_KEY_SECRET", new_token())
    forged_link, forged_cookie = link(strange), cookie(strange)
    monkeypatch.undo()
    for asked in (
        Asked(f"{PATH}/jobs"),
        Asked(f"{PATH}/jobs", {"authorization": f"Bearer {new_token()}"}),
        Asked(f"{PATH}/jobs", {"authorization": TOKEN}),
        Asked(f"{PATH}/jobs", {"authorization": f"Bearer {TOKEN}, Bearer {TOKEN}"}),
        Asked(forged_link),
        Asked(link(tokens()).replace("an-id", "another")),
        Asked(link(tokens()).replace("/events", "")),
        Asked(f"{PATH}/dashboard/"),
        Asked(f"{PATH}/dashboard/sign-in", method="POST"),
        Asked(f"{PATH}/dashboard/", {"cookie": f"{COOKIE}={forged_cookie}"}),
        Asked(f"{PATH}/dashboard/", {"cookie": f"{COOKIE}="}),
        Asked("/_jobs/tenants/a%20b/jobs", {"authorization": f"Bearer {TOKEN}"}),
    ):
        assert not await is_forwarded(asked, monkeypatch), asked


async def test_the_worker_signs_people_in_to_the_dashboard_of_a_tenant() -> None:
    env = SimpleNamespace(JOBS_TOKEN=TOKEN, JOBS_TOKENS=NAMED)  # no binding of tenants: the Worker answers alone
    app = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES).app
    async with client_of(app, env, None) as client:
        to_sign_in = await client.get(f"{PATH}/dashboard/jobs")
        page = await client.get(to_sign_in.headers["location"])
        wrong = await client.post(page.url.path, data={"token": "x" * 43})
        signed_in = await client.post(f"{page.url.path}?next=/jobs", data={"token": TOKEN})
        refused = [await client.get(f"{PATH}/{path}") for path in ("jobs", "status", "openapi.json")]
        gone = await client.get(f"{PATH}/dashboard/jobs", headers={"cookie": f"{COOKIE}={cookie(tokens())}"})

    assert (to_sign_in.status_code, page.status_code, wrong.status_code) == (303, 200, 401)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, f"{PATH}/dashboard/jobs")
    assert f"Path={PATH}/dashboard;" in signed_in.headers["set-cookie"]
    assert [one.status_code for one in refused] == [401, 401, 401]
    assert gone.status_code == 404


@pytest.mark.parametrize("token", [READER, None])
@pytest.mark.parametrize("kind", ["jobs", "batches"])
async def test_a_job_that_names_its_tenant_needs_the_scope_enqueue_at_the_worker(token: str | None, kind: str) -> None:
    env = SimpleNamespace(JOBS_TOKEN=TOKEN, JOBS_TOKENS=NAMED)  # no binding: 503 once a request is admitted
    app = create_tenant_handler(job_registry=REGISTRY, migrations=TABLES).app
    body = {"params": {"tenant": "acme"} if kind == "jobs" else [{"tenant": "acme"}]}

    async with client_of(app, env, token) as client:
        refused = await client.post(f"/_jobs/{kind}/Keep", json=body)
    async with client_of(app, env, BILLER) as client:
        other_queue = await client.post(f"/_jobs/{kind}/Keep", json=body)
    async with client_of(app, env, TOKEN) as client:
        admitted = await client.post(f"/_jobs/{kind}/Keep", json=body)

    assert refused.status_code == (401 if token is None else 403)
    assert (other_queue.status_code, admitted.status_code) == (403, 503)
