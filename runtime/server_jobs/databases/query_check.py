"""A check that a caller sets for the queries in its context."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

query_check: ContextVar[Callable[[int], None] | None] = ContextVar("query_check", default=None)
"""Databases that count queries call it with the number of queries before they make them."""


def check_queries(queries: int) -> None:
    """Raise `DatabaseError` if the caller may not make this number of queries."""
    if (check := query_check.get()) is not None:
        check(queries)
