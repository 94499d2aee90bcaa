"""The stores of simulations: none waits, so that each method is one step."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from server_jobs import DatabaseError
from server_jobs.domain.clock import SQLITE_NOW, Clock
from server_jobs.domain.interfaces import Row, Statement, Store, Value, Wake
from server_jobs.schema import metadata
from server_jobs.stores.memory import MemoryStore
from server_jobs.stores.sql.store import SqlStore
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateIndex, CreateTable


class _SortedIds(set[str]):
    """A set whose order does not depend on Python's hash of text."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


class SimulatedSqlite:
    """SQLite in memory, in this thread; its random values come from the seed."""

    name = "sqlite"
    now = SQLITE_NOW

    def __init__(self, rng: random.Random) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.create_function("random", 0, lambda: rng.getrandbits(62))
        self._connection.executescript(tables())

    @property
    def changes(self) -> int:
        """Return how many rows were written until now."""
        return self._connection.total_changes

    async def open(self) -> None:
        """Do nothing, because it is open."""

    async def close(self) -> None:
        """Do nothing, because other machines use it."""

    def end(self) -> None:
        """Delete everything."""
        self._connection.close()

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        if look is not None and not self._execute(look[0].sql, look[1]):
            return [() for _ in calls]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            rows = [self._execute(statement.sql, parameters) for statement, parameters in calls]
        except sqlite3.Error as error:
            self._connection.execute("ROLLBACK")
            raise DatabaseError(f"SQLite refused a statement: {error}") from error
        self._connection.execute("COMMIT")
        return rows

    def watch(self, wake: Wake) -> Callable[[], None]:
        del wake
        return lambda: None

    def announce(self) -> None:
        """Do nothing, because machines get notifications through their views."""

    def _execute(self, sql: str, parameters: Mapping[str, Value]) -> list[Row]:
        return [dict(row) for row in self._connection.execute(sql, parameters)]


@dataclass(frozen=True)
class OpenedStore:
    """A store, a number that changes with its jobs (None if unknown), and a function that closes it."""

    store: Store
    changes: Callable[[], int | None]
    end: Callable[[], None]


def memory_store(clock: Clock, rng: random.Random) -> OpenedStore:
    """Open a store in memory."""
    del rng
    store = MemoryStore(clock)
    store._running = _SortedIds()
    return OpenedStore(store, lambda: None, lambda: None)


def sqlite_store(clock: Clock, rng: random.Random) -> OpenedStore:
    """Open a store in SQLite, with the statements of every SQL database."""
    database = SimulatedSqlite(rng)
    return OpenedStore(SqlStore(database, clock), lambda: database.changes, database.end)


STORES: dict[str, Callable[[Clock, random.Random], OpenedStore]] = {"memory": memory_store, "sqlite": sqlite_store}


@cache
def tables() -> str:
    engine = create_engine("sqlite://")
    statements = [str(CreateTable(table).compile(engine)) for table in metadata.sorted_tables]
    statements += [
        str(CreateIndex(index).compile(engine))
        for table in metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda index: str(index.name))
    ]
    return ";\n".join(statements)
