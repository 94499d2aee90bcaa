"""Rows that no enqueue wrote: every route and page shows them, whatever their params are."""

from __future__ import annotations

import json

import pytest
from server_jobs import JobQuery, tick
from server_jobs.domain.record import NewJob
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import ALL_RIGHTS
from server_jobs.security.tokens import Caller as TokenCaller
from server_jobs_http import Tokens, create_app
from server_jobs_mcp.reading_tools import reading_tools

from tests.server_jobs_http.caller import TOKEN, Caller, new_backend

PARAMS = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[]",
    "not a number": '{"text": NaN}',
    "infinity": '{"text": [-Infinity]}',
    "a number out of range": '{"text": 1e999}',
    "half a character": '{"text": "\\ud800"}',
    "half a character as a key": '{"\\udc00": 1}',
    "digits": '{"text": ' + "9" * 5_000 + "}",
    **{f"{depth} levels": '{"text": ' + "[" * depth + "]" * depth + "}" for depth in (50, 200, 400, 800, 990, 100_000)},
}
PATHS = (
    "/jobs/a",
    "/jobs/a/why",
    "/jobs/a/attempts",
    "/jobs?job_name=Keep&where=params.text%3D1",
    "/jobs?job_name=Keep",
)
PAGES = ("/dashboard/jobs", "/dashboard/jobs/a", "/dashboard/", "/dashboard/failures")


async def backend_with(params: str) -> InMemoryBackend:
    backend = new_backend()
    await backend.initialize()
    await backend.store.insert([NewJob(id="a", job_name="Keep", params=params)])
    return backend


@pytest.mark.parametrize("kind", PARAMS)
async def test_a_row_with_any_params_is_shown(kind: str) -> None:
    backend = await backend_with(PARAMS[kind])
    person = TokenCaller("ann", ALL_RIGHTS)
    call = Caller(backend, app=create_app(backend, Tokens(TOKEN), dashboard_access=lambda _: person))

    for path in (*PATHS, *PAGES):
        assert (await call("GET", path)).status_code == 200, path
    await tick(backend)  # the job fails, or its params cannot be read
    is_parked = (await backend.store.list_summaries(JobQuery()))[0].is_parked
    for path in (*PATHS, *PAGES, *(["/dashboard/jobs/a/repair"] if is_parked else [])):
        answer = await call("GET", path)
        assert answer.status_code == 200, f"{path}: {answer.text[:200]}"
    assert json.loads((await call("GET", "/jobs/a")).text, parse_constant=pytest.fail)["id"] == "a"


@pytest.mark.parametrize("kind", PARAMS)
async def test_an_agent_is_shown_a_row_with_any_params(kind: str) -> None:
    backend = await backend_with(PARAMS[kind])
    tools = {tool.name: tool for tool in reading_tools(backend.store, backend.registry)}

    for name in ("show_job", "explain_job"):
        answer = await tools[name].call({"id": "a"})
        assert json.dumps(answer.document, ensure_ascii=False, allow_nan=False, default=str).encode()
