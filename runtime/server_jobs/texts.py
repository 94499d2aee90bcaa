"""Texts on their way into a row: PostgreSQL takes no NUL, and no database a lone surrogate."""

from __future__ import annotations


def clean_text(text: str, limit: int) -> str:
    """Text that every store takes: NUL and lone surrogates replaced, cut at `limit` characters with a mark."""
    cleaned = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"
