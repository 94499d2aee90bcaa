"""Remove protections from SQL statements, and prove that they were there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from server_jobs.domain.interfaces import Statement
from server_jobs.stores.sql.dialect import Statements

# The statements that replace another one if the database packs its rows.
_PACKED = {
    "INSERT": ("PACKED_INSERT",),
    "CLAIMED": ("PACKED_CLAIMED",),
    "COMPLETE": ("PACKED_COMPLETABLE", "PACKED_COMPLETE"),
}


def altered(statements: Statements, name: str, fragment: str, instead: str = "") -> Iterator[tuple[str, Statement]]:
    """Yield the altered statement, and the altered ones for packed rows, by name.

    Each of them must contain the fragment, so that no sabotage becomes ineffective. Line breaks count as spaces.
    """
    for place in (name, *_PACKED.get(name, ())):
        statement: Statement | None = getattr(statements, place)
        if statement is None and place != name:
            continue  # no database of this dialect packs its rows
        text = "" if statement is None else statement.sql
        without = re.sub(_pattern(fragment), lambda _: instead, text)
        # Not an AssertionError, which would look like a failing test.
        if statement is None or without == text:
            raise LookupError(f"{place} has no {fragment!r} any more: sabotage what protects it now")
        yield place, replace(statement, sql=without)


def sabotage(
    monkeypatch: pytest.MonkeyPatch, statements: Statements, name: str, fragment: str, instead: str = ""
) -> None:
    """Replace a fragment of a statement until the test ends."""
    for place, statement in altered(statements, name, fragment, instead):
        monkeypatch.setitem(vars(statements), place, statement)


def _pattern(fragment: str) -> str:
    words = (re.escape(word).replace(r"\(", r"\(\s*").replace(r"\)", r"\s*\)") for word in re.split(r"\s+", fragment))
    return r"\s+".join(words)
