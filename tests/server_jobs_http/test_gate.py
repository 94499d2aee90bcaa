"""Access: closed without configured tokens, and every route and method needs a valid token."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import pytest
from server_jobs.errors import DatabaseError
from server_jobs.memory import InMemoryBackend
from server_jobs.security.tokens import ALL_RIGHTS
from server_jobs.security.tokens import Caller as TokenCaller
from server_jobs_http import HttpOptions, Tokens, create_app, gate
from server_jobs_http.app import under_prefix
from server_jobs_http.gate import Gate
from server_jobs_http.routes.table import ROUTES

from tests.server_jobs_http.caller import BEARER, OTHER_TOKEN, TOKEN, Caller, new_backend

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PATHS = tuple(sorted({route.path for route in ROUTES} | {"/", "/nope", "/jobs/", "/STATUS", "/jobs/x/y"}))
WRITING = ("/trigger", "/jobs/Keep", "/jobs/{id}/cancel", "/jobs/{id}/retry", "/schedules/{job}/{name}")


def allowed(path: str) -> set[str]:
    """Return the methods of a path in the table of routes."""
    template = "/jobs/{id}" if path == "/jobs/Keep" else path
    return next((route.methods or set() for route in ROUTES if route.path == template), set())


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_configured_token_there_is_no_route(path: str) -> None:
    call = Caller(tokens=Tokens())
    for method in METHODS:
        reply = await call(method, path, {"params": {"text": "x"}})

        assert reply.status_code == 404
    assert await call.stored() == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {OTHER_TOKEN}",
        "Bearer ",
        f"Bearer {TOKEN},{TOKEN}",
        "Bearer \xe9",
    ],
)
async def test_without_a_valid_token_nothing_is_said_of_any_path(path: str, given: str | None) -> None:
    call = Caller()
    for method in METHODS:
        reply = await call(method, path, {"params": {"text": "x"}}, headers={"authorization": given or ""})

        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in reply.text
    assert await call.stored() == 0


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_valid_token_a_path_takes_its_own_methods_and_no_other(path: str) -> None:
    call = Caller()
    for method in METHODS:
        reply = await call(method, path.replace("{id}", "gone"), {"params": {"text": "x"}})

        if not allowed(path):
            assert reply.status_code == 404
        elif method not in allowed(path):
            assert reply.status_code == 405
            assert set(reply.headers["allow"].split(", ")) == allowed(path)
        else:
            assert reply.status_code not in (401, 403, 405, 500)


async def test_a_token_in_the_url_opens_nothing() -> None:
    reply = await Caller()(
        "GET", f"/status?token={TOKEN}&authorization=Bearer%20{TOKEN}", headers={"authorization": ""}
    )

    assert reply.status_code == 401


async def test_two_tokens_are_valid_while_one_replaces_the_other() -> None:
    call = Caller(tokens=Tokens(OTHER_TOKEN, TOKEN))

    replies = [await call("GET", "/status", headers={"authorization": f"Bearer {one}"}) for one in (TOKEN, OTHER_TOKEN)]

    assert [reply.status_code for reply in replies] == [200, 200]


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_may_be_written_in_any_case(scheme: str) -> None:
    assert (await Caller()("GET", "/status", headers={"authorization": f"{scheme} {TOKEN}"})).status_code == 200


async def test_a_header_that_is_sent_twice_is_refused() -> None:
    call = Caller()
    status = await _raw(call, "GET", [(b"authorization", BEARER["authorization"].encode())] * 2)

    assert status == 401


@pytest.mark.parametrize("path", WRITING)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://jobs.example.evil.example"}, 403),
        ({"origin": "https://jobs.example:444"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "["}, 421),
        ({"host": "evil@jobs.example"}, 421),
        ({"host": "jobs.example:80@evil.example"}, 421),
    ],
)
async def test_what_a_browser_was_talked_into_writes_nothing(path: str, headers: dict[str, str], status: int) -> None:
    call = Caller(options=HttpOptions(allowed_hosts=("jobs.example",)))
    call.backend.add_job(job_name="Keep", params={"text": "x"})

    reply = await call("POST", path.replace("{id}", "gone"), {"params": {"text": "x"}}, headers=headers)

    assert reply.status_code == status
    assert await call.stored() == 1


@pytest.mark.parametrize("origin", ["null", "http:", "http://["])
async def test_no_page_is_at_home_at_an_empty_host(origin: str) -> None:
    assert (await Caller()("POST", "/trigger", headers={"origin": origin, "host": ""})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://jobs.example"},
        {"origin": "https://JOBS.example"},
        {"origin": "https://admin.example"},
        {"sec-fetch-site": "same-origin"},
        {"host": "JOBS.EXAMPLE:8000"},
    ],
)
async def test_pages_of_the_host_itself_and_those_that_are_allowed_may_write(headers: dict[str, str]) -> None:
    options = HttpOptions(allowed_hosts=("jobs.example",), allowed_origins=("https://admin.example",))

    assert (await Caller(options=options)("POST", "/trigger", headers=headers)).status_code == 200


async def test_reading_is_allowed_from_everywhere_with_a_token() -> None:
    options = HttpOptions(allowed_hosts=("jobs.example",))
    headers = {"origin": "https://evil.example", "host": "elsewhere.example"}

    assert (await Caller(options=options)("GET", "/status", headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["/status", "/nope", "/jobs/gone"])
async def test_no_answer_is_kept_by_a_cache_or_taken_for_something_else(path: str) -> None:
    reply = await Caller()("GET", path)

    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_outage_is_answered_without_its_details_which_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = Caller()

    async def away(*_: object, **__: object) -> None:
        raise DatabaseError("could not connect to postgresql://ann:hunter2@db: SELECT * FROM jobs")

    monkeypatch.setattr(call.backend.store, "count_jobs", away)

    reply = await call("GET", "/status")

    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.json() == {"title": "the database cannot be used now", "status": 503}
    assert "could not connect" in caplog.text


async def test_an_unexpected_error_is_answered_without_its_details_which_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = Caller()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("/srv/secret/path")

    monkeypatch.setattr(call.backend.store, "count_jobs", broken)

    with caplog.at_level(logging.ERROR):
        reply = await call("GET", "/status")

    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "/srv/secret/path" in caplog.text


async def test_a_client_that_disconnects_while_sending_is_no_server_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = Caller()
    headers = {"host": "jobs.example", "content-type": "application/json", **BEARER}
    received: list[Mapping[str, object]] = [
        {"type": "http.request", "body": b'{"par', "more_body": True},
        {"type": "http.disconnect"},
    ]
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]

    status = await _raw(call, "POST", encoded, path="/jobs/Keep", received=received)

    assert status == 400
    assert caplog.text == ""
    assert await call.stored() == 0


async def test_an_unauthorized_request_opens_no_backend() -> None:
    class Closed(InMemoryBackend):
        async def initialize(self) -> None:
            pytest.fail("opened")

    call = Caller(Closed(job_registry=new_backend().registry))

    assert (await call("POST", "/trigger", headers={"authorization": "Bearer wrong"})).status_code == 401


async def test_a_web_socket_is_closed() -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    await Caller().app({"type": "websocket", "path": "/status", "headers": []}, receive, send)  # type: ignore[arg-type]

    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
async def test_without_the_check_of_the_place_a_browser_could_be_talked_into_writing(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "check_place", lambda headers, options: None)
    call = Caller(options=HttpOptions(allowed_hosts=("jobs.example",)))

    assert (await call("POST", "/trigger", headers=headers)).status_code == 200


async def test_with_the_gate_open_anybody_could_enqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "_admit", lambda self, scope: TokenCaller("anybody", ALL_RIGHTS))

    reply = await Caller(tokens=Tokens())(
        "POST", "/jobs/Keep", {"params": {"text": "x"}}, headers={"authorization": ""}
    )

    assert reply.status_code == 201


async def _raw(
    call: Caller,
    method: str,
    headers: list[tuple[bytes, bytes]],
    *,
    path: str = "/status",
    received: Sequence[Mapping[str, object]] = (),
) -> int:
    """Return the status of a request that no HTTP client would send."""
    statuses: list[int] = []
    messages = iter(received)

    async def send(message: dict[str, int]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    async def receive() -> Mapping[str, object]:
        return next(messages, {"type": "http.request", "body": b"", "more_body": False})

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }
    await call.app(scope, receive, send)  # type: ignore[arg-type]
    return statuses[0]


@pytest.mark.parametrize(("length", "status"), [("9999999", 413), ("9" * 5000, 413), ("-1", 400), ("\xb2", 400)])
async def test_a_content_length_above_the_limit_is_refused_before_the_backend_opens(length: str, status: int) -> None:
    call = Caller()
    for method in ("GET", "POST"):
        reply = await call(method, "/trigger", headers={"content-length": length})
        stranger = await call(method, "/trigger", headers={"authorization": "", "content-length": "9999999"})

        assert (reply.status_code, stranger.status_code) == (status, 401)


async def test_only_a_host_that_says_so_needs_the_length_of_a_body() -> None:
    headers = {"transfer-encoding": "chunked"}

    assert (await Caller()("POST", "/trigger", headers=headers)).status_code == 200
    refused = await Caller(options=HttpOptions(needs_length=True))("POST", "/trigger", headers=headers)
    assert refused.status_code == 411


async def test_nothing_says_that_there_is_something_under_the_prefix() -> None:
    call = Caller(app=under_prefix(create_app(new_backend(), Tokens())))

    assert [(await call("GET", path)).status_code for path in ("/_jobs", "/_jobs/", "/_jobs/status", "/")] == [404] * 4
