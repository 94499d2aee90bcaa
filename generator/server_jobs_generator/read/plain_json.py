"""JSON that is beyond reproach, read by the standard library: a tenth of the time that places for messages take.

Whatever is out of the ordinary is left to the careful reader of `document`, which says what is wrong and where.
"""

from __future__ import annotations

import json
import math
import re
from sys import intern
from typing import cast

from pydantic import JsonValue
from server_jobs.contract.values import MAX_INTEGER_DIGITS

# Half a character, or NUL: to be told, and not every database takes them.
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class NotPlainError(ValueError):
    """The text has something that the careful reader has to look at; nothing need be wrong with it."""


def read_plain(text: str, *, max_nodes: int, max_depth: int) -> tuple[JsonValue, int]:
    """What a text says that all parsers read alike and that is within its bounds, and the number of values in it.

    Raises `NotPlainError`.
    """
    if _SUSPICIOUS.search(text):
        raise NotPlainError
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except (ValueError, RecursionError) as error:
        raise NotPlainError from error
    return value, _count(value, max_nodes, max_depth)


def _count(value: JsonValue, max_nodes: int, max_depth: int) -> int:
    """How many values there are: no more than that, and none of them in more objects and lists than that."""
    level, count = [value], 1
    for _ in range(max_depth + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return count
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        count += len(level)
        if count > max_nodes:
            break
    raise NotPlainError


def _object(members: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    value = {intern(key): member for key, member in members}  # the same few hundred in every spec
    if len(value) != len(members):
        raise NotPlainError
    return value


def _integer(word: str) -> int:
    if len(word) > MAX_INTEGER_DIGITS:
        raise NotPlainError
    return int(word)


def _number(word: str) -> float:
    number = float(word)
    if len(word) > MAX_INTEGER_DIGITS or math.isinf(number) or number == 0:
        raise NotPlainError
    return number


def _constant(word: str) -> float:
    raise NotPlainError(word)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
