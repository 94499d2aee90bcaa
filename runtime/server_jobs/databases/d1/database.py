"""Cloudflare D1 through the binding of a Python Worker. A call is one statement or one atomic batch."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import ModuleType
from typing import Protocol, cast

from ...domain.clock import SQLITE_NOW
from ...domain.interfaces import Row, Statement, Value, Wake
from ...errors import DatabaseError, SchemaMissingError, ValueTooLargeError
from ..parameter_styles import in_style
from ..query_check import check_queries

MOST_BYTES = 2_000_000
"""Largest row, text and parameter of D1, in bytes."""

_LARGEST_INTEGER = 2**53 - 1
_TOO_LARGE = "string or blob too big"
_MISSING = re.compile(r"no such (table|column)|has no column named")


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


class D1Database:
    """A D1 database. Accepts the binding itself and the wrapper of the Workers SDK."""

    name = "d1"
    now = f"(SELECT {SQLITE_NOW})"  # evaluated once per statement instead of once per row

    def __init__(self, binding: D1Binding) -> None:
        self._binding: D1Binding = getattr(binding, "_binding", binding)
        self.queries = 0
        """The number of executed statements. Each statement of a batch counts, as for Cloudflare."""

    async def open(self) -> None:
        """Do nothing: a binding is always open."""

    async def close(self) -> None:
        """Do nothing."""

    def watch(self, wake: Wake) -> Callable[[], None]:
        del wake
        return lambda: None

    def announce(self) -> None:
        """Do nothing."""

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
            raise _refusal(error) from error
        return [_rows(result) for result in results]

    def _prepare(self, sql: str, parameters: Mapping[str, Value]) -> D1Statement:
        positional, names = in_style(sql, "numbered")
        statement = self._binding.prepare(positional)
        return statement.bind(*(_bound(parameters[name]) for name in names)) if names else statement


def _bound(value: Value) -> object:
    """Convert a parameter: None to JavaScript's null. Raise an error for an integer that a double cannot represent."""
    if value is None:
        return _null()
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise DatabaseError(f"D1 cannot bind the integer {value}: it is beyond 2**53")
    return value


def _refusal(error: Exception) -> DatabaseError:
    refused = f"D1 refused a statement: {error}"
    if _TOO_LARGE in str(error):
        return ValueTooLargeError(f"D1 stores at most {MOST_BYTES:,} bytes in a row, all its texts together; {refused}")
    return SchemaMissingError(refused) if _MISSING.search(str(error)) else DatabaseError(refused)


def _rows(result: D1Result) -> list[Row]:
    found = result.results
    to_python = getattr(found, "to_py", None)  # method of a JavaScript array
    rows = cast("list[dict[str, object]]", found if to_python is None else to_python())
    null = _null()
    return [{name: None if value is null else _read(value) for name, value in row.items()} for row in rows]


def _read(value: object) -> Value:
    """Convert a value of a row. Bytes, which only other programs write, arrive as a list of numbers."""
    return cast("Value", bytes(value) if isinstance(value, list) else value)


def _null() -> object:
    ffi = _javascript()
    return None if ffi is None else ffi.jsnull


def _array(statements: list[D1Statement]) -> object:
    ffi = _javascript()
    return statements if ffi is None else ffi.to_js(statements)


@lru_cache(maxsize=1)
def _javascript() -> ModuleType | None:
    """Return the bridge to JavaScript; None outside of a Worker."""
    return importlib.import_module("pyodide.ffi") if sys.platform == "emscripten" else None
