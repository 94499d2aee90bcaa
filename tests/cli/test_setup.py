"""The setting `setup`: a function of the project adds middleware and lifespans, in every process that needs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.projects import TemporaryProject, job_spec, make_project
from tests.prepared import prepared_program

SETUP = """
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from server_jobs import Enqueue, JobRegistry, Middleware, RunningAttempt

NOTES = Path(__file__).with_name("notes")


def note(text: str) -> None:
    with NOTES.open("a") as file:
        file.write(text + "\\n")


class Mailer:
    def send(self) -> str:
        note("send")
        return "sent"


class Noting(Middleware):
    @contextmanager
    def around_enqueue(self, enqueue: Enqueue) -> Iterator[None]:
        note(f"enqueue {enqueue.job_name}")
        yield

    @asynccontextmanager
    async def around_attempt(self, attempt: RunningAttempt) -> AsyncIterator[None]:
        yield
        note(f"{attempt.job_name} {attempt.outcome}")


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailer]:
    note("open")
    yield Mailer()
    note("close")


def setup(registry: JobRegistry) -> None:
    note("setup")
    registry.use(Noting()).lifespan(mail_server)
"""
HANDLER = """
from app.jobs_setup import Mailer
from generated.models.send_email import SendEmailParams, SendEmailResult
from server_jobs import JobContext


def handle(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    context.resource(Mailer).send()
    return SendEmailResult()
"""
ONLY_ENQUEUES = """
import sys

from generated.jobs import SendEmail
from sqlalchemy import create_engine

with create_engine("sqlite:///server-jobs.sqlite3").begin() as connection:
    SendEmail.later_in(connection, {})
assert not any(name.startswith("handlers") for name in sys.modules)
SendEmail.set_database("sqlite:///server-jobs.sqlite3")
SendEmail.later_sync({})
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a generated project with a set-up function and a database."""
    project = make_project(tmp_path_factory.mktemp("made") / "project", {"send_email": job_spec("SendEmail")})
    table = "[tool.server-jobs]\n"
    settings = project.read("pyproject.toml").replace(table, f'{table}setup = "app.jobs_setup:setup"\n')
    project.path("pyproject.toml").write_text(settings, encoding="utf-8")
    project.path("app").mkdir()
    project.path("app/jobs_setup.py").write_text(SETUP, encoding="utf-8")
    project.generate()
    project.path("handlers/send_email.py").write_text(HANDLER, encoding="utf-8")
    command(project, "migrate")
    return project.root


@pytest.fixture
def project(tmp_path: Path, made: Path) -> TemporaryProject:
    """Return a copy of the project for one test."""
    return TemporaryProject(Path(shutil.copytree(made, tmp_path / "project")))


def command(project: TemporaryProject, *arguments: str, status: int = 0) -> str:
    """Run `server-jobs` in the folder of the project, and return its errors."""
    return in_process(project, prepared_program(), *arguments, status=status)


def in_process(project: TemporaryProject, *words: str, status: int = 0) -> str:
    done = subprocess.run(
        words,
        cwd=project.root,
        env={**os.environ, "SERVER_JOBS_DATABASE_URL": "sqlite:///server-jobs.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr


def notes(project: TemporaryProject) -> list[str]:
    """Return the notes of the set-up function and its hooks, and remove them."""
    lines = project.read("app/notes").splitlines()
    project.path("app/notes").unlink()
    return lines


def test_commands_use_the_set_up_function(project: TemporaryProject) -> None:
    command(project, "enqueue", "SendEmail", "--params", "{}")
    assert notes(project) == ["setup", "enqueue SendEmail"]
    command(project, "worker", "--until-empty")
    assert notes(project) == ["setup", "open", "send", "SendEmail completed", "close"]


def test_a_program_that_only_enqueues_uses_it_and_imports_no_handler(project: TemporaryProject) -> None:
    in_process(project, sys.executable, "-c", ONLY_ENQUEUES)
    assert notes(project) == ["setup", "enqueue SendEmail", "enqueue SendEmail"]


def test_a_handler_process_uses_it(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", runIn="process"))
    project.generate()
    command(project, "now", "SendEmail", "--params", "{}")
    assert sorted(notes(project)) == sorted(
        ["setup", "enqueue SendEmail", "open", "setup", "open", "send", "SendEmail completed", "close", "close"]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the set-up function of the registry failed: ImportError: cannot import name 'setup'"),
        (
            "def setup(registry: object) -> None:\n    raise OSError('no DSN')\n",
            "failed: OSError: no DSN (at app/jobs_setup.py:2 in setup)",
        ),
        (
            "async def setup(registry: object) -> None:\n    pass\n",
            "failed: InvalidOptionError: the set-up function setup must be a plain function, without `async`",
        ),
        (
            SETUP.replace('note("open")', "raise OSError('no mail server')"),
            "a lifespan of the registry failed: OSError: no mail server (at app/jobs_setup.py:",
        ),
    ],
)
def test_a_worker_that_cannot_be_set_up_ends_with_the_reason(
    project: TemporaryProject, text: str, message: str
) -> None:
    project.path("handlers/send_email.py").write_text(HANDLER.replace("from app.jobs_setup import Mailer\n", ""))
    project.path("app/jobs_setup.py").write_text(text, encoding="utf-8")
    errors = command(project, "worker", "--until-empty", status=3)
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["enqueue", "now"])
def test_an_error_of_middleware_around_an_enqueue_has_its_place_and_no_traceback(
    project: TemporaryProject, name: str
) -> None:
    text = SETUP.replace('note(f"enqueue {enqueue.job_name}")', "raise ValueError('no tenant')")
    project.path("app/jobs_setup.py").write_text(text, encoding="utf-8")
    errors = command(project, name, "SendEmail", "--params", "{}", status=3)
    message = r"Error: the middleware failed: ValueError: no tenant \(at app/jobs_setup\.py:\d+ in around_enqueue\)\n"
    assert re.fullmatch(message, errors)


@pytest.mark.slow
def test_a_supervisor_ends_if_no_process_can_be_set_up(project: TemporaryProject) -> None:
    text = HANDLER.replace("context: JobContext", "context: JobContext, mailer: Mailer")
    project.path("handlers/send_email.py").write_text(text, encoding="utf-8")
    project.path("app/jobs_setup.py").write_text(SETUP.replace("yield Mailer()", "yield None"), encoding="utf-8")
    errors = command(project, "worker", "--until-empty", "--processes", "2", status=3)
    assert re.search(
        r"cannot start: the handler of SendEmail \(handlers/send_email\.py:7\), parameter `mailer`: no resource "
        r"has the type Mailer; resources: none; ",
        errors,
    )
    assert "cannot be set up, and no other process runs" in errors
    assert "at work" not in errors


@pytest.mark.slow
def test_doctor_reports_a_set_up_function_that_fails(project: TemporaryProject) -> None:
    project.path("handlers/send_email.py").write_text(HANDLER.replace("from app.jobs_setup import Mailer\n", ""))
    project.path("app/jobs_setup.py").write_text("def setup(registry: object) -> None:\n    raise OSError('no DSN')\n")
    command = [sys.executable, "-m", "server_jobs_cli", "doctor"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "fail  the set-up function of the registry failed: OSError: no DSN (at app/jobs_setup.py:2" in done.stdout
