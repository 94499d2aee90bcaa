"""One protection of a store, and the ways to remove it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.domain import lifecycle
from server_jobs.domain.interfaces import Store
from server_jobs.stores import memory
from server_jobs.stores.sql.dialect import dialect_of
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock

from tests.conformance.postgres_databases import spoil
from tests.sabotage import sabotage

LIMITED_CLAIMS = ("CLAIM_LIMITED",)
CLAIMS = ("CLAIM", "CLAIM_ONE", *LIMITED_CLAIMS)

ConformanceTest = Callable[[Store, FakeClock], Coroutine[None, None, None]]
Sabotage = Callable[[pytest.MonkeyPatch, Store], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A protection, the test that must fail without it, and how to remove it on each kind of store that has it.

    `sql` removes the same text on SQLite and PostgreSQL. `sqlite` and `postgresql` are for texts of one of them.
    """

    protection: str = field(kw_only=False)
    noticed_by: ConformanceTest
    sql: Sabotage | None = None
    sqlite: Sabotage | None = None
    postgresql: Sabotage | None = None
    memory: Sabotage | None = None


def without(fragment: str, *names: str, instead: str = "") -> Sabotage:
    """Remove a fragment from the statements of these names, or replace it. Each of them must contain it."""

    def remove(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        if not isinstance(store, SqlStore):  # not an AssertionError, which would look like a failing test
            raise TypeError(f"{store} has no statements")
        for name in names:
            sabotage(monkeypatch, dialect_of(store.database).statements, name, fragment, instead)

    return remove


def without_index(name: str) -> Sabotage:
    """Drop an index of the database."""

    def remove(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        match store:
            case SqlStore(database=PostgresDatabase() as database):
                spoil(database.shown_url, f"DROP INDEX {name}")
            case SqlStore(database=SqliteDatabase() as database):
                with closing(sqlite3.connect(database.path)) as connection:
                    connection.execute(f"DROP INDEX {name}")
            case _:
                raise TypeError(f"{store} has no indexes")

    return remove


def with_other(module: object, name: str, value: object) -> Sabotage:
    """Replace the function or number of that name, which must exist."""
    return lambda monkeypatch, store: monkeypatch.setattr(module, name, value)


def instead_of(name: str, function: Callable[..., object]) -> Sabotage:
    """Replace a function of the state machine wherever the store in memory uses it."""
    modules = [module for module in (lifecycle, memory.attempts, memory.schedules) if hasattr(module, name)]
    assert modules, f"no module of the memory store has {name}"
    return together(*(with_other(module, name, function) for module in modules))


def together(*sabotages: Sabotage) -> Sabotage:
    """Apply all of these."""

    def remove(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
        for one in sabotages:
            one(monkeypatch, store)

    return remove
