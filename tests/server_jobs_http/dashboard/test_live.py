"""The stream that updates an open page. Without a browser."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from server_jobs_http import ALL_RIGHTS, Caller, HttpOptions, Tokens, create_app
from server_jobs_http.app import under_prefix
from server_jobs_http.dashboard import guard
from starlette.requests import Request

from .example import Situation, empty
from .site import PLACE, Client

STREAM = {"accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PAUSE", 0.01)


class Visitors:
    """Admits everybody for the given number of requests."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def __call__(self, request: Request) -> Caller | None:
        del request
        self.left -= 1
        return Caller("ann", ALL_RIGHTS) if self.left >= 0 else None


def client(here: Situation, visitors: Visitors) -> Client:
    options = HttpOptions(longest_stream=timedelta(seconds=10))
    return Client(under_prefix(create_app(here.backend, Tokens(), options=options, dashboard_access=visitors)))


def pages(text: str) -> list[str]:
    """Return the contents of the page in a stream."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


async def test_an_open_page_is_sent_again_when_it_changes_and_not_otherwise() -> None:
    here = await empty()
    visitors = Visitors(40)
    stream = asyncio.create_task(client(here, visitors)("GET", f"{PLACE}/queues", headers=STREAM))
    while visitors.left > 30:
        await asyncio.sleep(0.01)
    await here.backend.store.pause_queue("mail", by="bob")
    answer = await stream

    before, after = pages(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert before.startswith("<main")
    assert ("Resume" in before, "Resume" in after) == (False, True)


async def test_a_stream_ends_once_its_visitor_may_no_longer_see_the_page() -> None:
    visitors = Visitors(3)
    send = client(await empty(), visitors)
    answer = await send("GET", f"{PLACE}/", headers=STREAM)

    assert (answer.status_code, len(pages(answer.text)), visitors.left) == (200, 1, -1)
    assert (await send("GET", f"{PLACE}/", headers=STREAM)).status_code == 403


async def test_there_is_no_stream_of_a_page_that_does_not_exist_or_of_a_form() -> None:
    send = client(await empty(), Visitors(10))

    assert (await send("GET", f"{PLACE}/jobs/gone", headers=STREAM)).status_code == 404
    assert (await send("POST", f"{PLACE}/queues", {"queue": "mail"}, headers=STREAM)).status_code == 403
