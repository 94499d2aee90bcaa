"""Make calls of statements: the SQL of a dialect becomes a statement that states whether it writes.

Each caller says so, by the method that it uses. A statement that reads takes no lock, and a database may repeat it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..domain.clock import Clock
from ..domain.interfaces import Database, Statement, Value
from .dialect import dialect_of
from .rows import timestamp

BoundCall = tuple[Statement, Mapping[str, Value]]
MakeCall = Callable[..., BoundCall]


class CallMaker:
    """The statements of one database, with its time. In tests, `clock` replaces the time."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database_now = database.now
        self._statements = dialect_of(database).statements
        self._clock = clock
        self._made: dict[tuple[str, bool, bool, bool], Statement] = {}

    def read(self, sql: str, **parameters: Value) -> BoundCall:
        """Return the call of a statement that only reads."""
        return self._bound(sql, parameters, writes=False)

    def write(self, sql: str, **parameters: Value) -> BoundCall:
        """Return the call of a statement that writes."""
        return self._bound(sql, parameters, writes=True)

    def write_waiting(self, sql: str, **parameters: Value) -> BoundCall:
        """Like `write`, for a statement that may wait for other transactions."""
        return self._bound(sql, parameters, writes=True, may_wait=True)

    def write_at(self, now: Value) -> MakeCall:
        """Return a function like `write`, for statements that all take this time of the database for the present.

        For statements of one transaction that must agree, for example on the leases that are over.
        """

        def write(sql: str, **parameters: Value) -> BoundCall:
            return self._bound(sql, {**parameters, "now": now}, writes=True, has_time=True)

        return write

    def _bound(
        self, sql: str, parameters: dict[str, Value], *, writes: bool, may_wait: bool = False, has_time: bool = False
    ) -> BoundCall:
        if self._clock is not None and not has_time:
            parameters["now"] = timestamp(self._clock.now())
        key = sql, writes, may_wait, has_time
        statement = self._made.get(key)
        if statement is None:
            statement = self._made[key] = self._statement(*key)
        return statement, parameters

    def _statement(self, sql: str, writes: bool, may_wait: bool, has_time: bool) -> Statement:
        now = self._statements.GIVEN_NOW if has_time or self._clock is not None else self._database_now
        # A power cut ends the processes with these claims too.
        is_lease = sql in (self._statements.CLAIM, self._statements.RENEW, self._statements.REPORT_WORKER)
        return Statement(sql.replace("{now}", now), writes, may_be_forgotten=is_lease, may_wait=may_wait)
