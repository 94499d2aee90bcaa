"""PostgreSQL connections that end after any message of the server, as in a fail-over."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseUnreachableError

from tests.conformance.postgres.test_postgres_silence import LOOK, place_of

SECONDS = 30

CHANGE = Statement("SELECT set_config('application_name', 'server-jobs', true)", writes=True)


class Relay:
    """Passes messages on. Ends the first connection some turns of the loop after `left` messages of the server."""

    def __init__(self, url: str, left: int, turns: int = 0, *, with_reset: bool = False) -> None:
        self._place = place_of(url)
        self._parts = urlsplit(url)
        self._turns = turns
        self._with_reset = with_reset
        self._tasks: set[asyncio.Task[None]] = set()
        self.left = left
        self.passed = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Yield the URL of the relay while the block runs."""
        server = await asyncio.start_server(self._serve_client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"postgresql://{self._parts.username}@127.0.0.1:{port}{self._parts.path}?sslmode=disable"
        finally:
            server.close()
            await asyncio.gather(*self._tasks)

    async def _serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        from_server, to_server = await asyncio.open_connection(*self._place)
        towards = asyncio.create_task(_pass_on(reader, to_server))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.left:
                head = await from_server.readexactly(5)
                writer.write(head + await from_server.readexactly(struct.unpack("!i", head[1:])[0] - 4))
                self.left -= 1
                self.passed += 1
        if not self.left:
            self.left = -1  # the next connections go on
            for _ in range(self._turns):
                await asyncio.sleep(0)
            if self._with_reset:
                writer.transport.abort()
        towards.cancel()
        for end in (writer, to_server):
            end.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


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
    whole = Relay(url, -1)
    async with whole.serve() as address:
        assert await use(address) == []
    losses = 0
    for messages in range(1, whole.passed):
        async with Relay(url, messages, turns, with_reset=bool(messages % 2)).serve() as address:
            errors = await use(address)
        assert [error for error in errors if not isinstance(error, DatabaseUnreachableError)] == []
        losses += len(errors)
    assert whole.passed // 2 < losses < whole.passed  # a connection that ended while idle is replaced
