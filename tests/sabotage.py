"""Remove protections from SQL statements, and prove that they were there."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from server_jobs.stores.dialect import Statements

# The statement that replaces another one if the database packs its rows.
_PACKED = {"INSERT": "PACKED_INSERT", "CLAIMED": "PACKED_CLAIMED", "COMPLETE": "PACKED_COMPLETE"}

Text = str | tuple[str, ...] | None


def altered(
    dialect: ModuleType | Statements, name: str, fragment: str, instead: str = ""
) -> Iterator[tuple[str, Text]]:
    """Yield the altered statement, and the altered one for packed rows.

    Each of them must contain the fragment, so that no sabotage becomes ineffective.
    """
    for place in (name, _PACKED.get(name)):
        if place is None:
            continue
        text: Text = getattr(dialect, place)
        if text is None and place != name:
            continue  # no database of this dialect packs its rows
        texts = (text,) if isinstance(text, str) else text or ()
        # Not an AssertionError, which would look like a failing test.
        if not texts or any(fragment not in one for one in texts):
            raise LookupError(f"{place} has no {fragment!r} any more: sabotage what protects it now")
        without = tuple(one.replace(fragment, instead) for one in texts)
        yield place, without[0] if isinstance(text, str) else without
