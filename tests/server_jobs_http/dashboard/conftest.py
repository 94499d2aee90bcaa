"""One event loop, one server and one browser for all tests of this folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from .example import Situation, broken
from .site import VIEWPORT, Server, Visitor, running_browser, running_server


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """Yield the event loop of the browser, the server and the tests."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def server(runner: asyncio.Runner) -> Iterator[Server]:
    """Yield the server."""
    serving = running_server()
    yield runner.run(serving.__aenter__())
    runner.run(serving.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def browser(runner: asyncio.Runner) -> Iterator[Browser]:
    """Yield the browser."""
    running = running_browser()
    yield runner.run(running.__aenter__())
    runner.run(running.__aexit__(None, None, None))


@pytest.fixture
def here(runner: asyncio.Runner, server: Server) -> Situation:
    """Return the broken system, which the server serves."""
    made: Situation = runner.run(broken())
    server.serve(made)
    return made


@pytest.fixture
def options() -> dict[str, Any]:
    """Return the options of the browser's context. Tests override them."""
    return {}


@pytest.fixture(scope="session")
def pages() -> dict[str, Page]:
    """Return the pages of the browser by their options. A new one costs half a second of the processor."""
    return {}


@pytest.fixture
def visitor(
    runner: asyncio.Runner,
    browser: Browser,
    pages: dict[str, Page],
    server: Server,
    here: Situation,
    options: dict[str, Any],
) -> Iterator[Visitor]:
    """Yield a visitor who is not signed in. Expects no error of a script and no violation of the CSP."""

    # Playwright asks for the current event loop, which there is only inside of it.
    async def come() -> Visitor:
        key = json.dumps(options)
        if key not in pages:
            context = await browser.new_context(viewport=VIEWPORT, **options)
            pages[key] = await context.new_page()
        return Visitor(pages[key], server.origin)

    somebody = runner.run(come())
    yield somebody
    runner.run(somebody.leaves())
    assert somebody.problems == []
