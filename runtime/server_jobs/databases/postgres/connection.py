"""One connection to PostgreSQL: statements, transactions, and their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TypeVar

from ...domain.interfaces import Row, Statement, Value
from ...errors import DatabaseUnreachableError
from ..parameter_styles import in_style
from .driver import DriverStatement, Session
from .errors import UnreadableAnswerError, call_error

T = TypeVar("T")

Call = tuple[Statement, Mapping[str, Value]]

# One message, as cheap as a bare BEGIN. The time limits release the locks of a process that was stopped or cut off
# between two statements. READ COMMITTED, because counts must see the commits of others. (Single statements use the
# default of the server. If it is stricter, the server rolls back conflicting transactions, which are repeated.)
BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED;"
    " SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '5s'"
)


class PostgresConnection:
    """A connection with its prepared statements."""

    def __init__(self, session: Session, place: str) -> None:
        self.session = session
        self.driver = session.driver
        self.waits_since: float | None = None
        """Loop time at which the current statement was sent; None without a statement."""
        self._place = place
        self._time = asyncio.get_running_loop().time
        self._prepared: dict[str, DriverStatement] = {}
        self._gave_up: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open and its server still has the same role, as far as known locally."""
        return self.session.is_usable

    def has_prepared(self, calls: Sequence[Call]) -> bool:
        """Whether every statement of these calls is prepared on this connection."""
        return all(positional(statement.sql)[0] in self._prepared for statement, _ in calls)

    async def run(self, calls: Sequence[Call], *, prepared: bool) -> Sequence[Sequence[Row]]:
        """Like `Database.run`. A single prepared statement needs no BEGIN and COMMIT.

        An unprepared statement takes two messages, and only a transaction keeps both on one connection of a pooler.
        """
        if len(calls) == 1 and prepared:
            return [await self._understood(self._fetch_prepared(*calls[0]))]
        return await self._understood(self._in_transaction(calls, prepared=prepared))

    async def _in_transaction(self, calls: Sequence[Call], *, prepared: bool) -> list[Sequence[Row]]:
        fetch = self._fetch_prepared if prepared else self._fetch
        await self._answer(self.driver.execute(BEGIN))
        rows = [await fetch(*call) for call in calls]
        await self._answer(self.driver.execute("COMMIT"))
        return rows

    async def _understood(self, work: Awaitable[T]) -> T:
        """Return the result. Translate an error of the driver, and roll the transaction back."""
        try:
            result = await work
        except Exception as error:
            meaning = call_error(error, self._place) if self._gave_up is None else self._given_up()
            if isinstance(meaning, UnreadableAnswerError):
                self.terminate()
            elif not isinstance(meaning, DatabaseUnreachableError):
                await self._roll_back()
            if meaning is error:
                raise
            raise meaning from error
        if self.session.is_unreplicated:
            raise DatabaseUnreachableError(
                f"{self._place} stopped waiting for its synchronous standby: the transaction is committed there alone, "
                "and a fail-over may lose it"
            )
        return result

    def terminate(self) -> None:
        """Drop the connection without notice to the server. A running statement fails at once."""
        self.driver.terminate()

    def give_up(self, reason: str) -> None:
        """Drop the connection. The running call raises `DatabaseUnreachableError` with this reason."""
        self._gave_up = reason
        self.driver.terminate()

    @property
    def is_given_up(self) -> bool:
        """Whether the server did not answer, and `give_up` ended its call."""
        return self._gave_up is not None

    def _given_up(self) -> DatabaseUnreachableError:
        return DatabaseUnreachableError(f"the connection to {self._place} was lost: {self._gave_up}")

    def abandon(self) -> None:
        """Drop the connection from another event loop."""
        with suppress(RuntimeError):  # its loop is closed
            self.driver.terminate()

    async def _roll_back(self) -> None:
        try:
            if self.driver.is_in_transaction():
                await self._answer(self.driver.execute("ROLLBACK"))
        except Exception:  # noqa: BLE001  the server rolls back when the connection ends
            self.terminate()

    async def _answer(self, work: Awaitable[T]) -> T:
        """Wait for one answer of the server, and note the start of the wait."""
        self.waits_since = self._time()
        try:
            return await work
        finally:
            self.waits_since = None

    async def _fetch_prepared(self, statement: Statement, parameters: Mapping[str, Value]) -> Sequence[Row]:
        sql, names = positional(statement.sql)
        prepared = self._prepared.get(sql)
        if prepared is None:
            prepared = await self._answer(self._prepared_now(sql))
        return await self._answer(prepared.fetch(*[parameters[name] for name in names]))

    async def _prepared_now(self, sql: str) -> DriverStatement:
        name = f"server_jobs_{sha256(sql.encode()).hexdigest()[:24]}"
        prepared = self._prepared[sql] = await self.driver.prepare(sql, name=name)
        return prepared

    async def _fetch(self, statement: Statement, parameters: Mapping[str, Value]) -> Sequence[Row]:
        sql, names = positional(statement.sql)
        return await self._answer(self.driver.fetch(sql, *[parameters[name] for name in names]))


def positional(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement with `$1`, `$2` instead of named parameters, and the names in this order."""
    return in_style(sql, "numeric_dollar")
