"""Several databases in FastAPI, Flask and Django, and in tests of a project."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from server_jobs import Databases, InvalidOptionError, ProjectError
from server_jobs.registry import JobRegistry
from server_jobs.testing import InMemoryJobs
from server_jobs_http import Tokens, create_app
from server_jobs_integrations import flask as extension
from server_jobs_integrations.flask import ServerJobs
from server_jobs_integrations.starlette import add_exception_handlers, lifespan

from tests.django_settings import configure_django
from tests.server_jobs_http.caller import BEARER, TOKEN

from .letters import EU, US, CleanUp, Letter, new_registry


@pytest.mark.parametrize("kind", [JobRegistry, Databases])
def test_the_lifespan_of_an_application_binds_all_databases(kind: type[object], urls: Mapping[str, str]) -> None:
    registry = new_registry()
    databases = Databases(registry)
    app = FastAPI(lifespan=lifespan(registry if kind is JobRegistry else databases))
    add_exception_handlers(app)

    @app.post("/letters/{tenant}")
    async def send(tenant: str) -> str:
        handle = await Letter.later({"tenant": tenant})
        return f"{await handle.status()}"

    with TestClient(app) as client:
        assert [client.post(f"/letters/{tenant}").json() for tenant in (EU, US)] == ["pending", "pending"]
    assert Letter.binding() is None


def test_the_routes_of_one_database_refuse_jobs_of_another(urls: Mapping[str, str]) -> None:
    databases = Databases(new_registry())
    app = FastAPI(lifespan=lifespan(databases))
    app.mount("/us", create_app(databases["us"], tokens=Tokens(TOKEN)))
    with TestClient(app) as client:
        here = client.post("/us/jobs/Letter", json={"params": {"tenant": US}}, headers=BEARER)
        assert here.status_code == 201, here.text
        for url, body in (
            ("/us/jobs/Letter", {"params": {"tenant": EU}}),
            ("/us/jobs/CleanUp", {"params": {}}),
            ("/us/batches/Letter", {"params": [{"tenant": EU}]}),
        ):
            refusal = client.post(url, json=body, headers=BEARER)
            assert 400 <= refusal.status_code < 500, refusal.text
            assert "belongs to the database 'eu', not to 'us'" in refusal.text


def test_flask_finds_the_database_of_the_params(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension, "_last", [])
    registry = new_registry()
    app = Flask("shop")
    ServerJobs(app, registry)
    try:
        with app.app_context():
            assert Letter.later_sync({"tenant": EU}).status_sync() == "pending"
            assert Letter.later_sync({"tenant": US}).status_sync() == "pending"
            assert CleanUp.later_sync({}).created
    finally:
        registry.bind(None)
    app.config["SERVER_JOBS_DATABASE_URL"] = urls["eu"]
    with pytest.raises(InvalidOptionError, match=r"remove SERVER_JOBS_DATABASE_URL from app\.config"):
        ServerJobs(app, registry)


def test_django_refuses_several_databases() -> None:
    configure_django()
    from server_jobs_django.backend import DjangoBackend

    with pytest.raises(ProjectError, match="DATABASE_ROUTERS"):
        DjangoBackend(new_registry())


async def test_jobs_of_all_databases_are_in_memory_in_a_test(urls: Mapping[str, str]) -> None:
    registry = new_registry()
    databases = Databases(registry)
    with registry.bound_to(databases), InMemoryJobs(registry) as jobs:
        await Letter.later({"tenant": EU})
        await Letter.later({"tenant": US, "copies": (EU,)})
        await databases["us"].insert([Letter.new_job({"tenant": US, "text": "here"})])
        assert len(jobs.all_enqueued(Letter)) == 3
        await jobs.run_jobs()
        assert len(jobs.all_enqueued(Letter)) == 4
