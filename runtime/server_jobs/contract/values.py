"""Limits of JSON text in a row, the same for every store.

A value round-trips unchanged through every store, or is refused here with its pointer. Rows have text instead of JSON
types of the database, which lose key order, the sign of zero, or digits of large numbers.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date, time
from hashlib import sha256
from itertools import chain, islice
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from ..errors import Problem
from .json_scan import JsonScan

T = TypeVar("T")
Kinds = Set[type]

MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_MESSAGE_CHARACTERS = 4 * 1024
MAX_ERROR_CHARACTERS = 64 * 1024
MAX_DEPTH = 48  # the limit of pydantic in WebAssembly, as in a Worker
MAX_INTEGER_DIGITS = 4_000

_NO_JSON = "JSON has objects, arrays, strings, numbers, booleans and null"
_TOO_LONG = 10**MAX_INTEGER_DIGITS
_LONG_NUMBER = 200  # digits; a shorter number with a two-digit exponent is finite
_MOST_PROBLEMS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value: object, kinds: Kinds | None = None) -> tuple[str, tuple[Problem, ...]]:
    """Return the compact JSON text of a value of plain JSON types, and its problems.

    The text is empty if there are problems. `kinds` are those of `in_parts`.
    """
    kinds = kinds or _plain_kinds([value])
    text = None if kinds is None else _written_fast(value, kinds)
    if text is not None:
        problems = check(text, is_written=True, is_shallow=True)
        return ("", problems) if problems else (text, ())
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError):
        return "", _problems(value) or (Problem("", "cannot be written as JSON"),)
    # `json` converts other keys to strings, so that they would not round-trip.
    problems = check(text, is_written=True) if _has_only_string_keys(value) else _problems(value)
    return ("", problems) if problems else (text, ())


def in_parts(values: Iterable[T]) -> Iterator[tuple[list[T], Kinds | None]]:
    """Yield the values in lists, each with the types of its values and their parts, for `encode` and `encode_plain`.

    To find the types of many values at once takes a tenth of the time. None: a value has a type that JSON lacks.
    """
    remaining = iter(values)
    while some := list(islice(remaining, _PART)):
        yield some, _plain_kinds(some)


def encode_plain(value: object, kinds: Kinds) -> tuple[bytes, str] | None:
    """Return the compact JSON text of a value of these types, or None if it may have problems, which `encode` finds."""
    try:
        data = to_json(value)
    except (ValueError, RecursionError):
        return None
    if float in kinds and (b"NaN" in data or b"Infinity" in data):
        return None
    text = data.decode()
    is_harmless = len(data) < MAX_INTEGER_DIGITS and (b"\\" not in data or b"\\u" not in data)
    return (data, text) if is_harmless or not check(text, is_written=True, is_shallow=True) else None


def check(text: str, *, is_written: bool = False, is_shallow: bool = False) -> tuple[Problem, ...]:
    """Return the problems of a JSON text: size, depth, NUL, lone surrogates, long integers.

    Returns the first problems only. `is_written`: the text was written from Python floats, so that its numbers are in
    range. `is_shallow`: the nesting is known to be within the limit.
    """
    # False for most small documents.
    is_shallow = is_shallow or len(text) <= MAX_DEPTH or _has_few_brackets(text)
    needs_a_scan = len(text) >= MAX_INTEGER_DIGITS or "\\u" in text or not is_shallow
    if not needs_a_scan and text.isascii():
        return ()
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return _problems_of(text) or (Problem("", "has a lone surrogate, which is not valid Unicode"),)
    if len(data) > MAX_DOCUMENT_BYTES:
        return (Problem("", f"has {len(data):,} bytes; at most {MAX_DOCUMENT_BYTES:,} are stored"),)
    return _scanned(text, JsonScan(data), is_written=is_written, is_shallow=is_shallow) if needs_a_scan else ()


def _scanned(text: str, scan: JsonScan, *, is_written: bool, is_shallow: bool) -> tuple[Problem, ...]:
    if not (is_shallow or _has_few_brackets(text)) and scan.is_deeper_than(MAX_DEPTH):
        return (Problem("", f"is nested more than {MAX_DEPTH} levels deep"),)
    numbers = list(
        scan.long_numbers(MAX_INTEGER_DIGITS + 1 if is_written else min(MAX_INTEGER_DIGITS + 1, _LONG_NUMBER))
    )
    if any(is_integer and digits > MAX_INTEGER_DIGITS for digits, is_integer in numbers):
        # Python refuses to parse an integer of more than 4,300 digits.
        return _problems_of(text) or (Problem("", f"has an integer of more than {MAX_INTEGER_DIGITS:,} digits"),)
    if scan.has_unstorable_escape():
        return _problems_of(text)
    if is_written:
        return ()
    may_be_infinite = scan.may_have_large_exponent() or not all(is_integer for _, is_integer in numbers)
    return _problems_of(text) if may_be_infinite and not _reads_as_finite(text) else ()


def non_finite(value: object) -> tuple[Problem, ...]:
    """Return a problem for every NaN and infinity in a value."""
    try:
        if _finite_text(value, serialize_unknown=True) is not None:
            return ()
    except (ValueError, RecursionError):  # too deep, for example
        pass
    return tuple(
        Problem(pointer_to(path), f"is {found}, which JSON cannot express")
        for path, found in _nodes(value)
        if isinstance(found, float) and not math.isfinite(found)
    )


def canonical(value: object) -> str:
    """Return the same text for equal JSON values: sorted keys, no spaces. For hashes, not for storage."""
    return json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def fingerprint(value: object) -> str:
    """Return a short stable hash of a JSON value."""
    return sha256(canonical(value).encode()).hexdigest()[:32]


def at_pointer(value: object, pointer: str) -> object:
    """Return the part of a JSON value at a pointer (RFC 6901), or None."""
    for key in path_of(pointer):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def pointer_to(path: Sequence[str | int]) -> str:
    """Return the JSON pointer (RFC 6901) of a path of keys and indexes."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def path_of(pointer: str) -> list[str]:
    """Return the keys of a JSON pointer (RFC 6901); an index is a key with digits."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _as_dict(value: object) -> dict[object, object]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_as_dict)


def _written_fast(root: object, kinds: Kinds) -> str | None:
    """Return the text of a value of plain JSON types with finite numbers, or None for other values."""
    try:
        return _finite_text(root) if float in kinds else to_json(root).decode()
    except (ValueError, RecursionError):  # not Unicode, for example: the slow path finds the place
        return None


def _finite_text(value: object, *, serialize_unknown: bool = False) -> str | None:
    """Return the JSON text of a value, or None if it contains NaN or infinity."""
    named = to_json(value, serialize_unknown=serialize_unknown)
    # The text has their names, which a string may contain as well.
    if b"NaN" in named or b"Infinity" in named:
        return (
            None
            if to_json(value, inf_nan_mode="null", serialize_unknown=serialize_unknown) != named
            else named.decode()
        )
    return named.decode()


def _plain_kinds(roots: list[Any]) -> Kinds | None:
    """Return the types of some values and their parts, or None for a type that JSON lacks, or for too deep nesting.

    No Python code runs per value.
    """
    found: set[type] = set()
    pending = [(0, roots)]
    while pending:
        depth, values = pending.pop()
        kinds = set(map(type, values))
        found |= kinds
        if kinds <= _SCALARS:
            continue
        is_known = kinds <= _TYPES and (dict not in kinds or _keys_are_strings(values, kinds))
        if not is_known or depth >= MAX_DEPTH:
            return None
        inner = gc.get_referents(*values)
        for start in range(0, len(inner), _AT_ONCE):
            pending.append((depth + 1, inner[start : start + _AT_ONCE]))  # noqa: PERF401  a generator is a call per job
    return found


def _keys_are_strings(values: list[Any], kinds: Kinds) -> bool:
    dicts = values if len(kinds) == 1 else [value for value in values if type(value) is dict]
    # Many dicts are usually small, with few different keys.
    keys = set().union(*filter(None, dicts)) if len(dicts) > _AT_ONCE // 10 else chain.from_iterable(dicts)
    return set(map(type, keys)) <= _KEYS


_AT_ONCE = 1000  # fits into the cache of the processor
_PART = 25  # the results of a part are kept until its end, and may be long
_SCALARS = {str, int, float, bool, type(None)}
_TYPES = _SCALARS | {dict, list}
_KEYS = {str}


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


def _has_few_brackets(text: str) -> bool:
    return text.count("{") + text.count("[") <= MAX_DEPTH


def _reads_as_finite(text: str) -> bool:
    """Whether every number of a JSON text is in the range of a double."""
    try:
        return _finite_text(from_json(text)) is not None
    except (ValueError, RecursionError):
        return False


def _problems_of(text: str) -> tuple[Problem, ...]:
    """Return the problems of a JSON text, or none if Python cannot parse it."""
    try:
        return _problems(json.loads(text))
    except (ValueError, RecursionError):
        return ()


def _problems(root: object) -> tuple[Problem, ...]:
    """Return the first problems of values below `root`, with their pointers."""
    return tuple(islice(_walk(root), _MOST_PROBLEMS))


def _walk(root: object) -> Iterator[Problem]:
    for path, value in _nodes(root):
        if len(path) > MAX_DEPTH:
            yield Problem(pointer_to(path[:4]) + "/…", f"is nested more than {MAX_DEPTH} levels deep")
            return
        if isinstance(value, Mapping):
            for key in value:
                yield from _key_problems(path, key)
        elif not isinstance(value, list | tuple):
            yield from (Problem(pointer_to(path), message) for message in _scalar_problems(value))


def _nodes(root: object) -> Iterator[tuple[Sequence[str | int], object]]:
    """Yield `root` and the values below it with their paths, in document order, without recursion.

    Skips small integers, booleans and None, unless they are nested too deep. The yielded path is reused.
    """
    path: list[str | int] = []
    yield path, root
    pending = [_items(root)]
    while pending:
        for key, value in pending[-1]:
            is_harmless = type(value) in _BARE or (type(value) is int and -_TOO_LONG < value < _TOO_LONG)
            if is_harmless and len(path) < MAX_DEPTH:
                continue
            path.append(key)
            yield path, value
            if isinstance(value, Mapping | list | tuple):
                pending.append(_items(value))
                break
            path.pop()
        else:
            pending.pop()
            if path:
                path.pop()


def _items(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, Mapping):
        return ((str(key), item) for key, item in value.items())
    return iter(enumerate(value)) if isinstance(value, list | tuple) else iter(())


_BARE = {bool, type(None)}


def _key_problems(path: Sequence[str | int], key: object) -> Iterator[Problem]:
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
            if _SURROGATE.search(value):
                yield "contains a lone surrogate, which is not valid Unicode"
        case float() if not math.isfinite(value):
            yield f"is {value}, which JSON cannot express"
        case bool() | float() | None:
            pass
        case int():
            if abs(value) >= _TOO_LONG:
                yield f"has more than {MAX_INTEGER_DIGITS:,} digits"
        case date() | time():
            yield f"is of type {type(value).__name__}; pass its isoformat(), or a model"
        case _:
            # Numbers and arrays of NumPy, and columns of pandas, have the method.
            advice = "pass its tolist()" if hasattr(value, "tolist") else _NO_JSON
            yield f"is of type {type(value).__name__}; {advice}"
