"""The end of a server in which an application is mounted, while a page follows a job."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from server_jobs_http import Tokens, create_app
from server_jobs_http.stopping import StoppingOnSignals
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.server_jobs_http.caller import BEARER, TOKEN, new_backend


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """Yield a signal that does not end this process: uvicorn raises it again after its own end."""
    before = signal.signal(request.param, lambda *_: None)
    yield request.param
    signal.signal(request.param, before)


@asynccontextmanager
async def server_with_a_stream() -> AsyncIterator[asyncio.Task[None]]:
    """Run uvicorn with mounted routes, on which a client reads the events of a pending job."""
    backend = new_backend()
    job_id = backend.add_job(job_name="Keep", params={"text": "x"})
    app = Starlette(routes=[Mount("/_jobs", create_app(backend, Tokens(TOKEN)))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}/_jobs/jobs/{job_id}/events"
    async with httpx.AsyncClient(headers=BEARER) as client, client.stream("GET", address) as reply:
        lines = reply.aiter_lines()
        while not (await anext(lines)).startswith("data:"):
            pass
        yield serving
    await serving


async def test_a_server_stops_at_once_although_a_page_follows_a_job(number: signal.Signals) -> None:
    async with server_with_a_stream() as serving:
        os.kill(os.getpid(), number)

        await asyncio.wait_for(asyncio.shield(serving), 5)


async def test_without_the_signal_the_server_would_wait_for_the_page(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoppingOnSignals, "_listen", lambda *_: None)
    async with server_with_a_stream() as serving:
        os.kill(os.getpid(), number)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(serving), 0.5)
