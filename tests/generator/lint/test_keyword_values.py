"""The value of a keyword has the form that JSON Schema states."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.spec_projects import an_object

from .schemas import NUMBERS, TEXT, problems_of


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "minLength": -1}, "/minLength must be a whole number from 0, not -1"),
        ({"type": "string", "minLength": True}, "/minLength must be a whole number from 0, not true"),
        ({"type": "string", "pattern": 3}, "/pattern must be a regular expression, not 3"),
        ({"type": "string", "format": {}}, "/format must be a text, not {}"),
    ],
)  # fmt: skip
def test_a_text_has_a_length_a_pattern_and_a_format(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "pattern": "(?=a)"}, "/pattern the pattern \"(?=a)\" uses look-around ('(?='), which cannot be enforced in linear time; check that in the handler"),
        (TEXT | {"pattern": "\\p{IsAlpha}"}, '/pattern the pattern "\\\\p{IsAlpha}" has a class that does not exist: \\p{IsAlpha} is not known to ECMA-262; write \\p{Alpha}'),
        (TEXT | {"pattern": "[\\P{Greek}]"}, '/pattern the pattern "[\\\\P{Greek}]" has a class that does not exist: \\p{Greek} is not known to ECMA-262; for a script write \\p{Script=Greek}'),
        ({"type": "object", "patternProperties": {"(?=a)": TEXT}, "additionalProperties": False}, "/patternProperties/(?=a) the pattern \"(?=a)\" uses look-around ('(?='), which cannot be enforced in linear time; check that in the handler"),
    ],
)  # fmt: skip
def test_a_pattern_is_a_regular_expression_that_takes_linear_time(
    tmp_path: Path, schema: object, expected: str
) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "maximum": "1"}, '/maximum must be a number, not "1"'),
        ({"type": "integer", "maximum": 10**309}, "/maximum 10000000000000000000000000000000000000000000000000000000000… is outside the range of a double-precision number"),
        ({"type": "integer", "multipleOf": 0}, "/multipleOf must be a number above 0, not 0"),
        ({"type": "integer", "multipleOf": "2"}, '/multipleOf must be a number above 0, not "2"'),
    ],
)  # fmt: skip
def test_a_number_has_numbers_as_bounds(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "prefixItems": [], "items": False, "minItems": 0}, "/prefixItems must be a list of 1 to 1000 schemas"),
        (NUMBERS | {"uniqueItems": "yes"}, '/uniqueItems must be true or false, not "yes"'),
    ],
)  # fmt: skip
def test_an_array_has_a_list_of_items(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "additionalProperties": False, "properties": 3}, "/properties must be an object of named schemas, not 3"),
        ({"type": "object", "additionalProperties": 3}, "/additionalProperties must be a schema (an object, or true for any value), not 3"),
        (an_object(a=TEXT) | {"dependentSchemas": []}, "/dependentSchemas must be an object of named schemas, not []"),
    ],
)  # fmt: skip
def test_an_object_has_properties_with_schemas(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (an_object(a=TEXT) | {"required": "a"}, '/required must be a list of property names, not "a"'),
        (an_object(a=TEXT) | {"required": [1]}, "/required/0 must be the name of a property, not 1"),
        (an_object(a=TEXT) | {"required": ["a", "a"]}, 'warning: /required/1 "a" is listed twice'),
        (an_object(a=TEXT) | {"dependentRequired": ["a"]}, '/dependentRequired must be an object of lists of property names, not ["a"]'),
        (an_object(a=TEXT) | {"dependentRequired": {"a": "b"}}, '/dependentRequired/a must be a list of property names, not "b"'),
    ],
)  # fmt: skip
def test_required_lists_names_of_properties(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (an_object(**{"a-b": TEXT, "a_b": TEXT}), '/properties/a_b "a_b" and "a-b" are both a_b in Python; give one of them another name there: "x-python-name": "other_name"'),
        (an_object(**{"": TEXT}), '/properties/ the property "" gives no name for Python; state one: "x-python-name": "other_name"'),
    ],
)  # fmt: skip
def test_each_property_has_a_name_in_python(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": []}, "/enum must be a list of values, at least one, not []"),
        ({"enum": "a, b"}, '/enum must be a list of values, at least one, not "a, b"; write ["a", "b"]'),
        (TEXT | {"allOf": []}, "/allOf must be a list of 1 to 1000 schemas"),
        (TEXT | {"not": 3}, "/not must be a schema (an object, or true for any value), not 3"),
    ],
)  # fmt: skip
def test_a_choice_lists_values_or_schemas(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "title": 3}, "warning: /title must be a text, not 3; it is ignored"),
        ({"type": "string", "deprecated": "yes"}, 'warning: /deprecated must be true or false, not "yes"; it is ignored'),
        ({"type": "string", "examples": "a"}, 'warning: /examples must be a list of values, not "a"; it is ignored'),
    ],
)  # fmt: skip
def test_an_annotation_of_another_form_is_ignored(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": 3}, "/$ref must be a text, not 3"),
        (TEXT | {"$anchor": "a b"}, '/$anchor must be a name such as address, not "a b"'),
        ({"type": "string", "$defs": []}, "/$defs must be an object of named schemas, not []"),
    ],
)  # fmt: skip
def test_a_reference_names_a_schema(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]
