"""Values that a schema lists: defaults, examples, enum and const."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.models.model_module import render_models

from tests.generator.spec_projects import a_spec, an_object, findings, job

from .schemas import NUMBERS, TEXT, problems_of


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ({"type": "integer", "default": "x"}, "default", 'must be a whole number, not "x"'),
        ({"type": "integer", "default": True}, "default", "must be a whole number, not true"),
        ({"type": "string", "default": None}, "default", "must be a string, not null"),
        ({"type": "integer", "maximum": 3, "default": 4}, "default", "must be at most 3, not 4"),
        ({"type": "integer", "multipleOf": 3, "default": 4}, "default", "must be a multiple of 3, not 4"),
        ({"type": "number", "exclusiveMinimum": 3, "default": 3}, "default", "must be above 3, not 3"),
        ({"type": "string", "maxLength": 1, "default": "ab"}, "default", 'must have at most 1 characters, not "ab"'),
        ({"type": "string", "pattern": "^a", "default": "b"}, "default", 'must match the pattern "^a", not "b"'),
        ({"type": "string", "format": "email", "default": "b"}, "default", 'must be of the format email, not "b"'),
        ({"enum": ["a", 1], "default": True}, "default", 'must be "a" or 1, not true'),
        ({"const": None, "default": 0}, "default", "must be null, not 0"),
        (NUMBERS | {"default": [1, "2"]}, "default/1", 'must be a number, not "2"'),
        (NUMBERS | {"minItems": 2, "default": []}, "default", "must have at least 2 items, not []"),
        (an_object(a=TEXT) | {"default": {"b": 1}}, "default/b", "is not allowed here"),
        (an_object(a=TEXT) | {"required": ["a"], "default": {}}, "default", 'lacks the property "a"'),
        ({"anyOf": [TEXT, {"type": "null"}], "default": 3}, "default", "fits none of the 2 branches of anyOf"),
        ({"$ref": "#/$defs/Small", "default": 4}, "default", "must be at most 3, not 4"),
        ({"type": "string", "examples": ["a", 2]}, "examples/1", "must be a string, not 2"),
        ({"type": "string", "enum": ["a", 2]}, "enum/1", "must be a string, not 2"),
        (TEXT | {"enum": ["a", "bcd"], "maxLength": 2}, "enum/1", 'must have at most 2 characters, not "bcd"'),
    ],
)  # fmt: skip
def test_a_value_that_its_own_schema_refuses_is_reported(
    tmp_path: Path, schema: object, place: str, reason: str
) -> None:
    found = problems_of(tmp_path, schema, Small={"type": "integer", "maximum": 3})
    assert found == [f"warning: /{place} does not fit its own schema: {reason}"]


@pytest.mark.parametrize(
    ("schema", "place", "reason"),
    [
        ({"type": "string", "const": 2}, "const", "must be a string, not 2"),
        ({"type": "integer", "const": 5, "not": {"minimum": 3}}, "const", "fits the schema that `not` rules out"),
    ],
)  # fmt: skip
def test_a_constant_that_its_own_schema_refuses_is_refused(
    tmp_path: Path, schema: object, place: str, reason: str
) -> None:
    assert problems_of(tmp_path, schema) == [f"/{place} does not fit its own schema: {reason}"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": [1, 1.0]}, "warning: /enum/1 1.0 is listed twice"),
        ({"enum": [{"a": [0]}, {"a": [-0.0]}]}, 'warning: /enum/1 {"a": [-0.0]} is listed twice'),
        ({"enum": ["a", "b", "a"]}, 'warning: /enum/2 "a" is listed twice'),
    ],
)  # fmt: skip
def test_a_value_that_is_listed_twice_is_reported(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


def test_a_default_is_checked_against_keywords_beside_references(tmp_path: Path) -> None:
    definitions = {"Middle": {"$ref": "#/$defs/Last", "maximum": 3}, "Last": {"type": "integer"}}
    case = a_spec(an_object(x={"$ref": "#/$defs/Middle", "default": 5}), **{"$defs": definitions})
    (line,) = findings(tmp_path, {"case.json": case})
    assert line.endswith("/x/default does not fit its own schema: must be at most 3, not 5")


def test_a_default_that_does_not_fit_is_not_filled_in(tmp_path: Path) -> None:
    spec = a_spec(an_object(x={"type": "integer", "default": "3"}, y={"type": "integer", "default": 3}))
    text = render_models(job(tmp_path, spec))
    assert "    x: Omittable[Integer] = None" in text
    assert "    y: Integer = 3" in text


def test_a_default_that_fills_in_itself_is_not_filled_in(tmp_path: Path) -> None:
    inner = {"anyOf": [{"$ref": "#/$defs/Schema"}, {"type": "boolean"}], "default": {}}
    definitions = {"Schema": an_object(items=inner, of=TEXT | {"default": "a"})}
    spec = a_spec(an_object(x={"$ref": "#/$defs/Schema"}), **{"$defs": definitions})
    (line,) = findings(tmp_path, {"case.json": spec})
    assert line.endswith("/items/default would fill in itself again, endlessly, so it is not filled in")
    assert '    of: str = "a"' in render_models(job(tmp_path, spec))
