"""The same application mounted in common frameworks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from server_jobs.contract.model import JobModel
from server_jobs.memory import InMemoryBackend
from server_jobs_http import Tokens, create_app
from server_jobs_http.app import under_prefix
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.django_settings import configure_django
from tests.server_jobs_http.caller import TOKEN, Caller, new_backend

TOKENS = Tokens(TOKEN)


class MailParams(JobModel, extra="forbid"):
    """A generated model that nothing has used yet."""

    to: str


def in_starlette(backend: InMemoryBackend) -> ASGIApp:
    """Mount it beside a route of the application."""

    async def home(_request: object) -> PlainTextResponse:
        return PlainTextResponse("home")

    return Starlette(routes=[Route("/", home), Mount("/_jobs", create_app(backend, TOKENS))])


def in_fastapi(backend: InMemoryBackend) -> ASGIApp:
    """Mount it into an application with its own lifespan."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(lifespan=lifespan)
    app.get("/")(lambda: "home")
    app.mount("/_jobs", create_app(backend, TOKENS))
    return app


def in_django(backend: InMemoryBackend) -> ASGIApp:
    """Mount it in the `asgi.py` of a project, before Django's own application."""
    configure_django()
    pages, jobs = get_asgi_application(), under_prefix(create_app(backend, TOKENS))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = jobs if scope["type"] == "http" and scope["path"].startswith("/_jobs/") else pages
        await chosen(scope, receive, send)

    return application


def by_itself(backend: InMemoryBackend) -> ASGIApp:
    """Use it alone, as `server-jobs serve` does."""
    return under_prefix(create_app(backend, TOKENS))


urlpatterns: list[object] = []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("host", [in_starlette, in_fastapi, in_django, by_itself])
async def test_the_routes_work_where_they_are_mounted(host: Callable[[InMemoryBackend], ASGIApp]) -> None:
    backend = new_backend()
    call = Caller(backend, app=host(backend))

    created = await call("POST", "/_jobs/jobs/Keep", {"params": {"text": "x"}})
    triggered = await call("POST", "/_jobs/trigger")
    shown = await call("GET", created.headers["location"])

    assert (created.status_code, triggered.json()["completed"]) == (201, 1)
    assert created.headers["location"] == f"/_jobs/jobs/{created.json()['id']}"
    assert shown.json()["result"] == {"length": 1}
    assert (await call("GET", "/_jobs/openapi.json")).json()["servers"] == [{"url": "/_jobs"}]
    assert (await call("GET", "/_jobs/status", headers={"authorization": "Bearer x"})).status_code == 401
    assert (await call("GET", "/nowhere")).status_code == 404


async def test_tokens_are_those_of_the_environment_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_TOKEN", TOKEN)
    call = Caller(app=create_app(new_backend()))

    assert (await call("GET", "/status")).status_code == 200


async def test_a_route_of_fastapi_takes_params_of_a_job_without_a_warning() -> None:
    app = FastAPI()

    @app.post("/mails")
    async def send(params: MailParams) -> str:
        return params.to

    call = Caller(app=app)
    assert (await call("POST", "/mails", {"to": "ada"})).json() == "ada"
    assert (await call("POST", "/mails", {"too": "ada"})).status_code == 422
