"""One connection to PostgreSQL, and what its driver's errors mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Protocol, cast

import asyncpg

from ..errors import DatabaseBusyError, DatabaseError, SchemaMissingError
from ..ports import Row, Statement, Value
from .postgres_url import shown_place

Call = tuple[Statement, Mapping[str, Value]]

CONNECT_SECONDS = 10
CALL_SECONDS = 120

# One message, so that it costs what a bare BEGIN costs. A process that is stopped between two of its statements, or cut
# off, keeps what it has locked from everybody else: not for long. What counts what others have committed must see it,
# whatever the server's default is. (Single statements go by that default: where it is a stricter one, the server undoes
# a transaction that it would spoil, and that is run again.)
BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED;"
    " SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '5s'"
)

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


class DriverStatement(Protocol):
    """A prepared statement of the driver."""

    async def fetch(self, *args: Value) -> Sequence[Row]: ...


class DriverConnection(Protocol):
    """What we use of the driver's connection."""

    async def prepare(self, query: str, *, name: str | None = None) -> DriverStatement: ...

    async def fetch(self, query: str, *args: Value) -> Sequence[Row]: ...

    async def fetchval(self, query: str) -> object: ...

    async def execute(self, query: str) -> str: ...

    def is_in_transaction(self) -> bool: ...

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...

    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...

    def get_server_pid(self) -> int: ...

    def is_closed(self) -> bool: ...

    async def close(self, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109  the driver's

    def terminate(self) -> None: ...


class RepeatableError(DatabaseError):
    """PostgreSQL undid the transaction for the sake of another one; the same again will do."""


class LostStatementError(DatabaseError):
    """The connection did not know the statement any more, or was none any more. Nothing was executed."""


class PooledStatementError(LostStatementError):
    """A prepared statement is not on the connection to the server that a pooler chose. Nothing was executed."""


class ConnectionLostError(DatabaseError):
    """The server went away, or cannot be reached. What a call did that was under way is unknown."""


async def connect(url: str) -> DriverConnection:
    """A connection of the driver's. Raises `DatabaseError`."""
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_SECONDS,
            command_timeout=CALL_SECONDS,
            statement_cache_size=0,  # its names are a counter's, and mean another statement to another process
            server_settings=None if "application_name=" in url else {"application_name": "server-jobs"},
        )
        await connection.set_type_codec(
            "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_moment, format="tuple"
        )
    except Exception as error:
        raise _connect_error(error, url) from error
    return cast("DriverConnection", connection)


class PostgresConnection:
    """A connection, and the statements that are prepared on it."""

    def __init__(self, driver: DriverConnection, url: str) -> None:
        self.driver = driver
        self._url = url
        self._prepared: dict[str, DriverStatement] = {}

    @property
    def is_usable(self) -> bool:
        """Whether it is open, as far as can be told without asking the server."""
        return not self.driver.is_closed()

    async def run(self, calls: Sequence[Call], *, prepared: bool) -> Sequence[Sequence[Row]]:
        """As `Database.run`. A single statement needs no BEGIN and COMMIT: it is a transaction by itself.

        One that is not prepared is sent in two parts, which only a transaction keeps on one connection of a pooler.
        """
        fetch = self._fetch_prepared if prepared else self._fetch

        async def in_turn() -> list[Sequence[Row]]:
            return [await fetch(*call) for call in calls]

        if len(calls) == 1 and prepared:
            return await self._understood(in_turn())
        return await self._understood(self._in_transaction(in_turn))

    async def stream(self, calls: Iterable[Call], *, prepared: bool) -> Sequence[Sequence[Row]]:
        """As `StreamingDatabase.stream`."""
        fetch = self._fetch_prepared if prepared else self._fetch

        async def while_made() -> list[Sequence[Row]]:
            rows: list[Sequence[Row]] = []
            under_way: asyncio.Task[Sequence[Row]] | None = None
            try:
                for call in calls:
                    if under_way is not None:
                        rows.append(await under_way)
                    under_way = asyncio.create_task(fetch(*call))
                    await asyncio.sleep(0)  # it is sent now
            finally:
                if under_way is not None:
                    rows.append(await under_way)
            return rows

        return await self._understood(self._in_transaction(while_made))

    async def _in_transaction(self, work: Callable[[], Awaitable[list[Sequence[Row]]]]) -> list[Sequence[Row]]:
        await self.driver.execute(BEGIN)
        rows = await work()
        await self.driver.execute("COMMIT")
        return rows

    async def _understood(self, work: Awaitable[list[Sequence[Row]]]) -> list[Sequence[Row]]:
        """What this comes to. Raises what errors of the driver mean; the transaction is rolled back."""
        try:
            return await work
        except Exception as error:
            meaning = call_error(error, self._url)
            if not isinstance(meaning, ConnectionLostError):
                await self._roll_back()
            if meaning is error:
                raise
            raise meaning from error

    def terminate(self) -> None:
        """Drop the connection without a word to the server."""
        self.driver.terminate()

    def abandon(self) -> None:
        """Drop the connection, whose event loop is not the one that runs here."""
        with suppress(RuntimeError):  # its loop is closed
            self.driver.terminate()

    async def _roll_back(self) -> None:
        try:
            if self.driver.is_in_transaction():
                await self.driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001  the server rolls back what it does not hear of any more
            self.terminate()

    async def _fetch_prepared(self, statement: Statement, parameters: Mapping[str, Value]) -> Sequence[Row]:
        sql, names = positional(statement.sql)
        prepared = self._prepared.get(sql) or await self._prepared_now(sql)
        return await prepared.fetch(*[parameters[name] for name in names])

    async def _prepared_now(self, sql: str) -> DriverStatement:
        name = f"server_jobs_{sha256(sql.encode()).hexdigest()[:24]}"
        prepared = self._prepared[sql] = await self.driver.prepare(sql, name=name)
        return prepared

    async def _fetch(self, statement: Statement, parameters: Mapping[str, Value]) -> Sequence[Row]:
        sql, names = positional(statement.sql)
        return await self.driver.fetch(sql, *[parameters[name] for name in names])


@lru_cache(maxsize=256)
def positional(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` for its named parameters, and their names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)


def call_error(error: Exception, url: str) -> Exception:
    """What an error of the driver means to us."""
    place = shown_place(url)
    match error:
        case DatabaseError():
            return error
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError() | asyncpg.UniqueViolationError():
            return RepeatableError(f"PostgreSQL undid a transaction on {place}: {_text(error)}")
        case asyncpg.LockNotAvailableError():
            return DatabaseBusyError(
                f"a transaction on {place} waited too long for another one that is still open ({_text(error)}); nothing"
                " was changed: try again, and look in pg_stat_activity for who is idle in a transaction"
            )
        case asyncpg.ReadOnlySQLTransactionError():
            return ConnectionLostError(f"the server at {place} takes no writes, as a standby does: {_text(error)}")
        case asyncpg.InvalidSQLStatementNameError() | asyncpg.DuplicatePreparedStatementError():
            return PooledStatementError(f"a pooler at {place} lost a prepared statement: {_text(error)}")
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            return LostStatementError(f"the tables of {place} have changed: {_text(error)}")
        case asyncpg.InternalClientError() if "cannot switch to state" in str(error):
            return LostStatementError(f"an idle connection to {place} had ended")  # and the driver had not noticed
        case asyncpg.UndefinedTableError() | asyncpg.UndefinedColumnError():
            return SchemaMissingError(f"{place}: {_text(error)}")
        case _ if _is_loss(error):
            return ConnectionLostError(f"the connection to {place} was lost: {_text(error)}")
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return DatabaseError(f"PostgreSQL refused a statement on {place}: {_text(error)}")
        case UnicodeEncodeError() | OverflowError():
            return DatabaseError(f"PostgreSQL cannot store a value on {place}: {_text(error)}")
        case _:
            return error


def _is_loss(error: Exception) -> bool:
    lost = (
        OSError,
        TimeoutError,
        asyncpg.PostgresConnectionError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.IdleSessionTimeoutError,
        asyncpg.IdleInTransactionSessionTimeoutError,
    )
    return isinstance(error, lost) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error))


def _connect_error(error: Exception, url: str) -> Exception:
    place = shown_place(url)
    match error:
        case asyncpg.InvalidCatalogNameError():
            return DatabaseError(f"cannot open {place}: {_text(error)}; create it first, for example with `createdb`")
        case asyncpg.InvalidAuthorizationSpecificationError():
            return DatabaseError(
                f"cannot open {place}: {_text(error)}; check the user and the password of the database URL"
            )
        case asyncpg.ClientConfigurationError():
            return DatabaseError(f"cannot open {place}: {_text(error)}; check the options of the database URL")
        case _ if _is_loss(error):
            return ConnectionLostError(f"no PostgreSQL server answers at {place}: {_text(error)}")
        case asyncpg.PostgresError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | ValueError():
            return DatabaseError(f"cannot open {place}: {_text(error)}")
        case _:
            return error


def _text(error: Exception) -> str:
    """Its first line; what the driver adds is advice about the driver."""
    return str(error).partition("\n")[0] or type(error).__name__


# --- times -----------------------------------------------------------------------------------------------------------

_Y2K = datetime(2000, 1, 1, tzinfo=UTC)  # whence PostgreSQL counts its microseconds
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)  # the rows of a batch share most of their times
def _moment(encoded: tuple[int]) -> datetime:
    """The moment, or the first or last one that Python knows: the row of another program must not break a claim."""
    try:
        return _Y2K + timedelta(microseconds=encoded[0])
    except OverflowError:
        return _FIRST if encoded[0] < 0 else _LAST


def _microseconds(moment: datetime) -> tuple[int]:
    return ((moment - _Y2K) // _MICROSECOND,)
