"""PostgreSQL connections that end after any message of the server, as in a fail-over."""

from __future__ import annotations

import asyncio

import pytest
from server_jobs.databases.postgres.connection import PostgresConnection
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.postgres.driver import Session
from server_jobs.databases.postgres.pool import Pool
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseUnreachableError

from tests.conformance.postgres.relay import Relay, message_of
from tests.conformance.postgres.test_postgres_silence import LOOK
from tests.slow import slow

SECONDS = 30
TURNS = range(8)

CHANGE = Statement("SELECT set_config('application_name', 'server-jobs', true)", writes=True)


class Cut(Relay):
    """Ends the first connection some turns of the loop after `left` messages of the server."""

    def __init__(self, url: str, left: int, turns: int = 0, *, with_reset: bool = False) -> None:
        super().__init__(url)
        self._turns = turns
        self._with_reset = with_reset
        self.left = left
        self.passed = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.left:
            writer.writelines(await message_of(reader))
            self.left -= 1
            self.passed += 1
        self.left = -1  # the next connections go on
        for _ in range(self._turns):
            await asyncio.sleep(0)
        if self._with_reset:
            writer.transport.abort()


async def use(url: str) -> list[Exception]:
    """Connect and run a transaction until both succeed. Return the errors."""
    database, errors = PostgresDatabase(url), list[Exception]()
    async with asyncio.timeout(SECONDS):
        for _ in range(5):
            try:
                await database.open()
                await database.run((CHANGE, {}), (LOOK, {}))
            except Exception as error:  # noqa: BLE001  every error is looked at
                errors.append(error)
            else:
                break
        await database.close()
    return errors


async def errors_of(url: str, turns: int) -> tuple[list[Exception], int]:
    """Return the errors when the connection ends after each message in turn, and the number of messages."""
    whole = Cut(url, -1)
    async with whole.serve() as address:
        assert await use(address) == []
    errors: list[Exception] = []
    for messages in range(1, whole.passed):
        async with Cut(url, messages, turns, with_reset=bool(messages % 2)).serve() as address:
            errors += await use(address)
    return errors, whole.passed


def not_as_lost(errors: list[Exception]) -> list[Exception]:
    return [error for error in errors if not isinstance(error, DatabaseUnreachableError)]


@pytest.mark.parametrize("turns", [slow(turns) if turns % 2 else turns for turns in TURNS])
async def test_a_connection_that_ends_after_any_message_is_reported_as_lost(url: str, turns: int) -> None:
    errors, messages = await errors_of(url, turns)
    assert not_as_lost(errors) == []
    assert messages // 2 < len(errors) < messages  # a connection that ended while idle is replaced


async def test_a_step_between_connecting_and_the_first_call_that_is_not_translated_is_noticed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection_on = Pool._connection

    def with_a_step(pool: Pool, session: Session) -> PostgresConnection:
        session.driver.add_log_listener(print)
        return connection_on(pool, session)

    monkeypatch.setattr(Pool, "_connection", with_a_step)
    unexpected = list[Exception]()
    for turns in TURNS:
        if unexpected := not_as_lost((await errors_of(url, turns))[0]):
            break
    assert {str(error) for error in unexpected} == {"connection is closed"}
