"""Web pages of other origins: the answers allow the configured origins."""

from __future__ import annotations

import httpx
import pytest
from server_jobs_http import HttpOptions, Tokens

from tests.server_jobs_http.caller import Caller

PAGE = "https://admin.example.com"
OPTIONS = HttpOptions(allowed_hosts=("jobs.example",), allowed_origins=(PAGE, "http://localhost:3000"))
ASKED = "authorization,content-type,traceparent,tracestate"
PREFLIGHT = {"authorization": "", "access-control-request-method": "POST"}


def cors_headers(reply: httpx.Response) -> dict[str, str]:
    """Return the CORS headers of an answer."""
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", OPTIONS.allowed_origins)
@pytest.mark.parametrize("path", ["/jobs/Keep", "/trigger", "/jobs/gone/cancel", "/status"])
async def test_a_preflight_lets_an_allowed_page_send_a_token_json_and_a_trace(path: str, origin: str) -> None:
    asked = {**PREFLIGHT, "origin": origin, "access-control-request-headers": ASKED}

    reply = await Caller(options=OPTIONS)("OPTIONS", path, headers=asked)

    assert reply.status_code == 200
    said = cors_headers(reply)
    assert said["access-control-allow-origin"] == origin
    assert said["access-control-allow-methods"] == "GET, HEAD, POST, DELETE"
    allowed = set(said["access-control-allow-headers"].split(", "))
    assert {"Authorization", "Content-Type", "Traceparent", "Tracestate"} <= allowed
    assert "access-control-allow-credentials" not in said


async def test_an_allowed_page_can_read_every_answer() -> None:
    call = Caller(options=OPTIONS)
    job = {"params": {"text": "x"}}

    replies = [
        await call("POST", "/jobs/Keep", job, headers={"origin": PAGE}),
        await call("GET", "/status", headers={"origin": PAGE}),
        await call("POST", "/jobs/Keep", {"params": {}}, headers={"origin": PAGE}),
        await call("GET", "/status", headers={"origin": PAGE, "authorization": "Bearer wrong"}),
        await call("POST", "/trigger", headers={"origin": PAGE, "host": "evil.example"}),
    ]

    assert [reply.status_code for reply in replies] == [201, 200, 422, 401, 421]
    for reply in replies:
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert reply.headers["access-control-expose-headers"] == "Location, Retry-After"
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", f"{PAGE}.evil.example", f"{PAGE}:444", PAGE.upper(), "http://jobs.example"],
)
async def test_any_other_page_learns_no_more_than_without_cors(origin: str) -> None:
    call = Caller(options=OPTIONS)

    preflight = await call("OPTIONS", "/jobs/Keep", headers={**PREFLIGHT, "origin": origin})
    reading = await call("GET", "/status", headers={"origin": origin})

    assert (preflight.status_code, reading.status_code) == (401, 200)
    assert cors_headers(preflight) == cors_headers(reading) == {}


async def test_where_no_token_is_configured_there_is_nothing_for_an_allowed_page_either() -> None:
    call = Caller(tokens=Tokens(), options=OPTIONS)

    for method in ("OPTIONS", "GET", "POST"):
        reply = await call(method, "/jobs/Keep", headers={**PREFLIGHT, "origin": PAGE})

        assert (reply.status_code, cors_headers(reply)) == (404, {})


async def test_without_allowed_origins_no_preflight_is_answered() -> None:
    reply = await Caller()("OPTIONS", "/jobs/Keep", headers={**PREFLIGHT, "origin": PAGE})

    assert (reply.status_code, cors_headers(reply)) == (401, {})
