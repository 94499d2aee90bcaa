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
"""The longest time that one statement may take on a server that is alive."""


class DriverStatement(Protocol):
    """A prepared statement of the driver."""

    async def fetch(self, *args: Value) -> Sequence[Row]: ...


class DriverConnection(Protocol):
    """The part of the driver's connection that we use."""

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

    async def close(self, *, timeout: float | None = None) -> None: ...  # noqa: ASYNC109  the driver's

    def terminate(self) -> None: ...


class Session:
    """An open connection of the driver, and where it leads."""

    def __init__(self, driver: DriverConnection, address: Address, network: Network) -> None:
        self.driver = driver
        self.address = address
        self.network = network
        self._role = self._reported_role()

    @property
    def is_usable(self) -> bool:
        """Whether it is open, as far as known here, and leads to the same kind of server as at its start."""
        return not self.driver.is_closed() and self._role == self._reported_role()

    def _reported_role(self) -> tuple[object, object]:
        """What the server reports of itself, from version 14 on: it may be demoted while we are connected."""
        settings = self.driver.get_settings()
        return (
            getattr(settings, "in_hot_standby", None),
            getattr(settings, "default_transaction_read_only", None),
        )


async def open_session(url: PostgresUrl, address: Address, attrs: str | None, seconds: float) -> Session:
    """Connect to one address within that time. Raises `DatabaseError`."""
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
                timeout=ceil(seconds) + 1,  # the limit above is the first to end
                command_timeout=CALL_SECONDS,
                statement_cache_size=0,  # its names are a counter's, and mean another statement to another process
                server_settings=_application_name(url),
            )
            opened = cast("DriverConnection", driver)
            await driver.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_moment, format="tuple"
            )
            await opened.execute(session_settings(opened.get_server_pid()))
    except BaseException as error:
        if opened is not None:
            opened.terminate()
        network.drop()
        if isinstance(error, Exception):
            raise connect_error(error, url.place_of(host), seconds) from error
        raise
    network.settle()
    opened.add_termination_listener(lambda *_: network.drop())  # requests to cancel may be under way
    return Session(opened, address, network)


def _application_name(url: PostgresUrl) -> dict[str, str] | None:
    return None if "application_name" in url.options.of_asyncpg else {"application_name": "server-jobs"}


def session_settings(process: int) -> str:
    """Return a statement that lets the session plan each prepared statement once, and for a large table.

    A plan outlives the state of the table that it was made for, until the server analyzes the table: the worker that
    found an empty queue would read all of the backlog that comes next, at each claim. Our statements leave the planner
    no choice that would depend on their parameters, so that planning them anew is in vain. A scan that cannot be
    avoided has a very high estimate, for which the server would compile the statement (JIT): it must not.

    Behind a pooler the session belongs to others as well, and is left as it is. There the server process is another one
    than the pooler names.
    """
    settings = {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan", "jit": "off"}
    made = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {made} WHERE pg_backend_pid() = {process:d}"


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
