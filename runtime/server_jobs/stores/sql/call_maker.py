"""Make calls of statements: the text of a dialect becomes a statement with the time of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ...domain.clock import Clock
from ...domain.interfaces import Database, Statement, Value
from .dialect import dialect_of
from .parameters import timestamp

BoundCall = tuple[Statement, Mapping[str, Value]]
MakeCall = Callable[..., BoundCall]


def filled(statement: Statement, **parts: str) -> Statement:
    """Return the statement with these parts."""
    sql = statement.sql
    for name, part in parts.items():
        sql = sql.replace(f"{{{name}}}", part)
    return replace(statement, sql=sql)


class CallMaker:
    """The calls of one database, with its time. In tests, `clock` replaces the time."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database_now = database.now
        self._given_now = dialect_of(database).statements.fragments["given_now"]
        self._clock = clock
        self._made: dict[tuple[str, bool, bool], Statement] = {}

    def call(self, statement: Statement, **parameters: Value) -> BoundCall:
        """Return the call of a statement."""
        return self._bound(statement, parameters)

    def waiting_call(self, statement: Statement, **parameters: Value) -> BoundCall:
        """Like `call`, for a statement that may wait for other transactions, given these parameters."""
        return self._bound(statement, parameters, may_wait=True)

    def call_at(self, now: Value) -> MakeCall:
        """Return a function like `call`, for statements that all take this time of the database for the present.

        For statements of one transaction that must agree, for example on the leases that are over.
        """

        def call(statement: Statement, **parameters: Value) -> BoundCall:
            return self._bound(statement, {**parameters, "now": now}, has_time=True)

        return call

    def _bound(
        self, statement: Statement, parameters: dict[str, Value], *, may_wait: bool = False, has_time: bool = False
    ) -> BoundCall:
        if self._clock is not None and not has_time:
            parameters["now"] = timestamp(self._clock.now())
        key = statement.sql, may_wait, has_time
        made = self._made.get(key)
        if made is None:
            now = self._given_now if has_time or self._clock is not None else self._database_now
            made = self._made[key] = replace(
                statement, sql=statement.sql.replace("{now}", now), may_wait=may_wait or statement.may_wait
            )
        return made, parameters
