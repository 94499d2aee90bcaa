"""The keywords that check one value: its type, its limits, its text."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .content import content_check
from .json_equality import as_written, is_finite, key_of, kind_of, multiple_of
from .patterns import PatternError, matcher, size_of
from .run import Check, Path, Run, Seen
from .text_formats import FORMATS

if TYPE_CHECKING:
    from .checker import Compiler, Maker

_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}
_SHOWN = 20
# Work per step: characters read, and characters times pattern size. Both take about the time of one step.
_TEXT_PER_STEP = 100
_MATCHING_PER_STEP = 1_000

Test = Callable[[Any], bool]


def counted_matcher(pattern: str) -> Callable[[str, Run], bool]:
    """Like `matcher`, but count steps by text length and pattern size. Raises `PatternError`."""
    matches, size = matcher(pattern), size_of(pattern)

    def check(text: str, run: Run) -> bool:
        run.count(len(text) // _TEXT_PER_STEP + len(text) * size // _MATCHING_PER_STEP)
        return matches(text)

    return check


def _type(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    names = [name for name in _names(stated if isinstance(stated, list) else [stated]) if name in _WORDS]
    kinds = frozenset(names) | ({"integer"} if "number" in names else frozenset())
    words = _listed([_WORDS[name] for name in names])
    if not kinds:
        return _anything

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        return kind_of(value) in kinds or run.fail(path, f"must be {words}")

    return check


def _const(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    return _enum(compiler, [stated], schema, base)


def _enum(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    if not isinstance(stated, list):
        return _anything
    known = frozenset(map(key_of, stated))
    words = _listed([json.dumps(value, ensure_ascii=False)[:100] for value in stated[:_SHOWN]]) or "nothing"
    more = f" (one of {len(stated)})" if len(stated) > _SHOWN else ""

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        return key_of(value) in known or run.fail(path, f"must be {words}{more}")

    return check


def _number(words: str, misses: Callable[[float, float], bool]) -> Maker:
    def make(compiler: Compiler, limit: object, schema: Mapping[str, object], base: str) -> Check:
        if not isinstance(limit, int | float) or isinstance(limit, bool):
            return _anything
        message, bound = f"must be {words} {json.dumps(limit)}", as_written(limit)

        def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
            if not isinstance(value, int | float) or isinstance(value, bool):
                return True
            return not misses(as_written(value), bound) or run.fail(path, message)

        return check

    return make


def _multiple_of(compiler: Compiler, divisor: object, schema: Mapping[str, object], base: str) -> Check:
    if not isinstance(divisor, int | float) or isinstance(divisor, bool) or divisor <= 0:
        return _anything
    is_multiple = multiple_of(divisor)
    message = f"must be a multiple of {json.dumps(divisor)}"

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return True
        return (is_finite(value) and is_multiple(value)) or run.fail(path, message)

    return check


def _count(kind: type, of: str, things: str, words: str, misses: Callable[[int, int], bool]) -> Maker:
    def make(compiler: Compiler, limit: object, schema: Mapping[str, object], base: str) -> Check:
        # `2.0` counts as a whole number too.
        if not isinstance(limit, int | float) or isinstance(limit, bool):
            return _anything
        number = int(limit)
        message = f"must {of} {words} {number} {things}"

        def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
            if not isinstance(value, kind):
                return True
            return not misses(len(value), number) or run.fail(path, message)  # type: ignore[arg-type]  # it has a length

        return check

    return make


def _pattern(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    if not isinstance(stated, str):
        return _anything
    try:
        matches = counted_matcher(stated)
    except PatternError:
        return _anything
    message = f"must match the pattern {json.dumps(stated, ensure_ascii=False)}"

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        return not isinstance(value, str) or matches(value, run) or run.fail(path, message)

    return check


def _format(compiler: Compiler, name: object, schema: Mapping[str, object], base: str) -> Check:
    if not isinstance(name, str) or name not in FORMATS:
        return _anything
    return _text(FORMATS[name], f"must be of the format {name}")


def _content(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    test, words = content_check(schema.get("contentEncoding"), schema.get("contentMediaType"))
    return _text(test, f"must be {words}") if test is not None else _anything


def _text(test: Test, message: str) -> Check:
    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, str):
            return True
        run.count(len(value) // _TEXT_PER_STEP)
        return test(value) or run.fail(path, message)

    return check


def _unique_items(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    if stated is not True:
        return _anything

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, list):
            return True
        run.count(len(value))
        return len({key_of(item) for item in value}) == len(value) or run.fail(path, "must have no two equal items")

    return check


def _required(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    names = _names(stated)

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        return not isinstance(value, dict) or has_all(value, names, path, run)

    return check


def _dependent_required(compiler: Compiler, stated: object, schema: Mapping[str, object], base: str) -> Check:
    stated = stated if isinstance(stated, dict) else {}
    needs = [
        (key, _names(names), f", which {json.dumps(key, ensure_ascii=False)} requires") for key, names in stated.items()
    ]

    def check(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
        if not isinstance(value, dict):
            return True
        return all([has_all(value, names, path, run, why) for key, names, why in needs if key in value])

    return check


def has_all(value: Mapping[str, object], names: list[str], path: Path, run: Run, why: str = "") -> bool:
    """Return whether an object has all of these properties."""
    missing = [name for name in names if name not in value]
    for name in missing:
        run.fail(path, f"lacks the property {json.dumps(name, ensure_ascii=False)}{why}")
    return not missing


def _names(stated: object) -> list[str]:
    return [name for name in stated if isinstance(name, str)] if isinstance(stated, list) else []


def _anything(value: object, path: Path, seen: Seen | None, run: Run) -> bool:
    return True


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


MAKERS: Mapping[str, Maker] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "minimum": _number("at least", operator.lt),
    "maximum": _number("at most", operator.gt),
    "exclusiveMinimum": _number("above", operator.le),
    "exclusiveMaximum": _number("below", operator.ge),
    "multipleOf": _multiple_of,
    "minLength": _count(str, "have", "characters", "at least", operator.lt),
    "maxLength": _count(str, "have", "characters", "at most", operator.gt),
    "pattern": _pattern,
    "format": _format,
    "contentEncoding": _content,
    "contentMediaType": _content,
    "minItems": _count(list, "have", "items", "at least", operator.lt),
    "maxItems": _count(list, "have", "items", "at most", operator.gt),
    "uniqueItems": _unique_items,
    "minProperties": _count(dict, "have", "properties", "at least", operator.lt),
    "maxProperties": _count(dict, "have", "properties", "at most", operator.gt),
    "required": _required,
    "dependentRequired": _dependent_required,
}
"""One function per keyword that makes its check. The cheapest come first."""
