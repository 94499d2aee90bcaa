"""Errors of PostgreSQL and of poolers at any point, and answers that cannot be read: all are errors of the database."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import pytest
from server_jobs.databases.postgres import errors as postgres_errors
from server_jobs.databases.postgres import watchdog as postgres_watchdog
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseError, DatabaseUnreachableError

from tests.conformance.postgres.relay import Relay, message_of
from tests.conformance.postgres.test_postgres_cut import CHANGE
from tests.conformance.postgres.test_postgres_silence import LOOK, sleep_for

SECONDS = 30
ROW = Statement("SELECT 'text' AS text, 1.5 AS number, now() AS moment", writes=False)
Change = Callable[[bytes, bytes], bytes]
"""Makes a message of a kind and a body."""


class Distortion(Relay):
    """Changes one message of the server: the `at`-th of the kinds `kinds`, once."""

    def __init__(self, url: str, change: Change, kinds: bytes, at: int) -> None:
        super().__init__(url)
        self._change = change
        self._kinds = kinds
        self.left = at

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await message_of(reader)
            self.left -= head[0] in self._kinds
            writer.write(head + body if self.left else self._change(head, body))
            if not self.left:
                self.left = -1


def error_of(code: str, severity: str = "FATAL") -> bytes:
    """Return the message of an error."""
    body = f"S{severity}\0V{severity}\0C{code}\0Mtrouble\0\0".encode()
    return b"E" + struct.pack("!i", len(body) + 4) + body


def filled(head: bytes, body: bytes) -> bytes:
    return head + b"\xff" * len(body)


def halved(head: bytes, body: bytes) -> bytes:
    half = body[: len(body) // 2]
    return head[:1] + struct.pack("!i", len(half) + 4) + half


async def use(url: str) -> list[Exception]:
    """Connect and make two calls until all succeed. Return the errors."""
    database, errors = PostgresDatabase(url), list[Exception]()
    async with asyncio.timeout(SECONDS):
        for _ in range(4):
            try:
                await database.open()
                await database.run((CHANGE, {}), (LOOK, {}))
                await database.run((ROW, {}))
            except Exception as error:  # noqa: BLE001  every error is looked at
                errors.append(error)
            else:
                break
        else:
            pytest.fail(f"it never works again: {errors}")
        await database.close()
    return errors


async def errors_of(url: str, change: Change, kinds: bytes) -> list[Exception]:
    """Return the errors after a change of each message of these kinds, one after the other."""
    errors: list[Exception] = []
    for at in range(1, 100):
        distortion = Distortion(url, change, kinds, at)
        async with distortion.serve() as address:
            errors += await use(address)
        if distortion.left >= 0:
            break  # there are no more messages
    return errors


@pytest.mark.parametrize("change", [filled, halved])
@pytest.mark.parametrize("kinds", [b"t", b"T", b"D", b"C", b"K"], ids=bytes.decode)
async def test_an_answer_that_cannot_be_read_is_a_database_error(url: str, change: Change, kinds: bytes) -> None:
    errors = await errors_of(url, change, kinds)
    assert [error for error in errors if not isinstance(error, DatabaseError)] == []


async def test_without_the_last_translation_such_an_answer_is_an_error_of_the_driver(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_errors, "UnreadableAnswerError", lambda _: ValueError("not translated"))
    with pytest.raises(AssertionError, match="not translated"):
        await test_an_answer_that_cannot_be_read_is_a_database_error(url, halved, b"D")


@pytest.mark.parametrize(
    "code", ["57P01", "57P02", "57P03", "57P04", "57P05", "57014", "53100", "53200", "53300", "53400", "08P01"]
)
async def test_a_fatal_error_of_the_server_or_a_pooler_may_pass(url: str, code: str) -> None:
    errors = await errors_of(url, lambda *_: error_of(code), b"tTK")
    assert errors
    assert [error for error in errors if not isinstance(error, DatabaseUnreachableError)] == []


@pytest.mark.parametrize("code", ["53100", "53200", "57014", "XX001", "58030", "25P02"])
async def test_an_error_of_one_statement_is_a_database_error(url: str, code: str) -> None:
    errors = await errors_of(url, lambda *_: error_of(code, "ERROR"), b"T")
    assert errors
    assert [error for error in errors if not isinstance(error, DatabaseError)] == []


@pytest.mark.parametrize("code", ["57P03", "57014", "53200", "53300", "08P01"])
async def test_a_server_that_accepts_no_connection_now_is_waited_for(url: str, code: str) -> None:
    distortion = Distortion(url, filled, b"", -1)
    async with distortion.serve() as address:
        database = PostgresDatabase(address)
        distortion.refuses_with = error_of(code)
        with pytest.raises(DatabaseUnreachableError, match="trouble"):
            await database.open()
        distortion.refuses_with = None
        await database.open()
        await database.close()


async def test_a_pooler_that_is_full_ends_no_slow_call(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_watchdog, "LOOK_AFTER", 0.1)
    monkeypatch.setattr(postgres_watchdog, "_INTERVAL", 0.05)
    distortion = Distortion(url, filled, b"", -1)
    async with distortion.serve() as address, asyncio.timeout(SECONDS):
        database = PostgresDatabase(address)
        await database.open()
        distortion.refuses_with = error_of("08P01")  # "no more connections allowed" of PgBouncer
        await database.run((sleep_for(0.7), {}))
        await database.close()


async def test_a_host_that_dns_cannot_have_is_a_database_error() -> None:
    with pytest.raises(DatabaseError, match=r"cannot open .*idna"):
        await PostgresDatabase(f"postgresql://{'a' * 64}.example/jobs").open()
