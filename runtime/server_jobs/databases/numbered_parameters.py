"""Numbered parameters, for servers that bind parameters by position."""

from __future__ import annotations

import re
from functools import lru_cache

_PARAMETER = re.compile(r":([a-z_]+)")


@lru_cache(maxsize=256)
def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement with `?1`, `?2` instead of named parameters, and the names in this order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"?{names.index(match[1]) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)
