"""Protections are taken out of SQL statements, with proof that they were in there."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from server_jobs.stores.dialect import Statements

# What runs in the place of a statement where the database packs its rows.
_PACKED = {"INSERT": "PACKED_INSERT", "CLAIMED": "PACKED_CLAIMED", "COMPLETE": "PACKED_COMPLETE"}

Text = str | tuple[str, ...] | None


def altered(
    dialect: ModuleType | Statements, name: str, fragment: str, instead: str = ""
) -> Iterator[tuple[str, Text]]:
    """What to put in the place of that statement, and of the one that stands for it where rows are packed.

    The fragment must be in each of them, so that no sabotage becomes harmless unnoticed.
    """
    for place in (name, _PACKED.get(name)):
        if place is None:
            continue
        text: Text = getattr(dialect, place)
        if text is None and place != name:
            continue  # no database of this dialect packs its rows
        texts = (text,) if isinstance(text, str) else text or ()
        # Not an AssertionError: that would pass for a test that noticed.
        if not texts or any(fragment not in one for one in texts):
            raise LookupError(f"{place} has no {fragment!r} any more: sabotage what protects it now")
        without = tuple(one.replace(fragment, instead) for one in texts)
        yield place, without[0] if isinstance(text, str) else without
