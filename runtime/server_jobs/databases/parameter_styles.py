"""The parameter styles of drivers. Our statements have `:name`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

PARAMETER_MARKS: Mapping[str, str] = MappingProxyType(
    {
        "named": ":{name}",
        "pyformat": "%({name})s",
        "qmark": "?",
        "format": "%s",
        "numeric": ":{number}",
        "numeric_dollar": "${number}",
        "numbered": "?{number}",
    }
)
"""The mark of a parameter in each style: the styles of PEP 249, `$1` of PostgreSQL, and `?1` of SQLite."""

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@lru_cache(maxsize=512)
def in_style(sql: str, style: str) -> tuple[str, tuple[str, ...]]:
    """Return the statement with the marks of this style, and the names of its parameters in order.

    A name that occurs twice is listed twice if the mark has neither name nor number.
    """
    mark, names = PARAMETER_MARKS[style], list[str]()

    def marked(match: re.Match[str]) -> str:
        name = match[1]
        if "{" not in mark or name not in names:
            names.append(name)
        return mark.format(name=name, number=names.index(name) + 1)

    if style in ("format", "pyformat"):
        sql = sql.replace("%", "%%")
    return _PARAMETER.sub(marked, sql), tuple(names)
