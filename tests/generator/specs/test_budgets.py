"""A spec that is short to write but endless to read is rejected, and every answer takes less than two seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from server_jobs.project import Project
from server_jobs_generator.generated_files import render_files
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import Schema, a_spec, an_object, read, write
from tests.measuring import assert_cpu_seconds
from tests.slow import slow

IS_LONG = bool(os.environ.get("SERVER_JOBS_LONG_TESTS"))
LEVELS = 30
TEXT = {"type": "string"}


def chain(link: Callable[[object], object], levels: int = LEVELS, **of_property: object) -> Schema:
    """Return definitions that refer to the inner one by `link`, and a property that refers to the first."""
    definitions = {f"A{level}": link({"$ref": f"#/$defs/A{level + 1}"}) for level in range(levels)}
    first = {"$ref": "#/$defs/A0", **of_property}
    return a_spec(an_object(x=first), **{"$defs": {**definitions, f"A{levels}": TEXT}})


def properties(count: int, schema: Callable[[int], object]) -> Schema:
    return a_spec(an_object(**{f"p{number}": schema(number) for number in range(count)}))


ANYTHING: Schema = {"type": "object", "additionalProperties": True}


def doubled(levels: int) -> Schema:
    return {"anyOf": [doubled(levels - 1), doubled(levels - 1)]} if levels else {"type": "string"}


def scheduled(count: int = 1000, **schedule: object) -> Schema:
    schedules = [{"name": f"n{number}", "cron": "0 0 * * *", **schedule} for number in range(count)]
    return a_spec(**{"x-job": {"schedules": schedules}})


LARGE_PATTERNS: dict[str, object] = {
    "patternProperties": {f"[ab]*a[ab]{{4000}}[cd]{n}": TEXT for n in range(8)} | {"^a": TEXT}
}

# Specs that once seemed endless, and become models within the same time.
ACCEPTED = "accepted"

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
        chain(lambda inner: {"type": "array", "prefixItems": [inner, inner], "items": False, "minItems": 2}, 18),
        "describes more than 100,000 schemas",
    ),
    "doubling bases": (
        chain(
            lambda inner: {
                "type": "object",
                "additionalProperties": True,
                "properties": {name: {**ANYTHING, "allOf": [inner]} for name in "ab"},
            },
            14,
        ),
        ACCEPTED,
    ),
    "bases of all objects in all others": (
        a_spec(
            an_object(x={"$ref": "#/$defs/A0"}),
            **{
                "$defs": {
                    f"A{one}": {
                        **ANYTHING,
                        "properties": {f"p{n}": {**ANYTHING, "allOf": [{"$ref": f"#/$defs/A{n}"}]} for n in range(12)},
                    }
                    for one in range(12)
                }
            },
        ),
        ACCEPTED,
    ),
    "long chain of bases": (
        chain(lambda inner: {**ANYTHING, "properties": {"a": {**ANYTHING, "allOf": [inner]}}}, 1000),
        "nests schemas more than 64 levels deep",
    ),
    "long chain of references": (
        chain(lambda inner: inner, 5000 if IS_LONG else 1500),
        "leads through more than 64 references",
    ),
    "long chain of lists": (
        chain(lambda inner: {"type": "array", "items": inner}, 4000),
        "nests schemas more than 64 levels deep",
    ),
    "long chain of classes": (chain(lambda inner: an_object(a=inner), 1000), "nests schemas more than 64 levels deep"),
    "itself at every step": (
        a_spec(
            an_object(x={"$ref": "#/$defs/A", "default": {}}),
            **{"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}},
        ),
        "refers to itself endlessly",
    ),
    "too many properties": (properties(9000, lambda _: TEXT), "its view would have 9,016 columns"),
    "too many values": (properties(1, lambda _: {"enum": list(range(15_000))}), "has more than 10,000 values"),
    "many enums": (properties(20, lambda n: {"enum": [f"{n}.{i}" for i in range(900)]}), ACCEPTED),
    "many branches": (
        properties(100, lambda _: {"oneOf": [an_object(**{f"k{i}": TEXT}) for i in range(30)]}),
        ACCEPTED,
    ),
    "many names that are not there": (
        a_spec(an_object(**{f"p{i}": True for i in range(3000)}) | {"required": [f"q{i}" for i in range(9000)]}),
        "has 200 problems or more",
    ),
    "many unknown keywords": (
        a_spec(an_object(x=TEXT | {f"kw{i}": 1 for i in range(9000)})),
        "(and 8,999 more in this file)",
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
    "names that are like no others": (
        properties(
            4,
            lambda number: (
                {"type": "object", "additionalProperties": True}
                | {"properties": {f"{'abcd' * 6}{number}_{'xyz' * 10}{n}": True for n in range(3000)}}
                | {"required": [f"{'abcd' * 6}{'1234567' * 5}{n}" for n in range(200)]}
            ),
        ),
        ACCEPTED,
    ),
    "large patterns for names": (
        a_spec(
            {
                **an_object(x={**an_object(), **LARGE_PATTERNS, "default": {"ab" * 9000: 1}}),
                **LARGE_PATTERNS,
                "required": [f"{'abb' * 3000}{number}" for number in range(90)],
            }
        ),
        "takes too long to check against its schema",
    ),
    "a count of many digits": (properties(1, lambda _: TEXT | {"pattern": "a{" + "9" * 5000 + "}"}), "is too large"),
    "a large pattern": (properties(1, lambda _: TEXT | {"pattern": "a" * 1_000_000}), "is too large"),
    "groups in groups": (properties(1, lambda _: TEXT | {"pattern": "(" * 3000 + "a" + ")" * 3000}), "enforced"),
    "doubling anyOf, written out": (properties(1, lambda _: doubled(12)), "applies more than 2,000 schemas"),
    "doubling anyOf, written out, with a default": (
        properties(1, lambda _: doubled(11) | {"default": 3}),
        "fits none of the 2 branches",
    ),
    "branches of branches": (
        a_spec(
            an_object(x={"oneOf": [{"$ref": "#/$defs/A"}] * 100}),
            **{"$defs": {"A": {"oneOf": [{"const": number} for number in range(100)]}}},
        ),
        "applies more than 2,000 schemas to one value",
    ),
    "a pointer through a fan": (
        a_spec(
            an_object(x={"$ref": "#/$defs/A"}),
            **{
                "$defs": {"A": {"anyOf": [an_object(a={"$ref": "#/$defs/A"}, **{f"b{n}": True}) for n in range(50)]}},
                "x-job": {"unique": {"by": ["/x" + "/a" * 50]}},
            },
        ),
        "nests schemas more than 64 levels deep",
    ),
    "many pointers through a fan": (
        a_spec(
            an_object(x={"$ref": "#/$defs/A0"}),
            **{
                "$defs": {
                    f"A{m}": {"anyOf": [an_object(a={"$ref": f"#/$defs/A{(m + n) % 40}"}) for n in range(40)]}
                    for m in range(40)
                },
                "x-job": {"redact": [f"/x{'/a' * 100}/{n}" for n in range(190)]},
            },
        ),
        "it takes too long to look",
    ),
    "many pointers among many names": (
        a_spec(
            an_object(**{f"n{number}": True for number in range(14_000)}),
            **{"x-job": {"redact": [f"/n{number}" for number in range(900)]}},
        ),
        "its view would have 13,116 columns",
    ),
    "many pointers that nearly lead somewhere": (
        a_spec(
            an_object(**{f"abc{number}": {"$ref": "#/$defs/A"} for number in range(4000)}),
            **{
                "$defs": {"A": an_object(**{f"abc{number}": {"$ref": "#/$defs/A"} for number in range(4000)})},
                "x-job": {"redact": [f"{'abcd.' * 90}{number}" for number in range(190)]},
            },
        ),
        "must be a JSON pointer into params",
    ),
    "a long pointer": (
        a_spec(ANYTHING, **{"x-job": {"redact": ["/a" * 400_000]}}),
        "has more than 500 characters",
    ),
    "many unknown options": (a_spec(**{"x-job": {f"k{number}": 1 for number in range(9000)}}), "has 200 problems"),
    "many unknown time zones": (scheduled(timezone="Europe/Xyz"), "has 200 problems or more"),
    "schedules that never fire": (scheduled(cron="0 0 31 2 *"), "has 200 problems or more"),
    "a long cron expression": (scheduled(1, cron="* " * 400_000), "has at most 500 characters"),
    "a long reference": (properties(1, lambda _: {"$ref": "#/" + "a/" * 400_000}), "leads to a place"),
    "a reference in many steps": (properties(1, lambda _: {"$ref": "a/../" * 180_000}), "which is not a file"),
    "many references that lead nowhere": (
        properties(5000, lambda number: {"$ref": f"#/$defs/Q{number}"}),
        "leads to a place that does not exist",
    ),
    "many references among many names": (
        a_spec(
            an_object(**{f"p{number}": {"$ref": f"#/$defs/xd{number}"} for number in range(4000)}),
            **{"$defs": {f"{'abcd' * 6}{'xyz' * 10}{number}": TEXT for number in range(4000)}},
        ),
        "leads to a place that does not exist",
    ),
    "one name again and again": (
        a_spec(
            an_object(**{f"p{number}": {"$ref": "#a"} for number in range(2500)}),
            **{"$defs": {f"A{number}": TEXT | {"$anchor": "a"} for number in range(2500)}},
        ),
        '"a" is the name of the schema in line 1 too',
    ),
    "many references of draft 7": (
        properties(2500, lambda number: {"$ref": f"#/definitions/A{number}"})
        | {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {f"A{number}": TEXT for number in range(2500)},
        },
        "its view would have 2,516 columns",
    ),
    "many examples": (properties(1, lambda _: {"type": "integer", "examples": ["x"] * 15_000}), "does not fit"),
    "comments": (b"#\n" * 400_000 + b"{}", "has 200 problems or more"),
    "keys again and again": (b"{" + b'"a":1,' * 19_000 + b'"a":1}', "has 200 problems or more"),
    "commas": (b"[" + b"[1,]," * 3000 + b"1]", "has 200 problems or more"),
    "deep brackets": (b"[" * 500_000, "nested more than 64 levels deep"),
    "spaces": (b" " * 9_000_000, "larger than 8,388,608 bytes"),
    "digits": (b'{"a": ' + b"9" * 1_000_000 + b"}", "has more than 4,000 digits"),
    "escapes": (b'{"' + b"\\u0000" * 150_000 + b'": 1}', "has a NUL character in a string"),
}


SLOW = {
    *("doubling anyOf with a default", "large patterns", "many unknown time zones", "schedules that never fire"),
    *("comments", "keys again and again", "a reference in many steps", "large patterns for large texts"),
    # Variants of each: with as many names, expanded as deep, or with references that lead nowhere.
    *("too many properties", "doubling anyOf, written out", "many references among many names"),
}
# A second and more each, with a budget that another one reaches in less time.
SECONDS = {
    *("names that are like no others", "many unknown keywords", "many pointers that nearly lead somewhere"),
    *("many references of draft 7", "long chain of lists", "many pointers through a fan", "many examples"),
    *("many references that lead nowhere", "escapes", "large defaults", "long chain of bases", "many branches"),
    *("many pointers among many names", "many names that are not there"),
}


def many(count: int, content: bytes) -> dict[str, bytes]:
    return {f"shared/f{number}.json": content for number in range(count)}


HEAPS: dict[str, tuple[dict[str, bytes], str]] = {
    "many files": (many(4001, b'{"$defs": {}}'), "has more than 4,000 files"),
    "many wrong files": (many(3900, b"{"), "expected a key or '}', not the end of the file"),
    "many bytes": (many(40, b'{"$defs": {}}' + b" " * 1_000_000), "have more than 33,554,432 bytes"),
    "many values": (
        many(450, b'{"$defs": {"A": {"enum": [%s]}}}' % b", ".join(b"%d" % n for n in range(5000))),
        "have more than 2,000,000 values",
    ),
    "deep folders": ({"shared/" + "a/" * 40 + "f.json": b"{}"}, "specs lie directly in specs/"),
}


# The others take seconds, and run in the long form only.
SOME_HEAPS = HEAPS if IS_LONG else (slow("many bytes"), "deep folders")


@pytest.mark.parametrize("heap", SOME_HEAPS)
def test_a_heap_of_files_is_refused_at_once(tmp_path: Path, heap: str) -> None:
    files, expected = HEAPS[heap]
    write(tmp_path, files)
    started = time.process_time()
    specs = read_specs(tmp_path, tmp_path / "specs")
    elapsed = time.process_time() - started
    assert any(expected in problem.message for problem in specs.problems)
    assert specs.jobs == ()
    assert_cpu_seconds(elapsed, 40)  # 250,000 values take 1.5 s


LONG_TEXTS: dict[str, Schema] = {
    "default": properties(1, lambda _: TEXT | {"default": "x" * 1_000_000}),
    "default of quotes": properties(1, lambda _: TEXT | {"default": "\"'" * 240_000}),
    "default of lines": properties(1, lambda _: TEXT | {"default": "\n" * 400_000}),
    "lines of a description": a_spec(description="x\n" * 300_000),
    "property": a_spec(an_object(**{"A" * 900_000: TEXT})),
    "words of a property": a_spec(an_object(**{"a B" * 150_000: TEXT})),
    "pointers": a_spec(ANYTHING, **{"x-job": {"redact": [f"/{number}{'/b' * 240}" for number in range(200)]}}),
    "params of schedules": scheduled(params={}),
}


@pytest.mark.parametrize("name", LONG_TEXTS if IS_LONG else (slow("default"), "pointers"))
def test_long_accepted_values_are_written_fast(tmp_path: Path, name: str) -> None:
    started = time.process_time()
    specs = read(tmp_path, {"case.json": LONG_TEXTS[name]})
    files = render_files(Project(root=tmp_path), specs.jobs)
    elapsed = time.process_time() - started
    assert (specs.problems, len(specs.jobs)) == ((), 1)
    assert files
    assert_cpu_seconds(elapsed, 2)


@pytest.mark.parametrize(
    "bomb", [slow(name) if name in SECONDS else name for name in BOMBS if IS_LONG or name not in SLOW]
)
def test_a_bomb_gets_an_answer_at_once(tmp_path: Path, bomb: str) -> None:
    spec, expected = BOMBS[bomb]
    # The time of this process only, not of the machine.
    started = time.process_time()
    specs = read(tmp_path, {"case.json": spec})
    elapsed = time.process_time() - started
    if expected is ACCEPTED:
        assert specs.problems == ()
        assert_cpu_seconds(elapsed, 2)
        return
    assert any(expected in problem.message for problem in (*specs.problems, *specs.warnings))
    assert max(len(str(problem)) for problem in (*specs.problems, *specs.warnings)) < 2_000
    assert len(specs.problems) < 1_000
    assert_cpu_seconds(elapsed, 2)


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
