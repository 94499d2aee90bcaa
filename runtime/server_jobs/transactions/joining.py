"""The transactions that `later_in` takes: sessions and connections of several libraries, told apart by their types."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from functools import cache, lru_cache
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, Protocol, cast

from ..definition import AnyDefinition
from ..domain.record import NewJob
from ..errors import InvalidOptionError
from ..redirection import stand_in_for
from ..stores.real_database import check_transaction_allowed
from .kinds import TRANSACTIONS, Answers, TransactionKind
from .storing import Storing

_LIBRARIES = ("aiosqlite", "asyncpg", "psycopg", "sqlalchemy", "sqlite3")
"""The libraries that the core knows. Each has a module here with its `KIND`. No plug-in replaces one."""


# Structural types: they do not depend on the installed libraries, and tell sync from async by the result of a method.
class SyncTransaction(Protocol):
    """A sync session or connection: of SQLAlchemy, psycopg, sqlite3 or the library of a plug-in."""

    @property
    def commit(self) -> Callable[..., None]: ...


class AsyncTransaction(Protocol):
    """An async session or connection: of SQLAlchemy, psycopg, aiosqlite or the library of a plug-in."""

    @property
    def commit(self) -> Callable[..., Coroutine[Any, Any, None]]: ...


class AsyncpgConnection(Protocol):
    """A connection of asyncpg, which commits by its transactions."""

    @property
    def fetch(self) -> Callable[..., Coroutine[Any, Any, Any]]: ...

    @property
    def transaction(self) -> Callable[..., object]: ...


class ConnectionProxy(Protocol):
    """A proxy of a connection as checkers see it without stubs: it has no known attributes."""

    def __getattr__(self, name: str, /) -> object: ...

    def __contains__(self, name: str, /) -> bool: ...


class AsyncpgLoan(Protocol):
    """A connection that a pool of asyncpg lends, as checkers see it without stubs."""

    def __getattr__(self, name: str, /) -> object: ...

    def _detach(self) -> object: ...


AnySyncTransaction = SyncTransaction | ConnectionProxy | str
"""A text is the name of a connection of a plug-in."""
AnyAsyncTransaction = AsyncTransaction | AsyncpgConnection | AsyncpgLoan


class _Joined(NamedTuple):
    """A transaction of the application, with its library."""

    library: str
    kind: TransactionKind
    connection: object

    @property
    def is_async(self) -> bool:
        if self.kind.is_async is None:
            return iscoroutinefunction(getattr(self.connection, "commit", None))
        return self.kind.is_async

    def on_rollback(self, undo: Callable[[], None]) -> Awaitable[None] | None:
        watch = self.kind.on_rollback
        return None if watch is None else watch(self.connection, undo)


def insert_in(
    job: AnyDefinition, transaction: object, jobs: Sequence[NewJob], database_name: str | None = None
) -> Answers:
    """Store new jobs of this class in a transaction of the application. Does not commit.

    Every `later_in` and `later_many_in` calls this. Return the answers, or a coroutine of them if the transaction is
    async; see `is_async`. Raises `InvalidOptionError` for an object of any other type, and for a transaction in a
    database that does not hold the name `database_name`, if it is given.
    """
    joined = _join(transaction)
    if stand_in := stand_in_for(job.job_name):
        return stand_in.backend.insert_within(joined.on_rollback, jobs, is_async=joined.is_async)
    check_transaction_allowed(joined.library)
    storing = Storing(jobs, job.database_schema, job.current_hooks().middleware, database_name)
    return joined.kind.insert(joined.connection, storing)


def is_async(transaction: object) -> bool:
    """Whether the caller awaits the answer. Raises `InvalidOptionError` as `insert_in` does."""
    return _join(transaction).is_async


def on_rollback(transaction: object, undo: Callable[[], None]) -> Awaitable[None] | None:
    """Call `undo` once the transaction, or a savepoint around this call, is rolled back, if its library can tell.

    Return an awaitable if the transaction is async. Raises `InvalidOptionError` as `insert_in` does.
    """
    return _join(transaction).on_rollback(undo)


def _join(transaction: object) -> _Joined:
    """Find the kind of a connection or session. A subclass counts as its base, a tracing proxy as its object."""
    if isinstance(transaction, str):
        for library in _plug_ins():
            if library in sys.modules and (kind := _plug_in(library)) is not None and kind.named is not None:
                return _Joined(library, kind, kind.named(transaction))
    elif (hasattr(transaction, "commit") or hasattr(transaction, "transaction")) and (
        found := _kind_of(cast("Hashable", transaction.__class__))
    ):
        return _Joined(*found, transaction)
    other = type(transaction)
    libraries = ", ".join((*_plug_ins(), "psycopg", "asyncpg", "sqlite3"))
    raise InvalidOptionError(
        f"later_in takes a session or connection of SQLAlchemy, or a connection of {libraries} or aiosqlite, not "
        f"{other.__module__}.{other.__qualname__}; with another driver, execute the statement of `insert_job`"
    )


@lru_cache(maxsize=256)
def _kind_of(connection: type) -> tuple[str, TransactionKind] | None:
    """Return the library of the connections of this class, and their kind. Packages are searched only for plug-ins."""
    libraries = [base.__module__.partition(".")[0] for base in connection.__mro__]
    for library in libraries:
        if library in _LIBRARIES:
            return library, cast("TransactionKind", import_module(f".{library}", __package__).KIND)
    for library in libraries:
        if library in _plug_ins() and (kind := _plug_in(library)) is not None:
            return library, kind
    return None


@cache  # installed packages stay the same, and a search of them takes milliseconds
def _plug_ins() -> Sequence[str]:
    return TRANSACTIONS.names()


@cache
def _plug_in(library: str) -> TransactionKind | None:
    return TRANSACTIONS.find(library)
