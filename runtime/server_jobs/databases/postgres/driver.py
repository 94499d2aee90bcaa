"""Sessions of asyncpg: opened at one address, with a time limit and the socket options of the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Protocol, cast

import asyncpg

from ...domain.interfaces import Row, Value
from .errors import connect_error
from .network import Address, Network
from .url import PostgresUrl

CALL_SECONDS = 120
"""Longest time of a statement on a live server."""

# The source of the warning that a commit did not wait for the synchronous standby, which may lack it.
_UNREPLICATED = "SyncRepWaitForLSN"


class DriverStatement(Protocol):
    """A prepared statement of the driver."""

    async def fetch(self, *args: Value) -> Sequence[Row]: ...


class DriverConnection(Protocol):
    """The used part of the driver's connection."""

    async def prepare(self, query: str, *, name: str | None = None) -> DriverStatement: ...

    async def fetch(self, query: str, *args: Value) -> Sequence[Row]: ...

    async def fetchval(self, query: str) -> object: ...

    async def execute(self, query: str) -> str: ...

    def is_in_transaction(self) -> bool: ...

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...

    def add_log_listener(self, callback: Callable[..., None]) -> None: ...

    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...

    def get_server_pid(self) -> int: ...

    def get_settings(self) -> object: ...

    def is_closed(self) -> bool: ...

    async def close(self, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109  the driver's signature

    def terminate(self) -> None: ...


class Session:
    """An open connection of the driver, and its server."""

    def __init__(self, driver: DriverConnection, address: Address, network: Network) -> None:
        self.driver = driver
        self.address = address
        self.network = network
        self.is_unreplicated = False
        """Whether the server has said that a commit did not wait for the synchronous standby."""
        self._role = self._reported_role()
        driver.add_log_listener(self._note_warning)

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open, as far as known, and its server has the same role as at the start."""
        return not self.driver.is_closed() and self._role == self._reported_role()

    def _note_warning(self, _driver: object, message: object) -> None:
        if getattr(message, "server_source_function", None) == _UNREPLICATED:
            self.is_unreplicated = True

    def _reported_role(self) -> tuple[object, object]:
        """Return the role that the server reports, from version 14 on. It changes when the server is demoted."""
        settings = self.driver.get_settings()
        return (
            getattr(settings, "in_hot_standby", None),
            getattr(settings, "default_transaction_read_only", None),
        )


async def open_session(url: PostgresUrl, address: Address, attrs: str | None, seconds: float) -> Session:
    """Connect to one address within `seconds`. Raises `DatabaseError`."""
    network = Network(asyncio.get_running_loop(), address, url.options.tcp)
    host = address.host
    opened: DriverConnection | None = None
    try:
        async with asyncio.timeout(seconds):
            driver = await asyncpg.connect(
                url.dsn,
                host=host.name if host else None,
                port=host.port if host else None,
                user=url.user,
                password=url.password,
                database=url.database,
                target_session_attrs=attrs,
                loop=network,
                timeout=ceil(seconds) + 1,  # the limit above ends first
                command_timeout=CALL_SECONDS,
                statement_cache_size=0,  # its names come from a counter, and clash between processes
                server_settings=_application_name(url),
            )
            opened = cast("DriverConnection", driver)
            await driver.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_moment, format="tuple"
            )
            await opened.execute(session_settings(opened.get_server_pid()))
            session = Session(opened, address, network)  # raises if the connection has ended by now
    except BaseException as error:
        if opened is not None:
            opened.terminate()
        network.drop()
        if isinstance(error, Exception):
            raise connect_error(error, url.place_of(host), seconds) from error
        raise
    network.settle()
    opened.add_termination_listener(lambda *_: network.drop())  # also closes pending cancel requests
    return session


def _application_name(url: PostgresUrl) -> dict[str, str] | None:
    return None if "application_name" in url.options.of_asyncpg else {"application_name": "server-jobs"}


def session_settings(process: int) -> str:
    """Return a statement that makes the session plan prepared statements once, and for a large table.

    The server keeps a plan until it analyzes the table. A plan made for an empty queue would read the whole backlog
    later, at each claim. The best plan of our statements does not depend on their parameters, so that planning again
    would be wasted. A scan that cannot be avoided gets a very high estimate, for which the server must not compile the
    statement (JIT).

    Behind a pooler, other clients share the session, so that it stays unchanged. A pooler shows in a different process
    id.
    """
    settings = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan", "jit": "off"}
    made = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {made} WHERE pg_backend_pid() = {process:d}"


# --- times -----------------------------------------------------------------------------------------------------------

_Y2K = datetime(2000, 1, 1, tzinfo=UTC)  # the epoch of PostgreSQL, in microseconds
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)  # rows of a batch share most times
def _moment(encoded: tuple[int]) -> datetime:
    """Return the time, limited to the range of Python. A foreign value must not break a claim."""
    try:
        return _Y2K + timedelta(microseconds=encoded[0])
    except OverflowError:
        return _FIRST if encoded[0] < 0 else _LAST


def _microseconds(moment: datetime) -> tuple[int]:
    return ((moment - _Y2K) // _MICROSECOND,)
