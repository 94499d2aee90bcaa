"""A schema states its type."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from .schemas import TEXT, problems_of


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (3, " must be a schema (an object, or true for any value), not 3"),
        ("string", ' must be a schema (an object, or true for any value), not "string"; write {"type": "string"}'),
    ],
)  # fmt: skip
def test_a_schema_is_an_object_or_true(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "strng"}, '/type "strng" is not a JSON Schema type (did you mean "string"?)'),
        ({"type": "foo"}, '/type "foo" is not a JSON Schema type; use string, integer, number, boolean, null, object or array'),
        ({"type": None}, '/type null is not a JSON Schema type; write "null"'),
        ({"type": "Float"}, '/type "Float" is not a JSON Schema type; write "number"'),
        ({"type": "date"}, '/type "date" is not a JSON Schema type; write "string" with "format": "date"'),
        ({"type": ["string", "nul"]}, '/type/1 "nul" is not a JSON Schema type (did you mean "null"?)'),
        ({"type": ["null", "null"]}, "warning: /type must list different types, at least one"),
        ({"type": []}, "/type must list different types, at least one"),
        ({"anyOf": [TEXT, {"type": "nul"}]}, '/anyOf/1/type "nul" is not a JSON Schema type (did you mean "null"?)'),
    ],
)  # fmt: skip
def test_a_type_is_one_of_json_schema(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"description": "x"}, "warning:  a schema must state its type, or use $ref, enum, const, anyOf or oneOf; true allows any value"),
        ({"minLength": 3}, 'warning:  a schema must state its type; add "type": "string"'),
        ({"properties": {}}, 'warning:  a schema must state its type; add "type": "object"'),
        ({"type": "object", "patternProperties": {"a": {"minLength": 3}}, "additionalProperties": False}, 'warning: /patternProperties/a a schema must state its type; add "type": "string"'),
    ],
)  # fmt: skip
def test_a_schema_states_its_type(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, "warning:  an object must state additionalProperties: false to refuse properties that are not listed, or true"),
        ({"type": ["object", "null"]}, "warning:  an object must state additionalProperties: false to refuse properties that are not listed, or true"),
        ({"type": "array"}, "warning:  an array must state items: the schema of each item, or true for any value"),
    ],
)  # fmt: skip
def test_an_object_states_whether_it_is_open_and_an_array_its_items(
    tmp_path: Path, schema: object, expected: str
) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": False, "properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {"type": "integer", "not": {"multipleOf": 2}, "if": {"minimum": 3}, "then": {"maximum": 5}, "else": {"minimum": 0}},
        {"allOf": [TEXT, {"minLength": 3}]},
        {"type": "object", "$ref": "#/properties/result"},
        {"type": "object", "unevaluatedProperties": False, "properties": {"a": TEXT}, "dependentSchemas": {"a": {"properties": {"b": {"minLength": 2}}}}},
        {"type": "array", "items": TEXT, "contains": {"pattern": "^a"}},
        {"type": "object", "additionalProperties": True, "required": ["any"], "propertyNames": {"maxLength": 3}},
        {"const": {"a": [1.5]}},
    ],
)  # fmt: skip
def test_a_schema_that_only_adds_to_another_need_not_say_it_all_again(tmp_path: Path, schema: object) -> None:
    assert problems_of(tmp_path, schema) == []
