"""The largest allowed input through every way in that runs in this process, within a budget of CPU time.

The inputs are allowed, or refused because of their content and not because of their size. Each takes a small part of
its budget on a usual machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, JsonValue
from server_jobs import Job, JobContext, JobOptions, create_job_registry, define_job
from server_jobs.contract.values import MAX_DEPTH, MAX_DOCUMENT_BYTES
from server_jobs.errors import ServerJobsError
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import ALL_RIGHTS
from server_jobs.security.tokens import Caller as TokenCaller
from server_jobs_cli.program import program
from server_jobs_http import Tokens, create_app
from server_jobs_http.body import LARGEST_BODY
from server_jobs_http.dashboard.pages import PAGES
from server_jobs_http.problem_document import RefusedError
from server_jobs_mcp.job_tools import job_tools
from server_jobs_mcp.reading_tools import reading_tools
from server_jobs_mcp.writing_tools import writing_tools

from tests.conformance.stores import create_sqlite_file
from tests.measuring import assert_cpu_seconds
from tests.server_jobs_http.caller import TOKEN, Caller
from tests.slow import slow

SECONDS = 1.0
NESTED = "the deepest nesting allowed"
NESTED_SECONDS = 6.0
"""Half a million lists: the garbage collector of Python takes most of two seconds."""
LONGEST_QUERY = 30_000
"""Characters of a query. The head of a request has at most 32 kB."""


class Anything(BaseModel):
    value: JsonValue


class Kept(BaseModel):
    number: int


async def run(params: Anything, context: JobContext) -> Kept:
    del params, context
    return Kept(number=1)


def echo_job() -> type[Job[Anything, Kept, Mapping[str, object]]]:
    return define_job(
        name="Echo", params=Anything, result=Kept, handler=run, options=JobOptions(redact=("/value/secret",))
    )


registry = create_job_registry().register(echo_job())


def filled(before: str, piece: str, after: str, size: int) -> str:
    """Return as many pieces between two texts as fit into `size` bytes."""
    count = (size - len((before + after).encode())) // len(piece.encode())
    return before + piece * count + after


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def documents(size: int) -> dict[str, str]:
    """Return documents of that many bytes, which differ in what takes time to read."""
    start = '{"value":'
    return {
        "one text": filled(f'{start}"', "x", '"}', size),
        "escapes": filled(f'{start}"', "\\u00e4", '"}', size),
        "wide characters": filled(f'{start}"', "\N{GRINNING FACE}", '"}', size),
        "numbers": filled(f"{start}[", "1,", "1]}", size),
        "large exponents": filled(f"{start}[", "1e308,", "1]}", size),
        "empty objects": filled(f"{start}[", "{},", "{}]}", size),
        "one key again and again": filled(f"{start}{{", '"a":1,', '"a":1}}', size),
        "keys": start + "{" + ",".join(f'"{number:06}":1' for number in range(size // 11)) + "}}",
        NESTED: filled(f"{start}[", nested(MAX_DEPTH - 3) + ",", "1]}", size),
        "endless nesting": filled(start, "[", "", size),
        "a redacted list": filled(f'{start}{{"secret":[', '"ab",', '"ab"]}}', size),
        "digits": filled(start, "9", "}", size),
    }


QUERIES = {
    "a word": "queue=" + "x" * LONGEST_QUERY,
    "many words": "queue=a&" * (LONGEST_QUERY // 8),
    "conditions": "where=params.value%3D1&" * (LONGEST_QUERY // 23),
    "a deep condition": "where=params" + ".a" * (LONGEST_QUERY // 2) + "%3D1",
    "a long number": "where=params.value%3D" + "9" * LONGEST_QUERY,
    "a cursor": "before=" + "%F0%9F%98%80" * (LONGEST_QUERY // 12),
    "times": "created_after=" + "9" * LONGEST_QUERY,
    "escapes": "limit=" + "%2" * (LONGEST_QUERY // 2),
}
BODIES = {
    "/jobs/Echo": '{"params":PARAMS}',
    "/batches/Echo": '{"jobs":[{"params":PARAMS}]}',
    "/bulk/retry": "PARAMS",
    "/schedules/Echo/daily": '{"cron":"* * * * *","params":PARAMS}',
}
ROUTES_WITH_QUERY = ("/jobs", "/schedules", "/status", "/jobs/a/why", "/jobs/a/attempts", "/dashboard/jobs")


class Meter:
    """CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._began = time.process_time()

    def check(self, kind: str, about: str) -> None:
        most = NESTED_SECONDS if kind == NESTED else SECONDS
        assert_cpu_seconds(time.process_time() - self._began, most, f" for {kind} {about}")


@pytest.mark.parametrize("kind", documents(100))
async def test_the_largest_body_costs_little_on_every_route(kind: str) -> None:
    call = Caller(InMemoryBackend(job_registry=registry))
    params = documents(LARGEST_BODY - 100)[kind]
    headers = {"content-type": "application/json"}
    for path, body in BODIES.items():
        meter = Meter()
        answer = await call("POST", path, content=body.replace("PARAMS", params).encode(), headers=headers)
        meter.check(kind, f"at {path}")
        assert answer.status_code in {200, 201, 400, 404, 409, 413, 422}, answer.text[:500]


@pytest.mark.parametrize("kind", ["numbers", "empty objects", NESTED])
async def test_the_largest_job_costs_little_to_show(kind: str) -> None:
    call = Caller(InMemoryBackend(job_registry=registry))
    body = f'{{"params":{documents(MAX_DOCUMENT_BYTES)[kind]}}}'.encode()
    stored = await call("POST", "/jobs/Echo", content=body, headers={"content-type": "application/json"})

    meter = Meter()
    shown = await call("GET", stored.headers["location"])
    meter.check(kind, "to show a job")

    assert len(shown.content) > MAX_DOCUMENT_BYTES * 0.9


@pytest.mark.parametrize("kind", QUERIES)
async def test_the_longest_query_costs_little_on_every_route(kind: str) -> None:
    call = Caller(InMemoryBackend(job_registry=registry))
    for path in ROUTES_WITH_QUERY:
        meter = Meter()
        answer = await call("GET", f"{path}?{QUERIES[kind]}")
        meter.check(kind, f"at {path}")
        assert answer.status_code < 500, answer.text[:500]


# The documents are read as those of a body; a tool needs a second for most of them.
@pytest.mark.parametrize(
    "kind", [kind if kind in (NESTED, "escapes", "digits") else slow(kind) for kind in documents(100)]
)
async def test_the_largest_arguments_cost_little_in_every_tool(kind: str) -> None:
    backend = InMemoryBackend(job_registry=registry)
    await backend.initialize()
    text = documents(MAX_DOCUMENT_BYTES)[kind]
    own = (*reading_tools(backend.store, registry), *writing_tools(backend.store, registry))
    for tool in (*own, *job_tools(backend, timedelta(0))):
        properties = cast("Mapping[str, object]", tool.input_schema.get("properties", {}))
        given: list[JsonValue] = [text, [text]]
        for value in given:
            arguments: dict[str, JsonValue] = {name: value for name in properties}  # noqa: C420  keeps its type
            meter = Meter()
            with suppress(ServerJobsError, RefusedError):
                await tool.call(arguments)
            meter.check(kind, f"in {tool.name}")
    await backend.shutdown()


@pytest.mark.parametrize("kind", ["escapes", "numbers", "empty objects", slow(NESTED), "endless nesting", "digits"])
def test_the_largest_params_cost_little_on_the_command_line(kind: str, tmp_path: Path) -> None:
    create_sqlite_file(tmp_path / "jobs.sqlite3")
    (tmp_path / "params.json").write_text(documents(MAX_DOCUMENT_BYTES)[kind], encoding="utf-8")
    place = ["--registry", f"{__name__}:registry", "--database", f"sqlite:///{tmp_path}/jobs.sqlite3"]
    meter = Meter()
    result = CliRunner().invoke(program, ["enqueue", "Echo", "--params", f"@{tmp_path}/params.json", *place])
    meter.check(kind, "in a command")
    assert result.exit_code in {0, 1, 2}, result.output[:500]


FORMS = [
    path.replace("{id}", "ID").replace("{action}", "retry").replace("{name}", "Echo")
    for method, path, _ in PAGES
    if method == "POST" and path != "/sign-out"
]
FIELD = re.compile('name="([^"]+)"')


@pytest.mark.parametrize("kind", ["fields", "one field", slow("escapes"), slow("empty objects"), "digits"])
async def test_the_largest_form_costs_little_on_every_page(kind: str) -> None:
    backend = InMemoryBackend(job_registry=registry)
    job_id = backend.add_job(job_name="Echo", params={"value": 1})
    person = TokenCaller("ann", ALL_RIGHTS)
    app = create_app(backend, Tokens(TOKEN), dashboard_access=lambda _: person)
    call = Caller(backend, app=app)
    size = LARGEST_BODY - 2_000
    pages = {path: (await call("GET", f"/dashboard{path.replace('ID', job_id)}")).text for path in FORMS}
    for path, page in pages.items():
        csrf = re.findall('name="csrf" value="([0-9a-f]{64})"', page + pages["/enqueue/Echo"])[0]
        names = dict.fromkeys(name for name in FIELD.findall(page) if name.startswith("p"))  # the params
        forms = {
            "fields": "&".join(f"f{number}=" for number in range(size // 8)),
            "one field": filled("", "a=1&", "", size),
            "escapes": filled("a=", "%25", "", size),
        }
        given = [forms[kind]] if kind in forms else [urlencode({name: documents(size // 3)[kind]}) for name in names]
        for body in given:
            meter = Meter()
            headers = {"content-type": "application/x-www-form-urlencoded", "origin": "http://jobs.example"}
            content = f"csrf={csrf}&{body}".encode()
            answer = await call("POST", f"/dashboard{path.replace('ID', job_id)}", content=content, headers=headers)
            meter.check(kind, f"at the form {path}, with {body[:20]}")
            assert answer.status_code < 500, answer.text[-500:]
            assert answer.status_code not in {401, 403}
