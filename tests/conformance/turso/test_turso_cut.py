"""Answers of a libSQL server that end anywhere, or are none: each is an error of the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from server_jobs.databases.waiting import WaitingCalls
from server_jobs.errors import DatabaseError, DatabaseUnreachableError
from server_jobs_turso import database as turso
from server_jobs_turso import httpx_transport
from server_jobs_turso.database import TursoDatabase

from tests.conformance.dropping_host import dropping_host
from tests.conformance.turso.turso_calls import LOOK, insertion
from tests.slow import slow

STEP = 7  # bytes between two cuts
HELLO = json.dumps(
    {
        "results": [
            {
                "type": "ok",
                "response": {
                    "type": "execute",
                    "result": {
                        "cols": [{"name": "text"}],
                        "rows": [[{"type": "text", "value": turso.CHECKED_TEXT}]],
                    },
                },
            },
            {"type": "ok", "response": {"type": "close"}},
        ]
    }
).encode()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return a complete response."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


WHOLE = http("200 OK", HELLO, "Content-Type: application/json")
AWAY = {
    "a proxy without a server": http("502 Bad Gateway", b"<html>Bad Gateway</html>"),
    "a server that starts": http("503 Service Unavailable"),
    "a slow server": http("504 Gateway Timeout", b"\xff"),
    "a slow client": http("408 Request Timeout"),
    "too many requests": http("429 Too Many Requests", b"slow down"),
    "Cloudflare without a server": http("521 ", b"error code: 521"),
    "Cloudflare without an address": http("530 ", b"error code: 1016"),
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a page without headers": b"<html>Welcome</html>",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "a broken compression": http("200 OK", HELLO, "Content-Encoding: gzip"),
}
REFUSED = {
    "no answer at all": http("204 No Content"),
    "an empty body": http("200 OK"),
    "half a document": http("200 OK", HELLO[:100]),
    "other bytes": http("200 OK", HELLO.decode().encode("utf-16")),
    "a redirect": http("307 Temporary Redirect", b"", "Location: https://example.com/"),
    "a redirect to no URL": http("302 Found", b"", "Location: foo:bar"),
    "a redirect to no host": http("302 Found", b"", "Location: http://xn--/"),
    "a redirect of no end": http("308 Permanent Redirect", b"", f"Location: http://{'a' * 70}.example/"),
}


class Answers:
    """A server that gives the same bytes to each request, and ends the connection."""

    def __init__(self) -> None:
        self.answer = WHOLE
        self.resets = False
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[TursoDatabase]:
        """Yield an open database on this server."""
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        database = TursoDatabase(f"libsql://127.0.0.1:{self.port}?tls=0", timeout=timedelta(seconds=20))
        try:
            await database.open()
            yield database
        finally:
            await database.close()
            server.close()
            await asyncio.gather(*self._tasks)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].split()[0]
            await reader.readexactly(int(length))
            writer.write(self.answer)
            await writer.drain()
        if self.resets:
            writer.transport.abort()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turso, "_PAUSES", (0.001, 0.002))


@pytest.mark.parametrize("resets", [False, True])
async def test_an_answer_that_ends_anywhere_is_reported_as_lost(*, resets: bool) -> None:
    answers = Answers()
    async with answers.serve() as database:
        answers.resets = resets
        for length in range(0, len(WHOLE), STEP):
            answers.answer = WHOLE[:length]
            for call in (insertion("a"), LOOK):
                with pytest.raises(DatabaseUnreachableError):
                    await database.run(call)


@pytest.mark.parametrize("answer", AWAY.values(), ids=AWAY)
async def test_an_answer_of_a_server_that_is_away_may_pass(answer: bytes) -> None:
    answers = Answers()
    async with answers.serve() as database:
        answers.answer = answer
        with pytest.raises(DatabaseUnreachableError):
            await database.run(insertion("a"))
        answers.answer = WHOLE
        await database.run(insertion("a"))


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
async def test_an_answer_of_another_server_names_the_database_url(answer: bytes) -> None:
    answers = Answers()
    async with answers.serve() as database:
        answers.answer = answer
        with pytest.raises(DatabaseError, match="heck the database URL") as caught:
            await database.run(insertion("a"))
    assert not isinstance(caught.value, DatabaseUnreachableError)
    assert f"127.0.0.1:{answers.port}" in str(caught.value)


@pytest.mark.parametrize("is_shared", [True, slow(False)], ids=["shared", "sabotage"])
async def test_requests_fail_together_if_no_connection_comes_about(
    monkeypatch: pytest.MonkeyPatch, is_shared: bool
) -> None:
    monkeypatch.setattr(httpx_transport, "_CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(turso, "_LATEST_REPEAT", 0.3)
    give_up, tried = WaitingCalls.give_up, 0

    def counted(calls: WaitingCalls, error: DatabaseUnreachableError) -> None:
        nonlocal tried
        tried += 1
        if is_shared:
            give_up(calls, error)

    monkeypatch.setattr(WaitingCalls, "give_up", counted)
    with dropping_host() as port:
        database = TursoDatabase(f"http://127.0.0.1:{port}")
        errors = await asyncio.gather(*(database.open() for _ in range(90)), return_exceptions=True)
        await database.close()
    assert {type(error).__name__ for error in errors} == {"UnreachableError"}
    assert (tried < 60) is is_shared
