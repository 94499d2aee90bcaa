"""Long lines of SQL, broken where a space means nothing."""

from __future__ import annotations

import re

_LONGEST = 110
# What stands together: quoted text is one word, whatever is in it.
_WORD = re.compile(r"""(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\s'"])+""")


def folded(sql: str) -> str:
    """The same SQL in lines that are easy to read; a longer word stays whole."""
    return "\n".join(_folded_line(line) for line in sql.split("\n"))


def _folded_line(line: str) -> str:
    if len(line) <= _LONGEST:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines = [indent]
    for word in _WORD.findall(line):
        if len(lines[-1]) + len(word) >= _LONGEST and lines[-1].strip():
            lines.append(f"{indent}    ")
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return "\n".join(lines)
