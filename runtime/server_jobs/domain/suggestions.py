"""The names that somebody may have meant who wrote one that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def near(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Those of the known names that are much like it, no more than that, the most alike first."""
    # Imported where a name is wrong, which is seldom: each start of a Worker pays for what it imports.
    from difflib import get_close_matches

    return get_close_matches(name, list(known), most)
