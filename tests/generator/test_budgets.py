"""A spec that is small to write and endless to read is refused, and every answer comes within two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from server_jobs_generator.models import render_models

from .spec_projects import Schema, a_spec, an_object, read

LEVELS = 30
TEXT = {"type": "string"}


def chain(link: Callable[[object], object], levels: int = LEVELS, **of_property: object) -> Schema:
    """Definitions each of which refers to the inner by `link`, and a property that refers to the first."""
    definitions = {f"A{level}": link({"$ref": f"#/$defs/A{level + 1}"}) for level in range(levels)}
    first = {"$ref": "#/$defs/A0", **of_property}
    return a_spec(an_object(x=first), **{"$defs": {**definitions, f"A{levels}": TEXT}})


def properties(count: int, schema: Callable[[int], object]) -> Schema:
    return a_spec(an_object(**{f"p{number}": schema(number) for number in range(count)}))


BOMBS: dict[str, tuple[object, str]] = {
    "doubling anyOf": (chain(lambda inner: {"anyOf": [inner, inner]}), "applies more than 2,000 schemas to one value"),
    "doubling anyOf, some levels": (
        chain(lambda inner: {"anyOf": [inner, inner]}, 12),
        "applies more than 2,000 schemas to one value",
    ),
    "doubling anyOf with a default": (
        chain(lambda inner: {"anyOf": [inner, inner]}, default=3),
        "takes too long to check against its schema",
    ),
    "doubling allOf": (chain(lambda inner: {"allOf": [inner, inner]}), "applies more than 2,000 schemas to one value"),
    "doubling oneOf": (chain(lambda inner: {"oneOf": [inner, inner]}), "applies more than 2,000 schemas to one value"),
    "doubling tuples": (
        chain(lambda inner: {"type": "array", "prefixItems": [inner, inner], "items": False, "minItems": 2}, 12),
        "describes more than 2,000 schemas",
    ),
    "long chain of references": (chain(lambda inner: inner, 5000), "leads through more than 64 references"),
    "long chain of lists": (
        chain(lambda inner: {"type": "array", "items": inner}, 4000),
        "references more than 2,000 definitions",
    ),
    "long chain of classes": (chain(lambda inner: an_object(a=inner), 1000), "nests schemas more than 32 levels deep"),
    "itself at every step": (
        a_spec(
            an_object(x={"$ref": "#/$defs/A", "default": {}}),
            **{"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}},
        ),
        "refers to itself for ever",
    ),
    "too many properties": (properties(9000, lambda _: TEXT), "describes more than 2,000 schemas"),
    "too many values": (properties(1, lambda _: {"enum": list(range(15_000))}), "has more than 1,000 values"),
    "many enums": (properties(20, lambda n: {"enum": [f"{n}.{i}" for i in range(900)]}), "describes more than 2,000"),
    "many branches": (
        properties(100, lambda _: {"oneOf": [an_object(**{f"k{i}": TEXT}) for i in range(30)]}),
        "describes more than 2,000 schemas",
    ),
    "many names that are not there": (
        a_spec(an_object(**{f"p{i}": True for i in range(3000)}) | {"required": [f"q{i}" for i in range(9000)]}),
        "has 200 problems or more",
    ),
    "many unknown keywords": (
        a_spec(an_object(x=TEXT | {f"kw{i}": 1 for i in range(9000)})),
        "has 200 problems or more",
    ),
    "large patterns": (
        properties(500, lambda n: TEXT | {"pattern": f"^[\\p{{L}}x{n}]{{1,190}}$"}),
        "and those before it are too large together",
    ),
    "counts in counts": (properties(1, lambda _: TEXT | {"pattern": "(((a{99}){99}){99}){99}"}), "is too large"),
    "open brackets": (properties(1, lambda _: TEXT | {"pattern": "(" * 5000}), "that can be enforced"),
    "a pattern that backtracks": (
        properties(1, lambda _: TEXT | {"pattern": "^(a+)+$", "default": "a" * 10_000 + "!"}),
        "must match the pattern",
    ),
    "large defaults": (
        a_spec(
            an_object(**{f"p{i}": {"$ref": "#/$defs/A", "default": {"k": [1] * 50}} for i in range(150)}),
            **{
                "$defs": {
                    "A": {"type": "object", "additionalProperties": {"anyOf": [{"$ref": "#/$defs/B"}] * 50}},
                    "B": {"type": "array", "items": {"anyOf": [TEXT] * 50}},
                }
            },
        ),
        "takes too long to check against its schema",
    ),
    "many patterns for many examples": (
        properties(
            1,
            lambda _: {"anyOf": [TEXT | {"pattern": f"^a{i}$"} for i in range(100)], "examples": ["b"] * 30},
        ),
        "fits none of the 100 branches",
    ),
    "large patterns for large texts": (
        properties(1, lambda _: TEXT | {"pattern": "^(?:[a-z]{90}){100}$", "examples": ["a" * 30_000] * 20}),
        "takes too long to check against its schema",
    ),
    "many values for each item": (
        properties(
            1,
            lambda _: {
                "type": "array",
                "items": {"enum": list(range(1000))},
                "default": [*[*range(1000)] * 8, "x"],
            },
        ),
        "must be 0, 1, 2",
    ),
    "large values in many branches": (
        a_spec(
            an_object(x={"anyOf": [{"anyOf": [{"$ref": "#/$defs/A"}] * 50}] * 50, "default": ["a" * 500_000]}),
            **{"$defs": {"A": {"anyOf": [{"type": "integer"}, {"enum": ["b"]}]}}},
        ),
        "fits none of the 50 branches",
    ),
    "deep brackets": (b"[" * 500_000, "nested more than 64 levels deep"),
    "spaces": (b" " * 2_000_000, "larger than 1,048,576 bytes"),
    "digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "has more than 4,000 digits"),
    "escapes": (b'{"' + b"\\u0000" * 150_000 + b'": 1}', "has a NUL character in a string"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_once(tmp_path: Path, bomb: str) -> None:
    spec, expected = BOMBS[bomb]
    # Of this process: what else the machine does is not counted.
    started = time.process_time()
    specs = read(tmp_path, {"case.json": spec})
    elapsed = time.process_time() - started
    assert any(expected in problem.message for problem in specs.problems)
    assert elapsed < 2


@pytest.mark.parametrize(
    "spec",
    [
        properties(900, lambda _: TEXT),
        properties(450, lambda _: an_object(a=TEXT)),
        chain(lambda inner: an_object(a=inner, b=inner), 14),
        chain(lambda inner: {"type": "array", "items": inner, "minItems": 1}, 14),
        properties(1, lambda _: TEXT | {"description": "x" * 1_000_000}),
        properties(1, lambda _: {"enum": [f"value {i}" for i in range(1000)]}),
    ],
    ids=["properties", "classes", "shared classes", "lists", "description", "enum"],
)
def test_a_spec_within_the_budgets_becomes_models(tmp_path: Path, spec: object) -> None:
    specs = read(tmp_path, {"case.json": spec})
    assert specs.problems == ()
    assert "class CaseParams" in render_models(specs.jobs[0])
