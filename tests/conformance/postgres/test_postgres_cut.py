"""PostgreSQL connections that end after any message of the server, as in a fail-over."""

from __future__ import annotations

import asyncio

import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseUnreachableError

from tests.conformance.postgres.relay import Relay, message_of
from tests.conformance.postgres.test_postgres_silence import LOOK

SECONDS = 30

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


@pytest.mark.parametrize("turns", range(8))
async def test_a_connection_that_ends_after_any_message_is_reported_as_lost(url: str, turns: int) -> None:
    whole = Cut(url, -1)
    async with whole.serve() as address:
        assert await use(address) == []
    losses = 0
    for messages in range(1, whole.passed):
        async with Cut(url, messages, turns, with_reset=bool(messages % 2)).serve() as address:
            errors = await use(address)
        assert [error for error in errors if not isinstance(error, DatabaseUnreachableError)] == []
        losses += len(errors)
    assert whole.passed // 2 < losses < whole.passed  # a connection that ended while idle is replaced
