"""Each TypeScript type accepts everything that its schema allows, and parses as TypeScript.

`tests/worker/test_typescript.py` runs the compiler and Node, which needs npm.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs.domain.options import JobOptions
from server_jobs_outputs.typescript.keys import UnequalKeyError, keys_of
from server_jobs_outputs.typescript.module import TAKEN, typescript_text
from server_jobs_outputs.typescript.text import comment, literal_type, member
from server_jobs_outputs.typescript.type_writer import TypeWriter

from tests.generator.models.test_models_agree_with_the_schema import fitting_of
from tests.generator.spec_language import DEFINITIONS, Schema, object_schemas, schemas, values_near
from tests.generator.spec_projects import a_spec, an_object, job, read
from tests.server_jobs_outputs.test_outputs import FEW

_TOKEN = re.compile(
    r'\s+|/\*\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\.\.\.|-?\d[\d.e+-]*|[A-Za-z_$][\w$]*|[{}\[\]():;,|&?=<>]', re.DOTALL
)


def type_of(schema: JsonValue, **definitions: JsonValue) -> str:
    return TypeWriter(definitions, {name: name for name in definitions}).of(schema)


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        (True, "unknown"),
        (False, "never"),
        ({}, "unknown"),
        ({"type": "string", "minLength": 1}, "string"),
        ({"type": ["integer", "number", "null"]}, "number | null"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array"}, "unknown[]"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, True], "items": False, "minItems": 2},
            "[string, unknown]",
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}}, "[string?, ...null[]]"),
        ({"const": 'a"*/\u2028'}, r'"a\"*/\u2028"'),
        ({"enum": [1, 1.0, 1.5, None, True, "a", 2**60]}, '1 | 1.5 | null | true | "a" | number'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "{\n  [key: string]: number;\n}"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        (
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"type": "string"}, "b c": {"type": "null"}},
                "additionalProperties": {"type": "integer"},
            },
            '{\n  a: string;\n  "b c"?: null;\n  [key: string]: number | string | null | undefined;\n}',
        ),
        (
            {
                "type": "object",
                "required": ["c"],
                "patternProperties": {"^x": {"type": "integer"}, "^y": {"type": "null"}},
                "additionalProperties": False,
            },
            "{\n  c: number | null;\n  [key: string]: number | null;\n}",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "unevaluatedProperties": False},
            "{\n  a?: string;\n}",
        ),
        (
            {"type": "object", "unevaluatedProperties": False, "allOf": [{"type": "object"}]},
            "object",
        ),
        ({"anyOf": [{"type": "string"}, False]}, "string"),
        ({"oneOf": [{"type": "string"}, True]}, "unknown"),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}, "(string | null) & string"),
        ({"not": {"type": "string"}}, "unknown"),
        ({"properties": {"a": False}}, "unknown"),
        ({"$ref": "#/$defs/Nowhere"}, "unknown"),
    ],
)
def test_a_schema_has_this_type(schema: JsonValue, type_: str) -> None:
    assert type_of(schema) == type_


def test_a_definition_that_is_only_itself_is_unknown_and_one_with_a_list_between_is_recursive() -> None:
    tree: JsonValue = {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
    loop: JsonValue = {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "string"}]}
    writer = TypeWriter({"Loop": loop, "Tree": tree}, {"Loop": "Loop", "Tree": "Tree"})

    assert list(writer.declare_definitions()) == ["export type Loop = unknown;\n", "export type Tree = Tree[];\n"]


def test_a_closed_object_is_closed_for_any_parts() -> None:
    base: JsonValue = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "string"}}}
    other: JsonValue = {"type": "object", "properties": {"b": {"$ref": "#/$defs/Base"}}}
    union: JsonValue = {"oneOf": [{"type": "object", "properties": {"c": True}}, {"type": "object"}]}
    parts: Schema = {"allOf": [{"$ref": "#/$defs/Base"}, other, union]}

    assert type_of({"type": "object", **parts, "unevaluatedProperties": False}, Base=base) == (
        "{\n  a: string;\n  b: unknown;\n} & {\n  b?: Base;\n} & ({\n  c?: unknown;\n} | object)"
    )
    assert type_of({**parts, "allOf": [{"$ref": "#/$defs/Base"}]}, Base=base) == "Base"


def closed(keywords: Schema) -> Schema:
    """Return a closed object that allows only properties declared by one of its parts."""
    return {"type": "object", "properties": {"a": {"type": "string"}}, "unevaluatedProperties": False, **keywords}


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        (
            closed({"oneOf": [{"required": ["b"], "properties": {"b": {"type": "null"}}}, {"required": ["a"]}]}),
            "{\n  a?: string;\n} & ({\n  b: null;\n} | {\n  a: unknown;\n})",
        ),
        (
            closed(
                {"type": ["object", "null"], "anyOf": [{"properties": {"b": {"type": "null"}}}, {"$ref": "#/$defs/C"}]}
            ),
            "({\n  a?: string;\n} | null) & (({\n  b?: null;\n} | null) | ({\n  c?: boolean;\n} | null))",
        ),
        (closed({"$ref": "#/$defs/C"}), "{\n  a?: string;\n} & {\n  c?: boolean;\n}"),
        (
            {"allOf": [{"type": "object"}, {"properties": {"b": {"type": "null"}}}], "unevaluatedProperties": False},
            "{\n  b?: null;\n}",
        ),
        (
            closed({"if": {"required": ["a"]}, "then": {"properties": {"b": False}}, "else": {"$ref": "#/$defs/C"}}),
            "{\n  a?: string;\n  b?: unknown;\n  c?: unknown;\n}",
        ),
        (
            closed({"dependentSchemas": {"a": {"properties": {"b": True}, "if": {"properties": {"c": True}}}}}),
            "{\n  a?: string;\n  b?: unknown;\n  c?: unknown;\n}",
        ),
        (
            closed({"if": {"properties": {"a": {"const": "x"}}}, "then": {"additionalProperties": True}}),
            "{\n  a?: string;\n  [key: string]: unknown;\n}",
        ),
        (closed({"if": True, "then": {"$ref": "#/$defs/Any"}}), "{\n  a?: string;\n  [key: string]: unknown;\n}"),
        (
            closed({"if": True, "then": {"allOf": [{"if": {"additionalProperties": True}}]}}),
            "{\n  a?: string;\n  [key: string]: unknown;\n}",
        ),
        (closed({"$ref": "#/$defs/Any"}), "{\n  a?: string;\n} & {\n  [key: string]: unknown;\n}"),
        (
            closed({"allOf": [{"additionalProperties": True}]}),
            "{\n  a?: string;\n} & {\n  [key: string]: unknown;\n}",
        ),
        (closed({"if": {"required": ["a"]}, "then": {"additionalProperties": False}}), "{\n  a?: string;\n}"),
    ],
)
def test_a_closed_object_accepts_properties_of_all_parts_with_or_without_a_type(schema: Schema, type_: str) -> None:
    of_c: Schema = {"properties": {"c": {"type": "boolean"}}}
    assert type_of(schema, C=of_c, Any={"additionalProperties": True}) == type_


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], ""),
        (["  "], ""),
        (["Plain."], "/** Plain. */\n"),
        (["ends */ here"], "/** ends *\\/ here */\n"),
        (["one\n\ntwo\u2028*/"], "/**\n * one\n * two\n * *\\/\n */\n"),
        (["@ts-ignore"], "/**\n * @ts-ignore\n */\n"),
        (["\u202ea\x00"], "/** \\u202ea\\x00 */\n"),
    ],
)
def test_a_comment_cannot_be_ended_by_its_text(lines: list[str], text: str) -> None:
    assert comment(lines) == text


@given(st.text())
def test_any_text_stays_within_its_comment_its_literal_and_its_quotes(text: str) -> None:
    said = comment([text])
    assert said.count("*/") == (1 if said else 0)
    assert said.isprintable() or said.replace("\n", "").isprintable()
    assert json.loads(literal_type(text)) == text
    assert member(text) == text or json.loads(member(text)) == text
    assert "\n" not in literal_type(text)


@settings(max_examples=FEW)
@given(object_schemas(schemas), st.fixed_dictionaries(dict.fromkeys(DEFINITIONS, schemas)), st.data())
def test_a_type_accepts_everything_its_schema_allows(params: Schema, definitions: Schema, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = read(Path(folder), {"case.json": a_spec(params, **{"$defs": definitions})})
    assume(not specs.problems)
    declared = dict(_declarations(typescript_text(specs.jobs)))
    fitting = fitting_of(definitions)

    for document in data.draw(st.lists(values_near(params, definitions), min_size=4, max_size=4)):
        if not fitting.violations(params, "x", document):
            assert _fits(("name", "CaseParams"), document, declared), document


PROPERTIES: Sequence[Schema] = [{}, {"a": {"type": "boolean"}}, {"n1": {"type": "number"}}, {"x1": True}]
PATTERNS: Sequence[Schema] = [{}, {"^n": {"type": "number"}}, {"^x": {"type": "string"}}, {"1$": {"minimum": 1}}]
OTHERS: Sequence[Schema] = [
    {},
    {},
    {},
    {"unevaluatedProperties": False},
    {"unevaluatedProperties": {"type": "string"}},
    {"additionalProperties": {"type": "number"}},
]
DOCUMENTS: tuple[dict[str, JsonValue], ...] = tuple(
    {name: value for name, value in zip(("a", "n1", "x1", "other"), values, strict=True) if value != "left out"}
    for values in product(("left out", True, 1), ("left out", 1), ("left out", "s", 1), ("left out", "s"))
)


def part(random: Random) -> Schema:
    """Return a schema of objects that may be one of several for the same value."""
    kept = {"properties": random.choice(PROPERTIES), "patternProperties": random.choice(PATTERNS)}
    return {"type": "object", **{key: value for key, value in kept.items() if value}, **random.choice(OTHERS)}


def misfits_of_parts(seed: int) -> list[str]:
    """Return documents that a closed object of several parts allows but its type does not."""
    random = Random(seed)
    definitions: Schema = {"P": part(random), "Q": part(random)}
    schema: Schema = {**part(random), "unevaluatedProperties": False}
    schema.pop("additionalProperties", None)
    for keyword in random.sample(("$ref", "allOf", "anyOf", "oneOf"), random.randrange(1, 4)):
        branches: list[JsonValue] = [{"$ref": "#/$defs/P"}, {"$ref": "#/$defs/Q"}, part(random)]
        schema[keyword] = "#/$defs/P" if keyword == "$ref" else random.sample(branches, 2)
    fitting, writer = fitting_of(definitions), TypeWriter(definitions, {name: name for name in definitions})
    text = f"export type A = {writer.of(schema)};\n\n" + "\n".join(writer.declare_definitions())
    declared = dict(_declarations(re.sub(r"^export type ([PQ]) ", r"export type B\1 ", text, flags=re.MULTILINE)))
    declared = {name.removeprefix("B"): type_ for name, type_ in declared.items()}
    return [
        f"{seed}: {document} fits {schema}, not {text}"
        for document in DOCUMENTS
        if not fitting.violations(schema, "x", document) and not _fits(("name", "A"), document, declared)
    ]


def test_a_closed_object_accepts_the_patterns_of_its_parts() -> None:
    assert [violation for seed in range(40 * FEW) for violation in misfits_of_parts(seed)] == []


def test_a_value_of_another_type_is_noticed() -> None:
    declared = dict(_declarations("export type A = {\n  a?: (1 | B)[];\n};\n\nexport type B = [string, null?];\n"))

    assert _fits(("name", "A"), {"a": [1, ["x"], ["x", None]]}, declared)
    assert not _fits(("name", "A"), {"a": [2]}, declared)
    assert not _fits(("name", "A"), {"a": [["x", 1]]}, declared)
    assert not _fits(("name", "A"), {"b": 1}, declared)


@pytest.mark.parametrize(
    ("property_", "pointer"),
    [
        ({"type": "number"}, "/a"),
        ({"type": "string", "format": "uuid"}, "/a"),
        ({"type": "object", "additionalProperties": False, "properties": {}}, "/a"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "/a"),
        ({"type": "array", "items": {"type": "number"}}, "/a"),
        ({"$ref": "#/$defs/Defaulted"}, "/a"),
        (
            {"type": "object", "additionalProperties": False, "default": {}, "properties": {"b": {"type": "string"}}},
            "/a/b",
        ),
    ],
)
def test_a_key_that_typescript_might_compute_otherwise_is_left_to_python(
    tmp_path: Path, property_: JsonValue, pointer: str
) -> None:
    params: Schema = {**an_object(a=property_), "$defs": {"Defaulted": {"type": "string", "default": "x"}}}
    found = replace(job(tmp_path, a_spec()), params=params, options=JobOptions(unique_by=(pointer,)))

    with pytest.raises(UnequalKeyError):
        keys_of(found)
    assert "export type InsertableJob = never;" in typescript_text([found])


def test_names_that_the_module_has_already_are_numbered(tmp_path: Path) -> None:
    spec = a_spec(an_object(a={"$ref": "#/$defs/Name"}), title="Job", **{"$defs": {"Name": {"type": "string"}}})
    files = {"one.json": {**spec, "title": "Enqueue"}, "two.json": {**spec, "title": "Insertable"}}
    text = typescript_text(read(tmp_path, files).jobs)

    names = re.findall(r"^export (?:type|class|function|async function) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))


def test_no_definition_takes_the_name_of_the_params_of_another_job(tmp_path: Path) -> None:
    params = an_object(a={"$ref": "#/$defs/BarParams"})
    foo = a_spec(params, **{"$defs": {"BarParams": an_object(a={"type": "string"})}})
    text = typescript_text(read(tmp_path, {"foo.json": foo, "foo_bar.json": a_spec()}).jobs)

    assert "  FooBar: FooBarParams;\n" in text
    assert "export type FooBarParams2 = " in text


def test_every_name_of_the_module_and_of_the_language_in_it_is_taken() -> None:
    code = re.sub(r"/\*\*.*?\*/|//[^\n]*|\"[^\"\n]*\"|`[^`]*`|\\p\{\w+\}", "", typescript_text([]), flags=re.DOTALL)
    assert set(re.findall(r"(?<![.\w])[A-Z]\w+", code)) <= set(TAKEN)


def test_a_retired_job_can_be_read_but_not_enqueued(tmp_path: Path) -> None:
    specs = {"new.json": a_spec(), "old.json": a_spec(**{"x-job": {"status": "retired"}})}
    text = typescript_text(read(tmp_path, specs).jobs)

    assert "JobParams = {\n  New: NewParams;\n};" in text
    results = "JobResults = {\n  New: NewResult;\n  /** @deprecated The job is retired. */\n  Old: OldResult;\n};"
    assert results in text
    assert "/**\n * Result of Old.\n * @deprecated\n */\nexport type OldResult = " in text
    assert 'InsertableJob = "New";' in text
    assert "  Old: {" not in text


def _declarations(text: str) -> Iterator[tuple[str, object]]:
    """Yield the types of the jobs in a module, each as nested tuples."""
    for name, body in re.findall(
        r"^export type (\w+) = (.*?);\n(?=\n|export|/\*\*|\Z)", text, re.MULTILINE | re.DOTALL
    ):
        if name.startswith(("Case", "A", "B")):
            tokens = _tokens(body)
            yield name, _parsed(tokens)
            assert not tokens, tokens[:5]


def _tokens(text: str) -> list[str]:
    found = _TOKEN.findall(text)
    assert "".join(found) == text, "there is what is no token"
    return [token for token in found if token.strip() and not token.startswith("/**")][::-1]


def _parsed(tokens: list[str]) -> object:
    """Return a union or an intersection, or the only type in it. `tokens` continue after it."""
    types = [_element(tokens)]
    sign = tokens[-1] if tokens and tokens[-1] in "|&" else ""
    while tokens and tokens[-1] == sign:
        tokens.pop()
        types.append(_element(tokens))
    return (sign, *types) if sign else types[0]


def _element(tokens: list[str]) -> object:
    token = tokens.pop()
    found: object
    if token == "(":
        found = _parsed(tokens)
        assert tokens.pop() == ")"
    elif token == "{":
        found = ("object", dict(_members(tokens)))
    elif token == "[":
        found = ("tuple", *_items(tokens))
    elif token[0] in '"-0123456789' or token in ("true", "false", "null"):
        found = ("literal", json.loads(token))
    elif token == "Record":
        assert [tokens.pop() for _ in range(5)] == ["<", "string", ",", "never", ">"]
        found = ("object", {})
    else:
        found = ("name", token)
    while len(tokens) > 1 and tokens[-1] == "[" and tokens[-2] == "]":
        del tokens[-2:]
        found = ("array", found)
    return found


def _members(tokens: list[str]) -> Iterator[tuple[object, object]]:
    while tokens[-1] != "}":
        name = tokens.pop()
        if name == "[":
            assert [tokens.pop() for _ in range(4)] == ["key", ":", "string", "]"]
            key: object = None
        else:
            key = (json.loads(name) if name.startswith('"') else name, tokens[-1] != "?" or not tokens.pop())
        assert tokens.pop() == ":"
        yield key, _parsed(tokens)
        assert tokens[-1] == "}" or tokens.pop() == ";"  # on one line, no semicolon follows the last one
    tokens.pop()


def _items(tokens: list[str]) -> Iterator[tuple[str, object]]:
    while tokens[-1] != "]":
        kind = tokens.pop() if tokens[-1] == "..." else ""
        type_ = _parsed(tokens)
        yield kind or (tokens.pop() if tokens[-1] == "?" else "!"), type_
        assert tokens[-1] in (",", "]")
        if tokens[-1] == ",":
            tokens.pop()
    tokens.pop()


def _fits(type_: object, value: JsonValue, declared: Mapping[str, object]) -> bool:
    """Return whether the compiler accepts a literal value, which may have no unknown property."""
    if isinstance(type_, tuple) and type_[0] == "|":
        return any(_fits(one, value, declared) for one in type_[1:])
    if not _matches(type_, value, declared):
        return False
    known = _known(type_, declared) if isinstance(value, dict) else None
    return not isinstance(value, dict) or known is None or value.keys() <= known


def _known(type_: object, declared: Mapping[str, object]) -> set[str] | None:
    """Return the properties that an object literal may have; None if any are allowed."""
    match type_:
        case ("name", str(name)):
            return _known(declared[name], declared) if name in declared else set() if name == "object" else None
        case ("|" | "&", *types):
            found = [_known(one, declared) for one in types]
            return None if None in found else set[str]().union(*(one for one in found if one is not None))
        case ("object", dict(members)):
            return None if None in members else {str(key[0]) for key in members if isinstance(key, tuple)}
        case _:
            return set()


def _matches(type_: object, value: JsonValue, declared: Mapping[str, object]) -> bool:
    match type_:
        case ("name", str(name)) if name in declared:
            return _matches(declared[name], value, declared)
        case ("name", str(name)):
            return _fits_name(name, value)
        case ("literal", expected):
            return value == expected and isinstance(value, bool) == isinstance(expected, bool)
        case ("|", *types):
            return any(_matches(one, value, declared) for one in types)
        case ("&", *types):
            return all(_matches(one, value, declared) for one in types)
        case ("array", element):
            return isinstance(value, list) and all(_fits(element, item, declared) for item in value)
        case ("tuple", *items):
            return isinstance(value, list) and _fits_items(cast("list[tuple[str, object]]", items), value, declared)
        case ("object", dict(members)):
            return isinstance(value, dict) and _fits_members(members, value, declared)
        case _:
            raise AssertionError(type_)


def _fits_name(name: str, value: JsonValue) -> bool:
    match name:
        case "unknown":
            return True
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, dict | list)
        case _:
            assert name in ("never", "undefined"), name
            return False


def _fits_items(items: list[tuple[str, object]], value: list[JsonValue], declared: Mapping[str, object]) -> bool:
    fixed = [item for item in items if item[0] != "..."]
    rest = [type_ for kind, type_ in items if kind == "..."]
    if len(value) < sum(kind == "!" for kind, _ in fixed) or (len(value) > len(fixed) and not rest):
        return False
    begin = all(_fits(type_, item, declared) for (_, type_), item in zip(fixed, value, strict=False))
    return begin and (not rest or _fits(rest[0], value[len(fixed) :], declared))


def _fits_members(
    members: Mapping[object, object], value: dict[str, JsonValue], declared: Mapping[str, object]
) -> bool:
    named = {key[0]: (key[1], type_) for key, type_ in members.items() if isinstance(key, tuple)}
    for name, (is_required, type_) in named.items():
        if name in value and not _fits(type_, value[cast("str", name)], declared):
            return False
        if is_required and name not in value:
            return False
    return None not in members or all(_fits(members[None], item, declared) for item in value.values())


def test_rows_go_into_the_schema_of_the_project() -> None:
    text = typescript_text([], "shop")
    assert (text.count('INSERT INTO "shop".jobs ('), text.count("INSERT INTO jobs (")) == (1, 1)  # none on SQLite
    assert typescript_text([]).count("INSERT INTO jobs (") == 2
