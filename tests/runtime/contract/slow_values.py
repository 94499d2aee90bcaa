"""The checks of JSON values before they scanned text: a slow oracle for differential tests."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time

from pydantic_core import to_json
from server_jobs.errors import Problem

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_DEPTH = 48
MAX_INTEGER_DIGITS = 4_000


def encode(value: object) -> tuple[str, tuple[Problem, ...]]:
    """Return the compact JSON text of a value of dicts, lists, strings, numbers, booleans and None, and its problems.

    With problems the text is empty.
    """
    text = _written_fast(value)
    if text is not None:
        problems = check(text)
        return ("", problems) if problems else (text, ())
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError):
        return "", tuple(_walk(value)) or (Problem("", "cannot be written as JSON"),)
    # `json` converts other keys into strings, so they would come back changed.
    problems = check(text) if _has_only_string_keys(value) else tuple(_walk(value))
    return ("", problems) if problems else (text, ())


def check(text: str) -> tuple[Problem, ...]:
    """Return the reasons why some store cannot keep this JSON text: size, depth, NUL, lone surrogates, digits."""
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return tuple(_walk(json.loads(text))) or (Problem("", "has a lone surrogate, which is not valid Unicode"),)
    if size > MAX_DOCUMENT_BYTES:
        return (Problem("", f"has {size:,} bytes; at most {MAX_DOCUMENT_BYTES:,} are stored"),)
    if not _needs_a_walk(text):
        return ()
    if _depth_of(text) > MAX_DEPTH:
        return (Problem("", f"is nested more than {MAX_DEPTH} levels deep"),)
    try:
        return tuple(_walk(json.loads(text)))
    except ValueError:  # Python refuses to parse more than 4,300 digits
        return (Problem("", f"has an integer of more than {MAX_INTEGER_DIGITS:,} digits"),)


def pointer_to(path: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _as_dict(value: object) -> dict[object, object]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_as_dict)


def _written_fast(root: object) -> str | None:
    """Return the text of a plain JSON value the fast way; None for others."""
    pending = [root]
    for _ in range(_MOST_PARTS):  # a value may contain itself
        if not pending:
            break
        value = pending.pop()
        kind = type(value)
        if kind is dict and isinstance(value, dict):
            for key, inner in value.items():
                if type(key) is not str:
                    return None
                if type(inner) not in _PLAIN:
                    pending.append(inner)
        elif kind is list and isinstance(value, list):
            pending += value
        elif kind not in _PLAIN and not (isinstance(value, float) and kind is float and math.isfinite(value)):
            return None
    if pending:
        return None
    try:
        return to_json(root).decode()
    except (ValueError, RecursionError):  # too deep, or not Unicode: the slow way finds the place
        return None


_PLAIN = frozenset({str, int, bool, type(None)})
_MOST_PARTS = 10_000


def _has_only_string_keys(root: object) -> bool:
    pending = [root]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                return False
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
    return True


def _needs_a_walk(text: str) -> bool:
    suspicious = "\\u" in text or len(text) >= MAX_INTEGER_DIGITS
    return suspicious or text.count("{") + text.count("[") > MAX_DEPTH


def _depth_of(text: str) -> int:
    """Return the nesting depth from the brackets outside strings. Parsing the value could exhaust the stack."""
    deepest = depth = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        if token.group() in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token.group() in "]}":
            depth -= 1
    return deepest


def _walk(root: object) -> Iterator[Problem]:
    """Yield the problem and the pointer of every value below `root` that cannot be stored."""
    for path, value in _nodes(root):
        if len(path) > MAX_DEPTH:
            yield Problem(pointer_to(path[:4]) + "/…", f"is nested more than {MAX_DEPTH} levels deep")
            return
        match value:
            case Mapping():
                for key in value:
                    yield from _key_problems(path, key)
            case list() | tuple():
                pass
            case _:
                yield from (Problem(pointer_to(path), message) for message in _scalar_problems(value))


def _nodes(root: object) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Yield `root` and every value below it with its path, in document order, without recursion."""
    pending: list[tuple[tuple[str | int, ...], object]] = [((), root)]
    while pending:
        path, value = pending.pop()
        yield path, value
        match value:
            case Mapping():
                pending += reversed([((*path, str(key)), item) for key, item in value.items()])
            case list() | tuple():
                pending += reversed([((*path, index), item) for index, item in enumerate(value)])
            case _:
                pass


def _key_problems(path: tuple[str | int, ...], key: object) -> Iterator[Problem]:
    if not isinstance(key, str):
        yield Problem(pointer_to(path), f"has the key {key!r}; the keys of a JSON object are strings")
    else:
        for message in _scalar_problems(key):
            yield Problem(pointer_to(path), f"has the key {key!r}, which {message}")


def _scalar_problems(value: object) -> Iterator[str]:
    match value:
        case str():
            if "\0" in value:
                yield "contains a NUL character, which not every database can store"
            if any("\ud800" <= character <= "\udfff" for character in value):
                yield "contains a lone surrogate, which is not valid Unicode"
        case float() if not math.isfinite(value):
            yield f"is {value}, which JSON cannot express"
        case bool() | float() | None:
            pass
        case int():
            if abs(value) >= 10**MAX_INTEGER_DIGITS:
                yield f"has more than {MAX_INTEGER_DIGITS:,} digits"
        case date() | time():
            yield f"is of type {type(value).__name__}; pass its isoformat(), or a model"
        case _:
            advice = "JSON has objects, arrays, strings, numbers, booleans and null"
            yield f"is of type {type(value).__name__}; {'pass its tolist()' if hasattr(value, 'tolist') else advice}"
