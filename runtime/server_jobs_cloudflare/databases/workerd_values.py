"""Values between Python and SQLite in workerd, through JavaScript: for D1 and for Durable Objects."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import cast

from server_jobs.databases.parameter_styles import in_style
from server_jobs.domain.interfaces import Row, Value
from server_jobs.errors import DatabaseError, SchemaMissingError, ValueTooLargeError

MOST_BYTES = 2_000_000
"""Largest row, text and parameter of D1 and of Durable Objects, in bytes."""

_LARGEST_INTEGER = 2**53 - 1
_TOO_LARGE = "string or blob too big"
_MISSING = re.compile(r"no such (table|column)|has no column named")


def bound_statement(sql: str, parameters: Mapping[str, Value], database: str) -> tuple[str, list[object]]:
    """Return the SQL with numbered parameters, and their values for JavaScript.

    Raises `DatabaseError` for an integer that a double cannot represent.
    """
    positional, names = in_style(sql, "numbered")
    return positional, [bound_value(parameters[name], database) for name in names]


def bound_value(value: Value, database: str) -> object:
    """Return a parameter for JavaScript. Raises `DatabaseError` for an integer that a double cannot represent."""
    if value is None:
        return javascript_null()
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise DatabaseError(f"{database} cannot bind the integer {value}: it is beyond 2**53")
    return value


def rows_of(found: object) -> list[Row]:
    """Convert a JavaScript array of objects to rows."""
    to_python = getattr(found, "to_py", None)  # method of a JavaScript array
    rows = cast("list[dict[str, object]]", found if to_python is None else to_python())
    null = javascript_null()
    return [{name: None if value is null else _read(value) for name, value in row.items()} for row in rows]


def refusal(error: Exception, database: str) -> DatabaseError:
    """Return the error for a statement that the database refused."""
    refused = f"{database} refused a statement: {error}"
    if _TOO_LARGE in str(error):
        limit = f"{database} stores at most {MOST_BYTES:,} bytes in a row, all its texts together"
        return ValueTooLargeError(f"{limit}; {refused}")
    return SchemaMissingError(refused) if _MISSING.search(str(error)) else DatabaseError(refused)


def javascript_null() -> object:
    """Return JavaScript's null; None outside of a Worker."""
    ffi = javascript()
    return None if ffi is None else ffi.jsnull


@lru_cache(maxsize=1)
def javascript() -> ModuleType | None:
    """Return the bridge to JavaScript; None outside of a Worker."""
    return importlib.import_module("pyodide.ffi") if sys.platform == "emscripten" else None


def _read(value: object) -> Value:
    """Convert a value of a row. Bytes arrive from D1 as a list of numbers, and from an object as a memoryview."""
    return cast("Value", bytes(value) if isinstance(value, list | memoryview) else value)
