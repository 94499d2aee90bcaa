"""The page of the documentation that shows progress with a signed link, in a browser."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from playwright.async_api import expect
from server_jobs.domain.record import Heartbeat
from server_jobs.memory import InMemoryBackend
from server_jobs_http import create_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route

from tests.docs.pages import ROOT, block
from tests.server_jobs_http.caller import new_backend

from .site import TOKENS, Server, Visitor

PAGE = block(ROOT / "docs/how-to/progress-in-a-browser.md", "html", "progress.html")


def site(backend: InMemoryBackend, expires: timedelta) -> Starlette:
    """Return an application with the page, whose jobs are kept in the backend."""

    async def page(_request: Request) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def mails(_request: Request) -> JSONResponse:
        job_id = backend.add_job(job_name="Keep", params={"text": "x"})
        handle = backend.registry.find("Keep").job.handle(job_id)
        return JSONResponse({"job": handle, "events": handle.events_link(expires=expires, tokens=TOKENS)})

    routes = [Route("/", page), Route("/mails", mails, methods=["POST"]), Mount("/_jobs", create_app(backend, TOKENS))]
    return Starlette(routes=routes)


def test_a_page_shows_the_progress_and_the_end_of_a_job(
    runner: asyncio.Runner, server: Server, visitor: Visitor
) -> None:
    backend = new_backend()
    server.app = site(backend, timedelta(minutes=5))

    async def follow() -> None:
        state, bar = visitor.page.locator("#state"), visitor.page.locator("#bar")
        await visitor.page.goto(server.origin)
        await expect(state).to_have_text("pending")
        (claim,) = (await backend.poll_and_claim()).claimed_jobs
        beat = Heartbeat(id=claim.id, token=claim.token, progress=40, message="almost half")
        await backend.store.renew([beat], timedelta(minutes=1))
        await expect(state).to_have_text("almost half")
        await expect(bar).to_have_js_property("value", 40)
        await backend.execute(claim)
        await expect(bar).to_have_js_property("value", 100)

    runner.run(follow())


def test_a_page_learns_that_its_link_has_expired(runner: asyncio.Runner, server: Server, visitor: Visitor) -> None:
    server.app = site(new_backend(), timedelta(seconds=1))

    async def follow() -> None:
        await visitor.page.goto(server.origin)
        await expect(visitor.page.locator("#state")).to_have_text("The link has expired.")

    runner.run(follow())
