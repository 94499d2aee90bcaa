"""The marks that git leaves in a text where it could not merge two sides."""

from __future__ import annotations

import re

_MARKS = (
    re.compile(rb"^<{7} ", re.MULTILINE),
    re.compile(rb"^={7}$", re.MULTILINE),
    re.compile(rb"^>{7} ", re.MULTILINE),
)
_CONFLICT = re.compile(
    r"^<{7} [^\n]*\n(?P<ours>.*?)(?:^\|{7}[^\n]*\n.*?)?^={7}\n(?P<theirs>.*?)^>{7} [^\n]*(?:\n|\Z)",
    re.MULTILINE | re.DOTALL,
)


def conflict_line(content: bytes) -> int | None:
    """Return the line, from 1, where the first conflict begins; None if there is none."""
    if b"<<<<<<< " not in content:
        return None
    places: list[int] = []
    for mark in _MARKS:
        match = mark.search(content, places[-1] if places else 0)
        if match is None:
            return None
        places.append(match.start())
    return content.count(b"\n", 0, places[0]) + 1


def sides(text: str) -> tuple[str, str]:
    """Return the text as each of the two sides would have it."""
    return _CONFLICT.sub(r"\g<ours>", text), _CONFLICT.sub(r"\g<theirs>", text)
