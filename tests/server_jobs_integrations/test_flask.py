"""Jobs in Flask applications: each with its own database, handlers in its context, and errors of callers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g
from server_jobs import Job, JobContext, JobOptions, JobRegistry, connect, create_job_registry, define_job, tick
from server_jobs_integrations import flask as extension
from server_jobs_integrations.flask import AppContext, ServerJobs

from tests.conformance.stores import create_sqlite_file
from tests.server_jobs_http.caller import Kept, Note

ended: list[tuple[str, str, bool]] = []
"""The application, the text of the job, and whether the thread is that of the handler, for each ended context."""


def note_app(params: Note) -> Kept:
    """Use the context of the application, as a handler uses the session of Flask-SQLAlchemy."""
    assert "text" not in g
    g.text, g.thread = params.text, threading.get_ident()
    if params.text == "bad":
        raise ValueError("bad")
    return Kept(length=len(current_app.config["NAME"]))


def plain(params: Note, context: JobContext) -> Kept:
    return note_app(params)


async def coroutine(params: Note, context: JobContext) -> Kept:
    return note_app(params)


AnyNoteJob = type[Job[Note, Kept, Mapping[str, object]]]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> tuple[AnyNoteJob, AnyNoteJob]:
    """Return a job with a plain handler, and one with a coroutine."""
    monkeypatch.setattr(extension, "_last", [])
    ended.clear()
    options = JobOptions(max_attempts=1)
    return (
        define_job(name="Plain", params=Note, result=Kept, handler=plain, options=options),
        define_job(name="Async", params=Note, result=Kept, handler=coroutine, options=options),
    )


@pytest.fixture
def registry(jobs: tuple[AnyNoteJob, AnyNoteJob]) -> JobRegistry:
    return create_job_registry().register(jobs[0]).register(jobs[1])


def shop(folder: Path, name: str) -> Flask:
    """Return an application without the extension, and create its database."""
    path = folder / f"{name}.sqlite3"
    create_sqlite_file(path)
    app = Flask(name)
    app.config.update(NAME=name, SERVER_JOBS_DATABASE_URL=f"sqlite:///{path}")

    @app.teardown_appcontext
    def end(_error: BaseException | None) -> None:
        if "text" in g:
            ended.append((name, g.text, g.thread == threading.get_ident()))

    return app


def with_views(app: Flask, job: AnyNoteJob) -> Flask:
    """Return the application with a view that enqueues, and one that shows a status."""

    @app.post("/notes/<text>")
    def add(text: str) -> Mapping[str, Any]:
        return {"job": job.later_sync({"text": text})}

    @app.get("/jobs/<job_id>")
    def status(job_id: str) -> Mapping[str, Any]:
        return {"status": job.handle(job_id).status_sync()}

    return app


def test_each_application_uses_its_own_database(
    tmp_path: Path, registry: JobRegistry, jobs: tuple[AnyNoteJob, AnyNoteJob]
) -> None:
    extension = ServerJobs(None, registry)
    first, second = (with_views(shop(tmp_path, name), jobs[0]) for name in ("first", "second"))
    extension.init_app(first)
    extension.init_app(second)

    added = first.test_client().post("/notes/x").get_json()["job"]

    assert first.test_client().get(f"/jobs/{added}").get_json() == {"status": "pending"}
    assert second.test_client().get(f"/jobs/{added}").status_code == 404
    # Without a context, the last application counts.
    assert jobs[0].handle(jobs[0].later_sync({"text": "x"})).status_sync() == "pending"


def test_errors_of_callers_are_problem_documents_unless_the_application_answers_them(
    tmp_path: Path, registry: JobRegistry, jobs: tuple[AnyNoteJob, AnyNoteJob]
) -> None:
    app = with_views(shop(tmp_path, "shop"), jobs[0])
    ServerJobs(app, registry)
    client = app.test_client()

    refused, unknown = client.post(f"/notes/{'x' * 41}"), client.get("/jobs/unknown")

    assert (refused.status_code, unknown.status_code) == (422, 404)
    assert refused.content_type == unknown.content_type == "application/problem+json"
    assert [one["pointer"] for one in refused.get_json(force=True)["errors"]] == ["/text"]


async def _run(registry: JobRegistry, app: Flask, jobs: tuple[AnyNoteJob, AnyNoteJob]) -> list[str]:
    """Enqueue and run two jobs of each kind in one process, and return their statuses."""
    async with connect(registry, app.config["SERVER_JOBS_DATABASE_URL"]) as backend:
        handles = [await job.later({"text": text}) for job in jobs for text in ("good", "bad")]
        await tick(backend)
        return [await handle.status() for handle in handles]


async def test_each_handler_runs_in_a_new_context_that_ends_in_its_thread(
    tmp_path: Path, registry: JobRegistry, jobs: tuple[AnyNoteJob, AnyNoteJob]
) -> None:
    app = shop(tmp_path, "shop")
    ServerJobs(app, registry)

    statuses = await _run(registry, app, jobs)

    assert statuses == ["completed", "failed"] * 2
    assert sorted(ended) == sorted([("shop", "good", True), ("shop", "bad", True)] * 2)


@pytest.mark.parametrize("protection", ["around_attempt", "around_plain_handler"])
async def test_handlers_without_a_context_of_their_own_fail_or_leak(
    protection: str,
    tmp_path: Path,
    registry: JobRegistry,
    jobs: tuple[AnyNoteJob, AnyNoteJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(AppContext, protection)
    app = shop(tmp_path, "shop")
    ServerJobs(app, registry)

    await _run(registry, app, jobs)

    assert sorted(ended) != sorted([("shop", "good", True), ("shop", "bad", True)] * 2)


def test_the_command_line_uses_the_database_of_the_application(
    tmp_path: Path, registry: JobRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_JOBS_DATABASE_URL", "")  # the command sets it for its processes
    monkeypatch.chdir(tmp_path)
    app = shop(tmp_path, "shop")
    ServerJobs(app, registry)
    with app.app_context():
        added = registry.find("Plain").job.later_sync({"text": "x"})

    listed = app.test_cli_runner().invoke(args=["jobs", "list", "--json"])
    helped = app.test_cli_runner().invoke(args=["jobs"])

    assert added in listed.output, listed.output
    assert "Usage: flask jobs" in helped.output
    assert app.test_cli_runner().invoke(args=["jobs", "nothing"]).exit_code == 2
