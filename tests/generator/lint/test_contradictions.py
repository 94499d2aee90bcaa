"""Schemas that allow nothing."""

# ruff: noqa: E501  # a case and its whole message stand on one line, like the rows of a table

from __future__ import annotations

from pathlib import Path

import pytest

from tests.generator.spec_projects import an_object

from .schemas import NUMBERS, TEXT, problems_of


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "minLength": 3, "maxLength": 2}, "/maxLength maxLength 2 is below minLength 3: nothing is allowed"),
        (TEXT | {"if": {"maxLength": 3, "minLength": 4}, "then": False}, "/if/maxLength maxLength 3 is below minLength 4: nothing is allowed"),
    ],
)  # fmt: skip
def test_bounds_of_a_text_leave_a_length(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "number", "minimum": 2, "maximum": 1}, "/maximum maximum 1 is below minimum 2: nothing is allowed"),
        ({"type": "number", "exclusiveMinimum": 2, "maximum": 1}, "/maximum maximum 1 is below exclusiveMinimum 2: nothing is allowed"),
        ({"type": "number", "exclusiveMinimum": 2, "maximum": 2}, "/maximum maximum 2 is not above exclusiveMinimum 2: nothing is allowed"),
        ({"type": "number", "minimum": 2, "exclusiveMaximum": 2.0}, "/exclusiveMaximum exclusiveMaximum 2.0 is not above minimum 2: nothing is allowed"),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, "/exclusiveMaximum no whole number is between exclusiveMinimum 2 and exclusiveMaximum 3: nothing is allowed"),
        ({"type": "number", "multipleOf": 0.5, "minimum": 0.1, "maximum": 0.4}, "/maximum no multiple of 0.5 is between minimum 0.1 and maximum 0.4: nothing is allowed"),
    ],
)  # fmt: skip
def test_bounds_of_a_number_leave_a_number(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "prefixItems": [TEXT], "items": False, "minItems": 2}, "/minItems minItems 2 is more than the 1 items that items: false allows"),
        (NUMBERS | {"contains": True, "minContains": 3, "maxItems": 2}, "/maxItems maxItems 2 is below the 3 items that contains asks for"),
    ],
)  # fmt: skip
def test_bounds_of_an_array_leave_a_number_of_items(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (an_object(a=TEXT) | {"minProperties": 2}, "/minProperties minProperties 2 is more than the 1 that there are"),
        (an_object(a=TEXT, b=TEXT) | {"required": ["a", "b"], "maxProperties": 1}, "/maxProperties maxProperties 1 is below the 2 that are required"),
    ],
)  # fmt: skip
def test_bounds_of_an_object_leave_a_number_of_properties(tmp_path: Path, schema: object, expected: str) -> None:
    assert problems_of(tmp_path, schema) == [expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (an_object(a=TEXT) | {"patternProperties": {"^x": TEXT}, "required": ["b"]}, '/required/0 requires "b", which additionalProperties forbids: nothing is allowed'),
        (an_object(subject=TEXT) | {"required": ["subjct"]}, '/required/0 requires "subjct", which additionalProperties forbids: nothing is allowed (did you mean "subject"?)'),
        (an_object(a=TEXT) | {"additionalProperties": True, "required": ["bc"], "propertyNames": {"maxLength": 1}}, '/required/0 propertyNames refuses "bc": must have at most 1 characters, not "bc"'),
        (an_object(ab=TEXT) | {"propertyNames": {"maxLength": 1}}, '/properties/ab propertyNames refuses "ab": must have at most 1 characters, not "ab"'),
    ],
)  # fmt: skip
def test_an_object_allows_the_properties_that_it_requires_or_lists(
    tmp_path: Path, schema: object, expected: str
) -> None:
    assert problems_of(tmp_path, schema) == [expected]
