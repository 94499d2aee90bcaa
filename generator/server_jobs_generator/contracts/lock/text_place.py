"""Where in a JSON text a value stands, for texts of any size: what is not on the way is skipped, not kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

_SPACE = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def line_and_column(text: str, pointer: Sequence[str | int]) -> tuple[int, int]:
    """The place of the value with that pointer, counted from 1, or of the nearest value around it. `text` is JSON."""
    at = _skip_space(text, 0)
    for token in pointer:
        found = _inside(text, at, token)
        if found is None:
            break
        at = found
    before = text[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1


# The places that one run asks for are close to each other, and a lock is large.
@lru_cache(maxsize=256)
def _inside(text: str, at: int, token: str | int) -> int | None:
    """Where the member with that key, or the item with that index, begins; None if there is none."""
    is_object = text[at] == "{"
    if not is_object and text[at] != "[":
        return None
    at, index = _skip_space(text, at + 1), 0
    while text[at] not in "}]":
        key: object = index
        if is_object:
            key, at = _decoder.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)
        if key == token:
            return at
        _, at = _decoder.raw_decode(text, at)
        at, index = _skip_space(text, at), index + 1
        at = _skip_space(text, at + 1) if text[at] == "," else at
    return None


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
