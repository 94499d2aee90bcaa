"""Keywords that JSON Schema lacks, that have no effect, or that no model enforces."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.read.keywords import ADVICE

from tests.generator.spec_projects import a_spec, an_object, findings

from .schemas import NUMBERS, TEXT, problems_of


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "regex": "a"}, 'warning: /regex "regex" is not a keyword of JSON Schema, and has no effect; write pattern'),
        ({"type": "string", "minlength": 3}, '/minlength "minlength" is not a keyword of JSON Schema (did you mean "minLength"?)'),
        (TEXT | {"not": {"minlength": 3}}, '/not/minlength "minlength" is not a keyword of JSON Schema (did you mean "minLength"?)'),
        ({"type": "object", "wibble": {"type": "string"}, "additionalProperties": False}, 'warning: /wibble "wibble" is not a keyword of JSON Schema, and has no effect; if it is a property, put it into properties'),
        ({"type": "string", "wibble": 3}, 'warning: /wibble "wibble" is not a keyword of JSON Schema, and has no effect'),
    ],
)  # fmt: skip
def test_a_keyword_that_json_schema_lacks_is_reported(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("minlength", 3), ("min_length", 3), ("MinLength", 3), ("minLenght", 3), ("minLengt", 3), ("mminLength", 3)),
        *(("item", {}), ("requird", []), ("propertes", {}), ("tpye", "string"), ("Type", "string")),
    ],
)
def test_a_likely_misspelling_of_a_keyword_is_refused(tmp_path: Path, keyword: str, value: object) -> None:
    (line,) = problems_of(tmp_path, {"$comment": "", "enum": ["a"], keyword: value})
    assert line.startswith(f'/{keyword} "{keyword}" is not a keyword of JSON Schema (did you mean "')


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("item", "a"), ("descriptions", {}), ("$default", 1), ("_title", "a"), ("typeof", "string"), ("note", "a")),
        *(("markdownDescription", "a"), ("version", 1), ("meta:license", "a"), ("nullable", False)),
    ],
)
def test_keywords_of_others_are_ignored(tmp_path: Path, keyword: str, value: object) -> None:
    assert all(line.startswith("warning: ") for line in problems_of(tmp_path, {"type": "string", keyword: value}))


@pytest.mark.parametrize(
    "keyword", ["x-order", "discriminator", "externalDocs", "xml", "readOnly", "writeOnly", "$vocabulary"]
)
def test_nobody_expects_an_effect_of_an_annotation(tmp_path: Path, keyword: str) -> None:
    assert problems_of(tmp_path, {"type": "string", keyword: True}) == []


def test_a_misspelling_in_a_public_schema_is_ignored(tmp_path: Path) -> None:
    public = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "item": {"type": "string"}}
    for files in ({"case.json": a_spec(an_object(x=public))}, {"case.json": a_spec(), "shared/a.json": public}):
        lines = findings(tmp_path, files)
        assert [line for line in lines if '"item" is not' in line and line.startswith("warning: ")]
        assert all(line.startswith("warning: ") for line in lines)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minLength": 3}, "warning: /minLength minLength has no effect on the type integer; it belongs to string"),
        ({"type": ["null", "boolean"], "items": True}, "warning: /items items has no effect on the type boolean or null; it belongs to array"),
        ({"type": "integer", "format": "email"}, "warning: /format format has no effect on the type integer; it belongs to string"),
        ({"type": "string", "required": True}, "warning: /required required has no effect on the type string; the object around it lists there which of its properties are"),
        (TEXT | {"if": {"minLength": 3}}, "warning: /if if has no effect without then or else"),
        ({"type": "integer", "then": {"minimum": 3}}, "warning: /then then has no effect without if"),
        (NUMBERS | {"minContains": 2}, "warning: /minContains minContains has no effect without contains"),
        (TEXT | {"contentSchema": True}, "warning: /contentSchema contentSchema has no effect without contentMediaType"),
        (TEXT | {"contentEncoding": "base32"}, 'warning: /contentEncoding "base32" is not enforced; base64 is'),
        (TEXT | {"contentMediaType": "text/html"}, 'warning: /contentMediaType "text/html" is not enforced; application/json is'),
        ({"type": "string", "format": "e-mail"}, 'warning: /format the format "e-mail" is not known, and not enforced (did you mean "email"?); use pattern to enforce it'),
    ],
)  # fmt: skip
def test_a_keyword_without_effect_is_reported(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize("keyword", ADVICE)
def test_a_keyword_that_the_model_would_not_enforce_is_refused_with_advice(tmp_path: Path, keyword: str) -> None:
    (line,) = problems_of(tmp_path, {"type": "string", keyword: True})
    assert line == f"/{keyword} {keyword} is not accepted: {ADVICE[keyword]}"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (TEXT | {"$dynamicRef": "#a"}, "/$dynamicRef $dynamicRef is not accepted: it depends on the schemas around it; use $ref with a JSON pointer (#/$defs/…)"),
    ],
)  # fmt: skip
def test_a_reference_that_depends_on_the_schemas_around_it_is_refused(
    tmp_path: Path, schema: object, expected: str
) -> None:
    assert problems_of(tmp_path, schema) == [expected]
