"""What the type checkers promise: a handler, params or result that does not fit its spec is refused in the editor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each line that ends in `# refused` must be reported by both checkers, and no other line may be.
PROGRAM = """
from server_jobs import EarlierVersion, JobContext, create_job_registry
from server_jobs.model import JobModel
from generated.jobs import DailyDigest, SendEmail
from generated.models.send_email import SendEmailParams, SendEmailResult
from generated.models.daily_digest import DailyDigestParams, DailyDigestResult


async def right(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    raise NotImplementedError


def right_plain(params: SendEmailParams, context: JobContext) -> SendEmailResult:
    raise NotImplementedError


async def other_params(params: DailyDigestParams, context: JobContext) -> SendEmailResult:
    raise NotImplementedError


async def other_result(params: SendEmailParams, context: JobContext) -> DailyDigestResult:
    raise NotImplementedError


def plain_text(params: SendEmailParams, context: JobContext) -> str:
    return ""


async def no_context(params: SendEmailParams) -> SendEmailResult:
    raise NotImplementedError


create_job_registry().register(SendEmail, right)
create_job_registry().register(SendEmail, right_plain)
create_job_registry().register(SendEmail, other_params)  # refused
create_job_registry().register(SendEmail, other_result)  # refused
create_job_registry().register(SendEmail, plain_text)  # refused
create_job_registry().register(SendEmail, no_context)  # refused


class NoteV1(JobModel):
    text: str


class NoteV2(JobModel):
    body: str


def right_upcast(params: NoteV1) -> NoteV2:
    return NoteV2(body=params.text)


def from_another_version(params: NoteV2) -> NoteV2:
    return params


def to_another_version(params: NoteV1) -> NoteV1:
    return params


EarlierVersion[NoteV1, NoteV2](1, NoteV1, right_upcast)
EarlierVersion[NoteV1, NoteV1](1, NoteV1)
EarlierVersion[NoteV1, NoteV2](1, NoteV1, from_another_version)  # refused
EarlierVersion[NoteV1, NoteV2](1, NoteV1, to_another_version)  # refused
EarlierVersion[NoteV1, NoteV2](1, NoteV2, right_upcast)  # refused


async def enqueue() -> None:
    await SendEmail.later({"to": ["ada@example.com"], "subject": "Hello", "body": "World"}, priority=1)
    await SendEmail.later(SendEmailParams(to=["ada@example.com"], subject="Hello", body="World"))
    await SendEmail.later({"to": "ada@example.com", "subject": "Hello", "body": "World"})  # refused
    await SendEmail.later({"to": ["ada@example.com"], "subject": "Hello"})  # refused
    await SendEmail.later(DailyDigestParams(recipients=["ada@example.com"]))  # refused
    await SendEmail.later({"to": ["ada@example.com"], "subject": "Hello", "body": "World"}, prioritee=1)  # refused
    result = await SendEmail.now({"to": ["ada@example.com"], "subject": "Hello", "body": "World"})
    message_id: str = result.data.message_id
    number: int = result.data.message_id  # refused
    digests = await DailyDigest.batch([{"recipients": ["ada@example.com"]}])
    since: str = digests[0].data.since  # refused
    print(message_id, number, since)
"""
REFUSED = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# refused")}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_mypy_refuses_what_does_not_fit_its_spec(program: Path, tmp_path: Path) -> None:
    finished = _run(
        "mypy", "--strict", "--config-file", "pyproject.toml", "--cache-dir", tmp_path / "cache", "-O", "json", program
    )
    found = {json.loads(line)["line"] for line in finished.stdout.splitlines() if line.startswith("{")}
    assert found == REFUSED, finished.stdout


def test_pyright_refuses_what_does_not_fit_its_spec(program: Path) -> None:
    settings = {"extraPaths": [str(ROOT), str(ROOT / "runtime"), str(ROOT / "generator")], "include": ["program.py"]}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    finished = _run("pyright", "--outputjson", "--project", program.parent, "--pythonpath", sys.executable)
    report = json.loads(finished.stdout)
    errors = [found for found in report["generalDiagnostics"] if found["severity"] == "error"]
    assert {found["range"]["start"]["line"] + 1 for found in errors} == REFUSED, finished.stdout


def _run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
