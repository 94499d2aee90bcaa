"""Advice for keys and words that a project cannot have."""

from __future__ import annotations

from collections.abc import Sequence

from ..domain.suggestions import closest


def suggestion(key: str, known: Sequence[str]) -> str:
    """Return advice for an unknown key: the most similar known one, else all of them."""
    close = closest(key, known) or closest(key.replace("_", "-"), known)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
