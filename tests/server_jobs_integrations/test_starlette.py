"""Jobs in a FastAPI application: lifespan, dependencies, and responses to errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from server_jobs import Backend, Job, JobHandle, JobRegistry, create_job_registry
from server_jobs.errors import BatchNotFoundError, DuplicateJobError, JobNotRetryableError
from server_jobs_http import Tokens, create_app
from server_jobs_integrations.starlette import add_exception_handlers, lifespan
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from tests.conformance.stores import create_sqlite_file
from tests.server_jobs_http.caller import BEARER, TOKEN, keep_job


@pytest.fixture
def url(tmp_path: Path) -> str:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


def shop(registry: JobRegistry, job: type[Job[Any, Any, Any]], url: str) -> FastAPI:
    """Return an application whose requests are transactions, as the page for FastAPI shows it."""
    engine = create_engine(url)
    app = FastAPI(lifespan=lifespan(registry, url))
    add_exception_handlers(app)

    def transaction() -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            yield session

    @app.post("/notes")
    def add(text: str, session: Annotated[Session, Depends(transaction, scope="function")]) -> str:
        handle = job.later_in(session, {"text": text})
        if text == "refused":
            raise HTTPException(409)
        return handle

    @app.get("/notes/{job_id}")
    async def status(note: Annotated[JobHandle[Any], Depends(job.handle)]) -> str:
        return await note.status()

    @app.get("/errors/{name}")
    async def fail(name: str) -> None:
        raise {
            "batch": BatchNotFoundError("b", "Keep"),
            "duplicate": DuplicateJobError("secret key", "7"),
            "completed": JobNotRetryableError("7", "completed"),
        }[name]

    return app


def test_an_application_enqueues_in_the_transaction_of_a_request_and_finds_jobs(url: str) -> None:
    job = keep_job()
    registry = create_job_registry().register(job)

    with TestClient(shop(registry, job, url)) as client:
        added = client.post("/notes?text=x").json()
        refused = client.post("/notes?text=refused")

        assert client.get(f"/notes/{added}").json() == "pending"
        assert refused.status_code == 409
    assert job.backend is None


def test_errors_of_callers_are_problem_documents_without_values(url: str) -> None:
    job = keep_job()

    with TestClient(shop(create_job_registry().register(job), job, url)) as client:
        replies = [
            client.post(f"/notes?text={'x' * 41}"),
            client.get("/notes/gone"),
            *(client.get(f"/errors/{name}") for name in ("batch", "duplicate", "completed")),
        ]

    assert [reply.status_code for reply in replies] == [422, 404, 404, 409, 409]
    assert {reply.headers["content-type"] for reply in replies} == {"application/problem+json"}
    assert replies[0].json()["title"] == "params of Keep do not fit its spec"
    assert [one["pointer"] for one in replies[0].json()["errors"]] == ["/text"]
    assert "secret" not in replies[3].text


def test_an_application_with_mounted_routes_shares_their_backend_and_can_start_again(url: str) -> None:
    job = keep_job()
    backend = Backend(database=url, job_registry=create_job_registry().register(job))
    app = FastAPI(lifespan=lifespan(backend))
    app.mount("/_jobs", create_app(backend, Tokens(TOKEN)))

    for count in (1, 2):
        with TestClient(app) as client:
            client.post("/_jobs/jobs/Keep", json={"params": {"text": "x"}}, headers=BEARER)
            assert job.backend is backend
            assert len(client.get("/_jobs/jobs", headers=BEARER).json()["jobs"]) == count
        assert job.backend is None
