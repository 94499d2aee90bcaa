"""A server of the dashboard on a free port, and a browser in front of it, all in the event loop of the test."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Response, ViewportSize, async_playwright
from server_jobs.security.tokens import Scope as TokenScope
from server_jobs_http import NamedToken, Tokens, create_app
from server_jobs_http.app import under_prefix
from server_jobs_http.dashboard.sessions import COOKIE, cookie_of
from starlette.types import ASGIApp, Receive, Scope, Send

from .example import Situation

TOKEN = "Zq3-aN7vR0yKx5mWb1TfJ8pLc2HsUd9eGoIt4nQiXYk"
READER = "hT6_wB4jP9cE2rVkS0uMfQy7XaLgZd1nIoN8tRxKq5J"
MAILER = "pK2_dW8mY5sA7xQzB1vFhU4cRjEoTg3nLiN6tGyHk9S"
TOKENS = Tokens(
    TOKEN,
    named=[
        NamedToken.of("reader", {TokenScope.READ: None}, READER),
        NamedToken.of("mailer", dict.fromkeys(TokenScope, frozenset({"mail"})), MAILER),
    ],
)
PLACE = "/_jobs/dashboard"
VIEWPORT: ViewportSize = {"width": 1280, "height": 720}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Server:
    """Serves `app`, which a test may replace, at `origin`."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.origin = ""

    def serve(self, here: Situation, tokens: Tokens = TOKENS) -> None:
        """Serve the jobs of this situation, as `server-jobs serve` does."""
        self.app = under_prefix(create_app(here.backend, tokens))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@asynccontextmanager
async def running_server() -> AsyncIterator[Server]:
    """Yield a server in this event loop."""
    server = Server()
    config = uvicorn.Config(server, port=0, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    inside = uvicorn.Server(config)
    config.load()
    task = asyncio.create_task(inside._serve())
    while not inside.started:
        await asyncio.sleep(0.01)
    server.origin = f"http://localhost:{inside.servers[0].sockets[0].getsockname()[1]}"
    yield server
    inside.should_exit = True
    await task


def chromium() -> Path:
    """Return the program of the browser. `CHROMIUM` may name it."""
    for name in (os.environ.get("CHROMIUM"), *PROGRAMS):
        found = shutil.which(name) if name else None
        if found:
            return Path(found)
    raise FileNotFoundError("Chromium is needed: run `make browser`, or as root `apt-get install chromium`")


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Yield one browser for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


class Visitor:
    """A page of the browser, with the problems that it reported: errors of scripts, and violations of the CSP."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.problems: list[str] = []
        page.set_default_timeout(10_000)
        page.on("pageerror", self._note_error)
        page.on("response", self._note_response)
        page.on("console", self._note)

    async def leaves(self) -> None:
        """Leave the page as a new one, for the next visitor."""
        await self.page.goto("about:blank")
        self.page.remove_listener("pageerror", self._note_error)
        self.page.remove_listener("response", self._note_response)
        self.page.remove_listener("console", self._note)
        await self.page.context.clear_cookies()
        await self.page.set_viewport_size(VIEWPORT)
        await self.page.emulate_media(color_scheme="null")

    def _note_error(self, error: Error) -> None:
        self.problems.append(str(error))

    def _note_response(self, response: Response) -> None:
        if "/static/" in response.url and not response.ok:
            self.problems.append(response.url)

    def _note(self, message: ConsoleMessage) -> None:
        # The browser reports each page with a status of 4xx itself.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.problems.append(message.text)

    async def opens(self, path: str = "/") -> None:
        """Open a page of the dashboard."""
        await self.page.goto(f"{self.origin}{PLACE}{path}")

    async def comes(self, path: str = "/") -> None:
        """Open a page with the cookie of somebody who may do everything."""
        cookie = cookie_of(next(iter(TOKENS)), TOKENS)
        await self.page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": self.origin + PLACE}])
        await self.opens(path)

    async def signs_in(self, token: str, path: str = "/") -> None:
        """Open a page, and sign in on the way with the form."""
        await self.opens(path)
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()

    async def presses(self, name: str) -> None:
        """Press the button, or follow the link, with this name."""
        page = self.page
        found = page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("link", name=name, exact=True))
        await found.first.click()

    async def text(self) -> str:
        """Return the text of the page."""
        return await self.page.locator("main").inner_text()

    @property
    def path(self) -> str:
        """The place inside the dashboard."""
        return self.page.url.removeprefix(f"{self.origin}{PLACE}")


class Client:
    """Sends requests without a browser."""

    def __init__(self, app: ASGIApp, base: str = "http://localhost") -> None:
        self.cookies: dict[str, str] = {}
        self._app = app
        self._base = base

    async def __call__(
        self,
        method: str,
        path: str,
        form: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"origin": self._base} if method == "POST" else {}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=self._base) as client:
            return await client.request(method, path, data=form, headers={**sent, **(headers or {})})

    async def signs_in(self, token: str = TOKEN) -> httpx.Response:
        """Sign in, and keep the cookie."""
        answer = await self("POST", f"{PLACE}/sign-in", {"token": token})
        self.cookies.update(answer.cookies)
        return answer
