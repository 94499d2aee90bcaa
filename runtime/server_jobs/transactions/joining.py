"""The transactions that `later_in` takes: sessions and connections of several libraries, told apart by their types."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, Protocol, cast

from ..definition import AnyDefinition
from ..domain.record import Inserted, NewJob
from ..errors import InvalidOptionError
from ..redirection import stand_in_for
from ..stores.real_database import check_transaction_allowed
from .storing import Storing

Answers = Sequence[Inserted] | Coroutine[Any, Any, Sequence[Inserted]]

_LIBRARIES = ("aiosqlite", "asyncpg", "django", "psycopg", "sqlalchemy", "sqlite3")
"""Each has a module here."""


# Structural types: they do not depend on the installed libraries, and tell sync from async by the result of a method.
class SyncTransaction(Protocol):
    """A sync session or connection: of SQLAlchemy, Django, psycopg or sqlite3."""

    @property
    def commit(self) -> Callable[..., None]: ...


class AsyncTransaction(Protocol):
    """An async session or connection: of SQLAlchemy, psycopg or aiosqlite."""

    @property
    def commit(self) -> Callable[..., Coroutine[Any, Any, None]]: ...


class AsyncpgConnection(Protocol):
    """A connection of asyncpg, which commits by its transactions."""

    @property
    def fetch(self) -> Callable[..., Coroutine[Any, Any, Any]]: ...

    @property
    def transaction(self) -> Callable[..., object]: ...


class DjangoConnection(Protocol):
    """`django.db.connection` as checkers see it without stubs: a proxy without known attributes."""

    def __getattr__(self, name: str, /) -> object: ...

    def __contains__(self, name: str, /) -> bool: ...


class AsyncpgLoan(Protocol):
    """A connection that a pool of asyncpg lends, as checkers see it without stubs."""

    def __getattr__(self, name: str, /) -> object: ...

    def _detach(self) -> object: ...


AnySyncTransaction = SyncTransaction | DjangoConnection | str
"""A text is an alias of Django."""
AnyAsyncTransaction = AsyncTransaction | AsyncpgConnection | AsyncpgLoan


def insert_in(
    job: AnyDefinition, transaction: object, jobs: Sequence[NewJob], database_name: str | None = None
) -> Answers:
    """Store new jobs of this class in a transaction of the application. Does not commit.

    Every `later_in` and `later_many_in` calls this. Return the answers, or a coroutine of them if the transaction is
    async; see `is_async`. Raises `InvalidOptionError` for an object of any other type, and for a transaction in a
    database that does not hold the name `database_name`, if it is given.
    """
    library = _library_of(transaction)
    if stand_in := stand_in_for(job.job_name):
        return stand_in.backend.insert_within(transaction, jobs, is_async=is_async(transaction))
    check_transaction_allowed(library)
    storing = Storing(jobs, job.database_schema, job.current_hooks().middleware, database_name)
    module = import_module(f".{library}", __package__)
    return cast("Answers", module.insert(transaction, storing))


def is_async(transaction: object) -> bool:
    """Whether the caller awaits the answer. Raises `InvalidOptionError` as `insert_in` does."""
    return _library_of(transaction) == "asyncpg" or iscoroutinefunction(getattr(transaction, "commit", None))


def _library_of(transaction: object) -> str:
    """Return the library of a connection or session. A subclass counts as its base, a tracing proxy as its object."""
    if isinstance(transaction, str) and "django" in sys.modules:
        return "django"
    if hasattr(transaction, "commit") or hasattr(transaction, "transaction"):
        for base in transaction.__class__.__mro__:
            library = base.__module__.partition(".")[0]
            if library in _LIBRARIES:
                return library
    kind = type(transaction)
    raise InvalidOptionError(
        "later_in takes a session or connection of SQLAlchemy, a connection of Django or its alias, or a connection of "
        f"psycopg, asyncpg, sqlite3 or aiosqlite, not {kind.__module__}.{kind.__qualname__}; with another driver, "
        "execute the statement of `insert_job`"
    )
