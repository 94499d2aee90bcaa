"""The SQLite database inside a Durable Object. Its calls are synchronous: no other code runs within a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from server_jobs.databases.always_open import AlwaysOpen
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.domain.interfaces import Row, Statement, Value

from .workerd_values import bound_statement, javascript, refusal, rows_of

_NAME = "the Durable Object"
T = TypeVar("T")


class Cursor(Protocol):
    """The answer to one statement."""

    def toArray(self) -> object:  # noqa: N802  JavaScript's name
        """Return all rows as a JavaScript array of objects."""
        ...


class ObjectSql(Protocol):
    """The attribute `sql` of an object's storage."""

    def exec(self, sql: str, /, *values: object) -> Cursor: ...


class ObjectStorage(Protocol):
    """The used part of `ctx.storage` of a Durable Object with the SQLite backend."""

    @property
    def sql(self) -> ObjectSql: ...

    def transactionSync(self, work: Callable[[], object], /) -> object: ...  # noqa: N802  JavaScript's name


class DurableObjectDatabase(AlwaysOpen):
    """The database of one Durable Object. Accepts `ctx.storage` itself and the wrapper of the Workers SDK."""

    name = "durable object"
    now = f"(SELECT {SQLITE_NOW})"  # evaluated once per statement instead of once per row

    def __init__(self, storage: ObjectStorage) -> None:
        self._storage: ObjectStorage = getattr(storage, "_binding", storage)

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        asked = None if look is None else bound_statement(look[0].sql, look[1], _NAME)
        bound = [bound_statement(statement.sql, parameters, _NAME) for statement, parameters in calls]

        def work() -> list[list[Row]]:
            if asked is not None and not self.execute(*asked):
                return [[] for _ in bound]
            return [self.execute(*one) for one in bound]

        return self.transaction(work)

    def transaction(self, work: Callable[[], T]) -> T:
        """Run `work` in one transaction, and return its result. Raises `DatabaseError`; nothing is changed then."""
        results: list[T] = []
        try:
            self._storage.transactionSync(_called_once(lambda: results.append(work())))
        except Exception as error:  # JavaScript errors have no common class on CPython
            raise refusal(error, _NAME) from error
        return results[0]

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Execute one statement with the parameters `?1`, `?2`, …, or a script without, and return its rows.

        The values come from `bound_value`.
        """
        # Read to the end: a transaction cannot commit while a cursor has rows left.
        return rows_of(self._storage.sql.exec(sql, *values).toArray())


def _called_once(work: Callable[[], object]) -> Callable[[], object]:
    ffi = javascript()
    called: Callable[[], object] = work if ffi is None else ffi.create_once_callable(work)
    return called
