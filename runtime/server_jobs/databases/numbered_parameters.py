"""Statements for servers that bind by position: their named parameters become numbered ones."""

from __future__ import annotations

import re
from functools import lru_cache

_PARAMETER = re.compile(r":([a-z_]+)")


@lru_cache(maxsize=256)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `?1` for its named parameters, and their names in that order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"?{names.index(match[1]) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)
