"""Limits of the requests and streams that one caller has open at a time. Other callers are not affected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from server_jobs.security.links import events_link
from server_jobs.security.tokens import Scope
from server_jobs_http import HttpOptions, NamedToken, Tokens
from server_jobs_http.app import create_app
from server_jobs_http.routes import events
from starlette.types import ASGIApp, Message

from tests.server_jobs_http.caller import OTHER_TOKEN, TOKEN, Caller, new_backend

TOKENS = Tokens(TOKEN, named=[NamedToken.of("reader", {Scope.READ: None}, OTHER_TOKEN)])
READER = {"authorization": f"Bearer {OTHER_TOKEN}"}


@asynccontextmanager
async def open_requests(app: ASGIApp, count: int, path: str, token: str, *, method: str = "GET") -> AsyncIterator[None]:
    """Keep requests open whose body never comes, and whose answer nobody waits for."""
    started = [asyncio.Event() for _ in range(count)]

    def request(event: asyncio.Event) -> asyncio.Task[None]:
        async def receive() -> Message:
            event.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            del message

        place, _, query = path.partition("?")
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        headers += [(b"host", b"jobs.example"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": method, "path": place, "query_string": query.encode(), "headers": headers}
        return asyncio.ensure_future(app({**scope, "root_path": ""}, receive, send))

    tasks = [request(event) for event in started]
    try:
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in started)), 10)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def options_with(**limits: int) -> HttpOptions:
    return HttpOptions(longest_stream=timedelta(seconds=10), **limits)  # type: ignore[arg-type]


async def test_one_token_has_a_limit_of_open_requests_and_the_others_are_served() -> None:
    backend = new_backend()
    app = create_app(backend, TOKENS, options=options_with(most_requests_per_caller=3))
    call = Caller(backend, app=app)

    async with open_requests(app, 3, "/jobs/Keep", TOKEN, method="POST"):
        refused = await call("GET", "/health")
        other = await call("GET", "/health", headers=READER)
    later = await call("GET", "/health")

    assert [refused.status_code, other.status_code, later.status_code] == [429, 200, 200]
    assert refused.headers["retry-after"] == "1"
    assert "this caller has 3 open requests" in refused.json()["title"]


async def test_one_link_has_a_limit_of_streams_and_other_links_and_tokens_are_served() -> None:
    backend = new_backend()
    app = create_app(backend, TOKENS, options=options_with(most_streams_per_link=2, most_requests_per_caller=2))
    call = Caller(backend, app=app)
    one, two = (backend.add_job(job_name="Keep", params={"text": "x"}) for _ in range(2))
    links = [
        events_link("jobs", job_id, "", timedelta(seconds=seconds), TOKENS)
        for job_id, seconds in ((one, 60), (one, 61), (two, 1))
    ]

    async with open_requests(app, 2, links[0], ""):
        again = await call.without_token("GET", links[1])
        other, by_token = await call.without_token("GET", links[2]), await call("GET", f"/jobs/{one}")
    async with open_requests(app, 2, links[0], ""):  # places are released
        pass

    assert [again.status_code, other.status_code, by_token.status_code] == [429, 200, 200]
    assert again.headers["retry-after"] == "1"


async def test_one_token_and_all_callers_have_a_limit_of_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_PAUSE", 0.01)
    backend = new_backend()
    app = create_app(backend, TOKENS, options=options_with(most_streams_per_caller=2, most_streams=3))
    call = Caller(backend, app=app)
    job_id = backend.add_job(job_name="Keep", params={"text": "x"})
    path = f"/jobs/{job_id}/events"

    async with open_requests(app, 2, path, TOKEN):
        refused, listed = await call("GET", path), await call("GET", "/jobs")
        async with open_requests(app, 1, path, OTHER_TOKEN):
            full = await call("GET", path, headers=READER)

    assert [refused.status_code, listed.status_code, full.status_code] == [429, 200, 503]
    assert (await call("HEAD", path)).status_code == 200
