"""Statements on tables in a separate PostgreSQL schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from ...domain.interfaces import Statement
from ...domain.table_names import in_schema
from .connection import Call


class CallsInSchema(Iterable[Call]):
    """The same calls on the tables of this schema. Can be iterated again if `calls` can."""

    def __init__(self, calls: Iterable[Call], schema: str) -> None:
        self._calls = calls
        self._schema = schema

    def __iter__(self) -> Iterator[Call]:
        for statement, parameters in self._calls:
            yield _in_schema(statement, self._schema), parameters


@lru_cache(maxsize=256)
def _in_schema(statement: Statement, schema: str) -> Statement:
    return replace(statement, sql=in_schema(statement.sql, schema))
