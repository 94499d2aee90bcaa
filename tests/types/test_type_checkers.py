"""Type checkers reject a handler, params or result that does not fit its spec."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import a_spec, a_spec_without_result, an_object, job

ROOT = Path(__file__).parents[2]

# Each line that ends in `# refused` must be reported by both checkers, and no other line may be.
PROGRAM = """
from contextlib import asynccontextmanager
from collections.abc import AsyncIterator
from server_jobs import EarlierVersion, JobContext, JobRegistry, Middleware, create_job_context, create_job_registry
from server_jobs.contract.model import JobModel
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


async def with_resource(params: SendEmailParams, context: JobContext, name: str) -> SendEmailResult:
    raise NotImplementedError


def with_resources(params: SendEmailParams, context: JobContext, *, name: str, to: int | None) -> SendEmailResult:
    raise NotImplementedError


async def other_params_with_resource(params: DailyDigestParams, context: JobContext, name: str) -> SendEmailResult:
    raise NotImplementedError


async def other_result_with_resource(params: SendEmailParams, context: JobContext, name: str) -> DailyDigestResult:
    raise NotImplementedError


create_job_registry().register(SendEmail, right)
create_job_registry().register(SendEmail, right_plain)
create_job_registry().register(SendEmail, with_resource)
create_job_registry().register(SendEmail, with_resources)
create_job_registry().register(SendEmail, other_params_with_resource)  # refused
create_job_registry().register(SendEmail, other_result_with_resource)  # refused
create_job_registry().register(SendEmail, other_params)  # refused
create_job_registry().register(SendEmail, other_result)  # refused
create_job_registry().register(SendEmail, plain_text)  # refused
create_job_registry().register(SendEmail, no_context)  # refused


async def batches(params: SendEmailParams, digest: DailyDigestParams) -> None:
    batch = await SendEmail.later_many([params], then=DailyDigest.new_job(digest))
    right: SendEmailResult = (await batch.results())[0].data
    wrong: DailyDigestResult = (await batch.results())[0].data  # refused
    await SendEmail.later_many([params], then=digest)  # refused
    await SendEmail.later_many([params], then=DailyDigest.new_job(params))  # refused


class Mailer:
    def send(self) -> int:
        return 1


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[Mailer, str]]:
    yield Mailer(), ""


def set_up(jobs: JobRegistry) -> None:
    jobs.use(Middleware()).lifespan(mail_server)  # refused


def no_set_up(jobs: str) -> None:
    print(jobs)


class Timing(Middleware):
    pass


create_job_registry().use(Timing()).lifespan(mail_server)
create_job_registry().set_up(set_up)
create_job_registry().set_up(no_set_up)  # refused
create_job_registry().use(5)  # refused
create_job_registry().lifespan(set_up)  # refused
sent: int = create_job_context(resources=(Mailer(),)).resource(Mailer).send()
unsent: str = create_job_context().resource(Mailer).send()  # refused


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
    digests = await DailyDigest.now_many([{"recipients": ["ada@example.com"]}])
    since: str = digests[0].data.since  # refused
    print(message_id, number, since)
"""
# The same for models, and for the documents that replace them.
CALLER = """
from generated_models import CaseParams, CaseParamsDict


def handle(params: CaseParams) -> str:
    reply: str | None = params.reply_to
    return reply or params.to


good = CaseParams(to="a@example.com", reply_to=None, extra_tags=["x"])
document: CaseParamsDict = {"to": "a@example.com", "replyTo": "b@example.com"}
CaseParams(to=3)  # refused
CaseParams(reply_to="b@example.com")  # refused
wrong: CaseParamsDict = {"to": 3}  # refused
unknown: CaseParamsDict = {"to": "a@example.com", "reply_to": "b@example.com"}  # refused
missing: str = good.reply_to  # refused
"""
# The same for params that are a union of objects.
UNION = """
from generated_union import CaseParams, CaseParamsDict, CaseParamsEmail, CaseParamsSms, CaseResult
from server_jobs import Job, JobContext, define_job


class Notify(Job[CaseParams, CaseResult, CaseParamsDict]):
    pass


def handle(params: CaseParams, context: JobContext) -> CaseResult:
    match params.root:
        case CaseParamsEmail(to=to):
            address: str = to
        case CaseParamsSms():
            address = params.root.number
            print(params.root.to)  # refused
    print(params.root.to)  # refused
    if params.root.kind == "sms":
        print(params.root.number)
    return CaseResult()


async def enqueue() -> None:
    await Notify.later({"kind": "email", "to": "a"})
    await Notify.later({"kind": "sms", "number": "1"})
    await Notify.later(CaseParams(CaseParamsEmail(kind="email", to="a")))
    await Notify.later({"kind": "sms", "to": "a"})  # refused
    await Notify.later({"kind": "fax", "to": "a"})  # refused
    await Notify.later(CaseParams(CaseResult()))  # refused


define_job(name="Notify", params=CaseParams, result=CaseResult, handler=handle)
"""
# The same for `later_in`: a forgotten `await`, and objects that are no transaction.
TRANSACTIONS = """
import sqlite3
from collections.abc import Sequence
from io import StringIO
from typing import Any, assert_type

import aiosqlite
import psycopg
from django.db import connection, connections
from generated.jobs import SendEmail
from generated.models.send_email import SendEmailParams, SendEmailResult
from server_jobs import Batch, JobHandle
from sqlalchemy import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

Handle = JobHandle[SendEmailResult]


class AsyncpgConnection:  # the library has no types; this is the form in `asyncpg-stubs`
    async def fetch(self, query: str, *args: object) -> Sequence[object]:
        return ()

    def transaction(self, *, readonly: bool = False) -> object:
        return None


def place(
    lite: sqlite3.Connection,
    dicts: psycopg.Connection[dict[str, Any]],
    raw: Connection,
    session: Session,
    scoped: scoped_session[Session],
    engine: Engine,
    params: SendEmailParams,
) -> None:
    assert_type(SendEmail.later_in(lite, params), Handle)
    assert_type(SendEmail.later_in(dicts, params), Handle)
    assert_type(SendEmail.later_in(raw, params), Handle)
    assert_type(SendEmail.later_in(session, params), Handle)
    assert_type(SendEmail.later_in(scoped, params), Handle)
    assert_type(SendEmail.later_many_in(session, [params]), Batch[SendEmailResult])
    SendEmail.later_in(connection, params, priority=1)
    SendEmail.later_in(connections["other"], params)
    SendEmail.later_in("other", params)
    SendEmail.later_in(engine, params)  # refused
    SendEmail.later_in(StringIO(), params)  # refused
    SendEmail.later_in(lite, {"to": ["ada@example.com"]})  # refused
    SendEmail.later_in(lite, params, prioritee=1)  # refused
    SendEmail.insert_job(params, dialect="sqlite", paramstyle=sqlite3.paramstyle)
    SendEmail.insert_job(params, dialect="mysql", paramstyle="format")  # refused


async def place_async(
    lite: aiosqlite.Connection,
    pg: psycopg.AsyncConnection[Any],
    asyncpg: AsyncpgConnection,
    raw: AsyncConnection,
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
    params: SendEmailParams,
) -> None:
    assert_type(await SendEmail.later_in(lite, params), Handle)
    assert_type(await SendEmail.later_in(pg, params), Handle)
    assert_type(await SendEmail.later_in(asyncpg, params), Handle)
    assert_type(await SendEmail.later_in(raw, params), Handle)
    assert_type(await SendEmail.later_in(session, params), Handle)
    assert_type(await SendEmail.later_in(scoped, params), Handle)
    assert_type(await SendEmail.later_many_in(session, [params]), Batch[SendEmailResult])
    SendEmail.later_in(lite, params)  # refused
    SendEmail.later_in(pg, params)  # refused
    SendEmail.later_in(asyncpg, params)  # refused
    SendEmail.later_in(raw, params)  # refused
    SendEmail.later_in(session, params)  # refused
    SendEmail.later_in(scoped, params)  # refused
    SendEmail.later_many_in(session, [params])  # refused
"""
# The same for a job that needs no params and has no result.
PRUNING = """
from types import NoneType

from generated_pruning import CaseParams, CaseParamsDict
from server_jobs import JobContext, JobResult, OptionalParamsJob, create_job_registry, define_job


class Prune(OptionalParamsJob[CaseParams, None, CaseParamsDict]):
    pass


async def handle(params: CaseParams, context: JobContext) -> None:
    print(params.days)


async def give_days(params: CaseParams, context: JobContext) -> int:
    return params.days


async def enqueue() -> None:
    await Prune.later()
    await Prune.later(CaseParams(days=3), priority=1)
    await Prune.later(priority=1)
    await Prune.later({"dais": 3})  # refused
    done: JobResult[None] = await Prune.now({"days": 3})
    print(done.data.days)  # refused


create_job_registry().register(Prune, handle)
create_job_registry().register(Prune, give_days)  # refused
define_job(name="Prune", params=CaseParams, result=NoneType, handler=handle)
"""
PROGRAMS = {"program": PROGRAM, "caller": CALLER, "union": UNION, "pruning": PRUNING, "transactions": TRANSACTIONS}
REFUSED = {
    (f"{name}.py", number)
    for name, text in PROGRAMS.items()
    for number, line in enumerate(text.splitlines(), 1)
    if line.endswith("# refused")
}
WRONG_KEY = next(number for number, line in enumerate(CALLER.splitlines(), 1) if line.startswith("unknown:"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the programs, and the models of two of them. Each checker reads all at once, as it is slow to start."""
    mail = {"type": "string", "format": "email"}
    tags = {"type": "array", "items": {"type": "string"}, "default": []}
    count = {"type": "integer", "default": 1.0}
    params = {**an_object(to=mail, replyTo=mail, extraTags=tags, count=count), "required": ["to"]}
    models = render_models(job(tmp_path, a_spec(params)))
    text = {"type": "string"}
    email = {**an_object(kind={"const": "email"}, to=text), "required": ["kind", "to"]}
    sms = {**an_object(kind={"const": "sms"}, number=text), "required": ["kind", "number"]}
    union = render_models(job(tmp_path, a_spec({"oneOf": [email, sms]})))
    pruning = render_models(job(tmp_path, a_spec_without_result(an_object(days={"type": "integer", "default": 1}))))
    modules = {"generated_models": models, "generated_union": union, "generated_pruning": pruning}
    for name, text_ in (PROGRAMS | modules).items():
        (tmp_path / f"{name}.py").write_text(text_, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_mypy_rejects_code_that_does_not_fit_its_spec(folder: Path) -> None:
    # The cache about libraries is shared with `make types`, which checks the same ones.
    options = ("--strict", "--config-file", "pyproject.toml", "-O", "json")
    finished = _run("mypy", *options, *sorted(folder.glob("*.py")), MYPYPATH=str(folder))
    found = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    assert {(Path(one["file"]).name, one["line"]) for one in found} == REFUSED, finished.stdout
    messages = {one["line"]: one["message"] for one in found if Path(one["file"]).name == "caller.py"}
    assert messages[WRONG_KEY] == 'Extra key "reply_to" for TypedDict "CaseParamsDict"'


# `make types` runs pyright, and the test of mypy is the short form.
@pytest.mark.slow
def test_pyright_rejects_code_that_does_not_fit_its_spec(folder: Path) -> None:
    settings = {"extraPaths": [str(ROOT), str(ROOT / "runtime"), str(ROOT / "generator")], "include": ["*.py"]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    finished = _run("pyright", "--outputjson", "--project", folder, "--pythonpath", sys.executable)
    report = json.loads(finished.stdout)
    errors = [found for found in report["generalDiagnostics"] if found["severity"] == "error"]
    found = {(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in errors}
    assert found == REFUSED, finished.stdout
    assert any('"reply_to" is an undefined item in type "CaseParamsDict"' in one["message"] for one in errors)


def _run(tool: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", tool, *map(str, arguments)],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
