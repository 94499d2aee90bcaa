"""One secret in the params of jobs, and every place where a text about a job can be read.

The places are discovered: columns, routes, pages, commands, tools and integrations. A new one fails a test until it is
named here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import pkgutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import cast

import httpx
import pytest
import server_jobs_integrations
from click.testing import CliRunner
from server_jobs import Backend, JobQuery, connect
from server_jobs.contract.masking import Masking
from server_jobs.domain.record import NewJob
from server_jobs.errors import ServerJobsError
from server_jobs.logs import JobLogFilter
from server_jobs.security.tokens import ALL_RIGHTS, Caller
from server_jobs_cli.command_plug_ins import command_names
from server_jobs_cli.program import program
from server_jobs_http import Tokens, create_app
from server_jobs_http.dashboard.pages import PAGES
from server_jobs_http.problem_document import RefusedError
from server_jobs_http.routes.table import ROUTES
from server_jobs_mcp.job_tools import job_tools
from server_jobs_mcp.reading_tools import reading_tools
from server_jobs_mcp.tool import Tool
from server_jobs_mcp.writing_tools import writing_tools
from starlette.routing import Route

from tests.conformance.stores import create_sqlite_file

from . import leaky_jobs
from .leaky_jobs import LINES, MARK, SECRET, WAYS, Apart, Leaky, Plain, Strict, Timed, Unique, Upcast, leaking, registry

KEY_SECRET = "rJ4-vX8kTq2mBz6nWc0yHd5gLs9fPa3eUo7iRt1wQ_x"

HIDDEN_PARAMS = {"secret": SECRET, "lines": LINES}
STORED = {("jobs", "params"), ("cron_jobs", "params")}
"""The columns that have the params."""

COMMANDS_ABOUT_A_JOB = {
    "list": [[], ["--json"]],
    "show": [["ID"], ["ID", "--json"]],
    "why": [["ID"], ["ID", "--json"]],
    "audit": [[], ["--json"]],
    "workers": [[], ["--json"]],
    "schedules": [[], ["--json"]],
    "doctor": [[], ["--json"]],
    "retry": [["ID"], ["ID", "--json"]],
    "cancel": [["ID"], ["ID", "--json"]],
    "repair": [["--all", "Upcast"], ["--all", "Upcast", "--json"], ["ID", "--params", '{"secret": 5, "lines": "x"}']],
    "pause": [["default"]],
    "resume": [["default"]],
    "prune": [["--older-than", "365d"]],
    "delete": [["--where", "params.way=nothing", "--yes"]],
    "tick": [[], ["--json"]],
    "worker": [["--until-empty"]],
    "now": [
        ["Leaky", "--params", json.dumps({"way": way, **HIDDEN_PARAMS}), *store]
        for way in WAYS
        for store in ([], ["--no-persist"])
    ],
    "enqueue": [
        ["Unique", "--params", json.dumps({"way": "", **HIDDEN_PARAMS})],
        ["Strict", "--params", json.dumps({"way": "", "other": 1, **HIDDEN_PARAMS})],
        ["Leaky", "--params", json.dumps({"way": "", "lines": LINES, "secret": [SECRET]})],
    ],
}
COMMANDS_WITHOUT_JOBS = {
    *("init", "new", "import", "generate", "check", "explain", "token", "migrate", "tenants"),
    *("serve", "mcp"),  # below: their routes, pages and tools
    "run",  # what it stores is stored as for a job in this process
}
INTEGRATIONS = {
    "opentelemetry": "tests/server_jobs_integrations/test_opentelemetry.py",
    "sentry": "tests/server_jobs_integrations/test_sentry.py",
    "structlog": "binds ids only",
    "prometheus": "labels are names of jobs and queues, as in the route /metrics",
    "flask": "has the command line of this test",
    "starlette": "answers errors of calls, whose params are the caller's",
    "messaging_conventions": "names of attributes",
}


@dataclass
class Place:
    """A database with the jobs of each way, and the records of the log while they ran."""

    path: Path
    records: list[logging.LogRecord] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    printed: str = ""

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def run(self, command: str, *arguments: str) -> str:
        """Return what a command prints."""
        place = ("--project", str(self.path.parent), "--registry", f"{leaky_jobs.__name__}:registry")
        result = CliRunner().invoke(program, [command, *place, "--database", self.url, *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code != 2, result.output
        return result.output

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Backend]:
        async with connect(registry, self.url) as backend:
            yield backend


class Recorder(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.addFilter(JobLogFilter())
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Run each job once, in a worker of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBS_KEY_SECRET", KEY_SECRET)
        yield lived_through(tmp_path_factory.mktemp("redaction"))


def lived_through(folder: Path) -> Place:
    """Return a new database, in which each job has run once."""
    here = Place(folder / "jobs.sqlite3")
    create_sqlite_file(here.path)
    recorder, root, ours = Recorder(here.records), logging.getLogger(), logging.getLogger("server_jobs")
    asyncio.run(_enqueue(here))
    root.addHandler(recorder)
    ours.addHandler(recorder)
    try:
        here.printed = here.run("worker", "--until-empty", "--json")
    finally:
        root.removeHandler(recorder)
        ours.removeHandler(recorder)
    return here


async def _enqueue(here: Place) -> None:
    async with here.opened() as backend:
        for way in WAYS:
            here.ids[f"Leaky {way}"] = str(await Leaky.later(leaking(way)))
        for way in ("error", "group", "pydantic", "cancel", "log", "result"):
            here.ids[f"Apart {way}"] = str(await Apart.later(leaking(way)))
        for job in (Plain, Unique):
            here.ids[job.job_name] = str(await job.later(leaking()))
        here.ids["late"] = str(await Timed.later(leaking(), delay=timedelta(days=1)))
        old = json.dumps({"way": "", "secret": SECRET})
        strict = json.dumps({"way": "", "secret": SECRET, "lines": "x", "other": 1})
        await backend.store.insert([NewJob(id="upcast", job_name=Upcast.job_name, params=old, spec_version=1)])
        await backend.store.insert([NewJob(id="strict", job_name=Strict.job_name, params=strict)])
        here.ids |= {"Upcast": "upcast", "Strict": "strict"}


def test_the_jobs_ended_in_their_ways(place: Place) -> None:
    async def read() -> dict[str, str]:
        async with place.opened() as backend:
            return {one.id: str(one.status) for one in await backend.store.list_jobs(JobQuery())}

    ended = asyncio.run(read())
    by_way = {way: ended[job_id] for way, job_id in place.ids.items()}
    waiting = {way for way, status in by_way.items() if status in ("pending", "running")}
    assert waiting == {"Leaky snooze", "late"}
    failed = {way for way, status in by_way.items() if status == "failed"}
    assert {"Leaky group", "Apart group", "Plain", "Upcast", "Strict", "Leaky result", "Apart result"} <= failed
    assert by_way["Leaky cancel"] == by_way["Apart cancel"] == "cancelled"


def columns_with_the_secret(place: Place) -> set[tuple[str, str]]:
    found = set[tuple[str, str]]()
    with closing(sqlite3.connect(place.path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in rows.description]
            for row in rows:
                found |= {(table, name) for name, value in zip(names, row, strict=True) if MARK in str(value)}
    return found


def test_no_column_has_the_secret_but_the_params(place: Place) -> None:
    assert columns_with_the_secret(place) == STORED


@pytest.mark.slow
def test_without_masks_the_secret_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_KEY_SECRET", KEY_SECRET)
    monkeypatch.setattr(Masking, "__call__", lambda _, text: text)
    here = lived_through(tmp_path)
    assert columns_with_the_secret(here) - STORED == {
        ("jobs", "error"),
        ("jobs", "progress_message"),
        ("job_attempts", "error"),
        ("job_attempts", "traceback"),
    }
    leaks = [record for record in here.records if MARK in logging.Formatter().format(record)]
    assert {record.name for record in leaks} == {
        *("server_jobs.attempts", "server_jobs.job", "server_jobs.worker", "shop"),
    }
    assert MARK in here.printed


def test_no_record_of_the_log_has_the_secret(place: Place) -> None:
    assert MARK not in place.printed
    assert place.printed.count("•••") > 10
    assert len(place.records) > 10
    for record in place.records:
        assert MARK not in logging.Formatter().format(record)
        assert MARK not in str(vars(record))
        assert record.exc_info is None or MARK not in str(record.exc_info[1])
    loggers = {record.name for record in place.records}
    assert {"server_jobs.attempts", "server_jobs.job", "shop"} <= loggers


def test_every_command_is_named(place: Place) -> None:
    assert set(command_names()) == COMMANDS_ABOUT_A_JOB.keys() | COMMANDS_WITHOUT_JOBS


@pytest.mark.parametrize("command", COMMANDS_ABOUT_A_JOB)
def test_no_command_prints_the_secret(place: Place, command: str) -> None:
    for arguments in COMMANDS_ABOUT_A_JOB[command]:
        for job_id in place.ids.values() if "ID" in arguments else [""]:
            printed = place.run(command, *(job_id if argument == "ID" else argument for argument in arguments))
            assert MARK not in printed


async def test_no_route_and_no_page_shows_the_secret(place: Place) -> None:
    person = Caller("ann", ALL_RIGHTS)
    reads = [route for route in ROUTES if isinstance(route, Route) and "GET" in (route.methods or ())]
    paths = [route.path for route in reads] + [f"/dashboard{path}" for method, path, _ in PAGES if method == "GET"]
    token = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
    async with place.opened() as backend:
        app = create_app(backend, Tokens(token), dashboard_access=lambda _: person)
        transport = httpx.ASGITransport(app)
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            seen = 0
            for path in paths:
                for address in addresses(path, place):
                    answer = await client.get(address)
                    assert answer.status_code < 500, address
                    assert MARK not in answer.text, address
                    seen += "•••" in answer.text
            assert seen > 10


def addresses(path: str, place: Place) -> Iterator[str]:
    """Yield the addresses of a route for each job. A new part of a path fails."""
    if path.startswith("/batches/"):
        return
    if path.endswith("/events"):
        ended = [job_id for way, job_id in place.ids.items() if way not in ("late", "Leaky snooze")]
        yield from (path.replace("{id}", job_id) for job_id in ended)  # such a stream ends
    elif "{id}" in path:
        for action in ("retry", "cancel", "delete"):
            yield from (path.format(id=job_id, action=action) for job_id in place.ids.values())
    else:
        yield (
            path.format(name="Leaky") if path == "/dashboard/enqueue/{name}" else path.format(job="Timed", name="daily")
        )


async def test_no_tool_of_an_agent_returns_the_secret(place: Place) -> None:
    values = {"id": list(place.ids.values()), "job_name": ["Leaky", "Timed"], "queue": ["default"], "job": ["Leaky"]}
    async with place.opened() as backend:
        tools = [*reading_tools(backend.store, registry), *writing_tools(backend.store, registry)]
        assert job_tools(backend, timedelta(seconds=1))  # their answers are those of show_job
        for tool in tools:
            needed = cast("list[str]", tool.input_schema.get("required", []))
            for chosen in product(*(values[name] for name in needed)):
                assert MARK not in await answer_of(tool, dict(zip(needed, chosen, strict=True)))


async def answer_of(tool: Tool, arguments: dict[str, str]) -> str:
    try:
        return str(await tool.call(arguments))
    except (ServerJobsError, RefusedError) as error:
        return str(error)


def test_every_integration_is_named() -> None:
    modules = {module.name for module in pkgutil.iter_modules(server_jobs_integrations.__path__)}
    assert modules == INTEGRATIONS.keys()
