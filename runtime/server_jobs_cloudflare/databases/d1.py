"""Cloudflare D1 through the binding of a Python Worker. A call is one statement or one atomic batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from server_jobs.databases.always_open import AlwaysOpen
from server_jobs.databases.query_check import check_queries
from server_jobs.domain.clock import SQLITE_NOW
from server_jobs.domain.interfaces import Row, Statement, Value

from .workerd_values import bound_statement, javascript, refusal, rows_of

_NAME = "D1"


class D1Result(Protocol):
    """The answer to one statement. `results` is a JavaScript array of objects."""

    @property
    def results(self) -> object: ...


class D1Statement(Protocol):
    """A prepared statement of the binding."""

    def bind(self, *values: object) -> D1Statement: ...

    async def all(self) -> D1Result: ...


class D1Binding(Protocol):
    """The binding `env.DB` of a Worker."""

    def prepare(self, sql: str) -> D1Statement: ...

    async def batch(self, statements: object) -> Sequence[D1Result]: ...


class D1Database(AlwaysOpen):
    """A D1 database. Accepts the binding itself and the wrapper of the Workers SDK."""

    name = "d1"
    now = f"(SELECT {SQLITE_NOW})"  # evaluated once per statement instead of once per row

    def __init__(self, binding: D1Binding) -> None:
        self._binding: D1Binding = getattr(binding, "_binding", binding)
        self.queries = 0
        """The number of executed statements. Each statement of a batch counts, as for Cloudflare."""

    async def run(
        self,
        *calls: tuple[Statement, Mapping[str, Value]],
        look: tuple[Statement, Mapping[str, Value]] | None = None,
    ) -> Sequence[Sequence[Row]]:
        if look is not None and not (await self.run(look))[0]:
            return [() for _ in calls]
        check_queries(len(calls))
        self.queries += len(calls)
        prepared = [self._prepare(statement.sql, parameters) for statement, parameters in calls]
        try:
            if len(prepared) == 1:
                results: Sequence[D1Result] = [await prepared[0].all()]
            else:
                results = await self._binding.batch(_array(prepared))
        except Exception as error:  # JavaScript errors have no common class on CPython
            raise refusal(error, _NAME) from error
        return [rows_of(result.results) for result in results]

    def _prepare(self, sql: str, parameters: Mapping[str, Value]) -> D1Statement:
        positional, values = bound_statement(sql, parameters, _NAME)
        statement = self._binding.prepare(positional)
        return statement.bind(*values) if values else statement


def _array(statements: list[D1Statement]) -> object:
    ffi = javascript()
    return statements if ffi is None else ffi.to_js(statements)
