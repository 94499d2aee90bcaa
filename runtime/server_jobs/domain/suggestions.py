"""Suggestions for misspelled names."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return up to `most` known names similar to `name`, the most similar first."""
    # Imported late, because wrong names are rare and the start of a Worker should be fast.
    from difflib import get_close_matches

    return get_close_matches(name, list(known), most)
