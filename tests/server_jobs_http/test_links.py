"""Signed links to the events of one job or batch, which browsers use instead of a token."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from server_jobs.errors import InvalidOptionError
from server_jobs.security import links
from server_jobs_http import HttpOptions, NamedToken, Tokens, event_stream
from server_jobs_http import Scope as TokenScope
from server_jobs_http import links as routes_of_links
from server_jobs_http.routes import events
from starlette.responses import Response
from starlette.routing import Route

from tests.server_jobs_http.caller import OTHER_TOKEN, TOKEN, Caller

PAGE = "https://shop.example"


class Clock:
    """The time of links, in Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time stands still, and a stream looks at its job often."""
    clock = Clock()
    monkeypatch.setattr(links, "time", clock)
    monkeypatch.setattr(events, "_PAUSE", 0.01)
    return clock


class Site:
    """Routes with a pending job, and a browser that knows no token."""

    def __init__(self, *, tokens: Tokens | None = None) -> None:
        options = HttpOptions(longest_stream=timedelta(seconds=0.05), allowed_origins=(PAGE,))
        self.call = Caller(tokens=tokens, options=options)
        self.job_id = self.add_job()

    def add_job(self) -> str:
        return self.call.backend.add_job(job_name="Keep", params={"text": "x"})

    def link(self, *, base: str = "", expires: timedelta = timedelta(minutes=5), token: str = TOKEN) -> str:
        job = self.call.backend.registry.find("Keep").job
        return job.handle(self.job_id).events_link(base=base, expires=expires, tokens=Tokens(token))

    async def open(self, link: str, method: str = "GET") -> httpx.Response:
        transport = httpx.ASGITransport(self.call.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://jobs.example") as client:
            return await client.request(method, link, headers={"origin": PAGE})


async def test_a_link_opens_the_events_of_its_job_without_a_token() -> None:
    site = Site()

    stream, head = await site.open(site.link()), await site.open(site.link(), "HEAD")

    assert (stream.status_code, head.status_code) == (200, 200)
    assert '"status": "pending"' in stream.text
    assert stream.headers["access-control-allow-origin"] == PAGE
    assert TOKEN not in site.link()


@pytest.mark.parametrize("base", ["/_jobs", "https://jobs.example.com/_jobs/"])
def test_a_link_begins_with_the_place_of_the_routes(base: str) -> None:
    assert Site().link(base=base).startswith(f"{base.rstrip('/')}/jobs/")


async def test_a_link_stays_valid_while_its_token_is_current_or_previous() -> None:
    old = Site(tokens=Tokens(OTHER_TOKEN, TOKEN))
    gone = Site(tokens=Tokens(OTHER_TOKEN))

    assert (await old.open(old.link())).status_code == 200
    assert (await gone.open(gone.link())).status_code == 403


async def test_an_open_stream_ends_when_its_link_expires(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    site.call.app = Caller(site.call.backend, options=HttpOptions(longest_stream=timedelta(hours=1))).app
    link = site.link(expires=timedelta(seconds=1))
    clock.now += 0.95

    stream = await asyncio.wait_for(site.open(link), 10)

    assert stream.status_code == 200
    assert "event: end" not in stream.text
    monkeypatch.setattr(event_stream, "seconds_left", lambda _: math.inf)
    with pytest.raises(TimeoutError):  # without the check
        await asyncio.wait_for(site.open(link), 0.3)


Forgery = Callable[[Site, str, Clock], str]


def _of_another_job(site: Site, link: str, clock: Clock) -> str:
    return link.replace(site.job_id, site.add_job())


def _with_another_end(site: Site, link: str, clock: Clock) -> str:
    end = parse_qs(urlsplit(link).query)["expires"][0]
    return link.replace(end, str(int(end) + 86_400))


def _with_another_signature(site: Site, link: str, clock: Clock) -> str:
    return link[:-1] + ("A" if link[-1] != "A" else "B")


def _with_another_secret(site: Site, link: str, clock: Clock) -> str:
    return site.link(token=OTHER_TOKEN)


def _after_its_end(site: Site, link: str, clock: Clock) -> str:
    clock.now += 300
    return link


def _without_its_end(site: Site, link: str, clock: Clock) -> str:
    return link.replace("expires", "ends")


REFUSED = [
    _of_another_job,
    _with_another_end,
    _with_another_signature,
    _with_another_secret,
    _after_its_end,
    _without_its_end,
]


@pytest.mark.parametrize("forgery", REFUSED)
async def test_a_changed_or_expired_link_gets_a_403_that_pages_can_read(forgery: Forgery, clock: Clock) -> None:
    site = Site()

    reply = await site.open(forgery(site, site.link(), clock))

    assert reply.status_code == 403
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["access-control-allow-origin"] == PAGE
    assert reply.json()["title"].endswith("get a new link")


@pytest.mark.parametrize("path", ["", "/why", "/attempts", "/cancel"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_link_opens_no_other_route(path: str, method: str) -> None:
    site = Site()

    assert (await site.open(site.link().replace("/events", path), method)).status_code == 401
    assert (await site.open("/health?" + urlsplit(site.link()).query)).status_code == 401
    if method != "GET":
        assert (await site.open(site.link(), method)).status_code == 401


async def test_a_wrong_token_gets_401_also_with_a_link() -> None:
    site = Site()

    assert (await site.call("GET", site.link(), headers={"authorization": "Bearer wrong"})).status_code == 401


async def test_without_a_configured_token_a_link_gets_404() -> None:
    site = Site(tokens=Tokens())

    assert (await site.open(site.link())).status_code == 404


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(seconds=-1), timedelta(days=2)])
def test_a_link_lasts_between_a_second_and_a_day(expires: timedelta) -> None:
    with pytest.raises(InvalidOptionError, match="between 1 second and 1 day, got"):
        Site().link(expires=expires)


def test_a_link_needs_a_token_with_all_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    handle = site.call.backend.registry.find("Keep").job.handle(site.job_id)
    monkeypatch.setenv("JOBS_TOKEN", "")
    named = Tokens(named=[NamedToken.of("shop", {TokenScope.READ: None}, TOKEN)])

    for tokens in (None, named):
        with pytest.raises(InvalidOptionError, match="signed with JOBS_TOKEN, which is not set here"):
            handle.events_link(tokens=tokens)


def test_a_link_is_signed_with_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    handle = site.call.backend.registry.find("Keep").job.handle(site.job_id)
    monkeypatch.setenv("JOBS_TOKEN", TOKEN)

    assert handle.events_link(base="") == site.link()


_SIGNATURE = links._signature


def _unsigned_job(key: bytes, kind: links.Followed, job_id: str, expires: str) -> str:
    return _SIGNATURE(key, kind, "", expires)


def _unsigned_end(key: bytes, kind: links.Followed, job_id: str, expires: str) -> str:
    return _SIGNATURE(key, kind, job_id, "")


def _keyless(key: bytes, kind: links.Followed, job_id: str, expires: str) -> str:
    return _SIGNATURE(b"", kind, job_id, expires)


@pytest.mark.parametrize(
    ("forgery", "place", "name", "instead"),
    [
        (_of_another_job, links, "_signature", _unsigned_job),
        (_with_another_end, links, "_signature", _unsigned_end),
        (_with_another_secret, links, "_signature", _keyless),
        (_with_another_signature, hmac, "compare_digest", lambda *_: True),
        (_after_its_end, routes_of_links, "seconds_until", lambda _: 60),
    ],
)
async def test_each_forgery_works_without_its_protection(
    forgery: Forgery, place: object, name: str, instead: object, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, instead)
    site = Site()

    assert (await site.open(forgery(site, site.link(), clock))).status_code == 200


async def test_a_link_opens_other_routes_without_the_check_of_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_of_links, "_EVENTS", {"jobs": Route("/jobs/{id}", Response, methods=["GET"])})
    site = Site()

    assert (await site.open(site.link().replace("/events", ""))).status_code == 200


async def test_a_link_of_a_batch_opens_its_counts_and_not_its_completion_job(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    keep = site.call.backend.registry.find("Keep").job
    keep.bind(site.call.backend)
    batch = await keep.later_many([{"text": "a"}, {"text": "b"}], then=keep.new_job({"text": "c"}))
    link = batch.events_link(base="", tokens=Tokens(TOKEN))
    of_the_job = link.replace("/batches/", "/jobs/")

    assert '"pending": 2' in (await site.open(link)).text
    assert (await site.open(of_the_job)).status_code == 403
    assert (await site.open(link.replace("/events", ""))).status_code == 401
    assert (await site.open(link.replace(batch.id, site.job_id))).status_code == 403
    monkeypatch.setitem(links._PURPOSES, "batches", links._PURPOSES["jobs"])
    shared = batch.events_link(base="", tokens=Tokens(TOKEN)).replace("/batches/", "/jobs/")
    assert (await site.open(shared)).status_code == 200  # without the purpose in the signature
