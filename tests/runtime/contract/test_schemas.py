"""The decisions of JSON Schema follow its official tests exactly, with a reason, and in bounded time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from server_jobs.contract.schemas.checker import Checker, SchemaError
from server_jobs.contract.schemas.run import CheckTooLongError

from tests.suite import groups


def test_every_official_test_is_decided_rightly(record_property: Callable[[str, object], None]) -> None:
    decided, by_policy = 0, 0
    for group in groups("draft2020-12"):
        if group.refers_elsewhere:
            continue  # the generator resolves names and URIs
        checker = Checker(group.schema)
        for description, value, is_valid in group.tests:
            is_policy = group.is_about_annotations(description)
            assert checker.fits(value) == (is_valid and not is_policy), (group.file, group.title, description)
            assert (not checker.violations(value)) == checker.fits(value)
            decided, by_policy = decided + (not is_policy), by_policy + is_policy
    record_property("figure", f"{decided:,} official tests of 2020-12, {by_policy} where formats are enforced instead")
    assert decided > 1_880


@pytest.mark.parametrize(
    ("schema", "value", "path", "message"),
    [
        ({"type": ["integer", "null"]}, "a", (), "must be a whole number or null"),
        ({"const": {"a": [1]}}, {"a": [True]}, (), 'must be {"a": [1]}'),
        ({"multipleOf": 0.01}, 0.075, (), "must be a multiple of 0.01"),
        ({"items": {"minimum": 2}}, [2, 1], (1,), "must be at least 2"),
        ({"minLength": 2}, "a", (), "must have at least 2 characters"),
        ({"properties": {"a/b": {"maxItems": 1}}}, {"a/b": [1, 2]}, ("a/b",), "must have at most 1 items"),
        ({"additionalProperties": False}, {"x": 1}, ("x",), "is not allowed here"),
        ({"unevaluatedItems": False}, [1], (0,), "is not allowed here"),
        ({"uniqueItems": True}, [1e23, 10**23], (), "must have no two equal items"),
        ({"uniqueItems": True}, [1, 1.0], (), "must have no two equal items"),
        ({"required": ["a"]}, {}, (), 'lacks the property "a"'),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, (), 'lacks the property "b", which "a" requires'),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, ("ab",), "has a name that propertyNames does not allow"),
        ({"contains": {"const": 1}}, [2], (), "must have at least 1 items that fit `contains`"),
        ({"contains": {"const": 1}, "maxContains": 1}, [1, 1], (), "must have at most 1 items that fit `contains`"),
        ({"not": {"type": "null"}}, None, (), "fits the schema that `not` rules out"),
        ({"anyOf": [False, {"type": "null"}]}, 1, (), "fits none of the 2 branches of anyOf"),
        (
            {"oneOf": [{"minimum": 1}, {"maximum": 2}]},
            2,
            (),
            "fits the branches 0 and 1 of oneOf, but must fit exactly one",
        ),
        ({"oneOf": [False, False]}, 2, (), "fits none of the 2 branches of oneOf"),
        ({"if": {"minimum": 5}, "then": {"multipleOf": 5}}, 6, (), "must be a multiple of 5"),
        ({"pattern": "^a"}, "b", (), 'must match the pattern "^a"'),
        ({"format": "date"}, "b", (), "must be of the format date"),
        ({"contentEncoding": "base64"}, "?", (), "must be base64, with its padding"),
    ],
)
def test_violations_have_a_place_and_a_reason(
    schema: object, value: object, path: tuple[str | int, ...], message: str
) -> None:
    assert [(violation.path, violation.message) for violation in Checker(schema).violations(value)] == [(path, message)]


def test_every_problem_is_reported_at_once() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"allOf": [{"minimum": 3}, {"multipleOf": 2}]}}}
    assert [violation.path for violation in Checker(schema).violations({"a": 1, "b": 1})] == [("a",), ("b",), ("b",)]


def test_branches_that_are_only_tried_say_nothing() -> None:
    schema = {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"required": ["b"]}], "minProperties": 2}
    assert [violation.message for violation in Checker(schema).violations({"a": "x"})] == [
        "must have at least 2 properties"
    ]


def test_numbers_are_compared_as_they_are_written() -> None:
    cent = Checker({"multipleOf": 0.01})
    assert all(cent.fits(number / 100) for number in range(10_000))
    assert not cent.fits(0.1 + 0.2)
    assert Checker({"maximum": 2**53}).fits(2**53)
    assert not Checker({"maximum": 2**53}).fits(2**53 + 1)


def test_keywords_that_are_wrong_or_unknown_mean_nothing() -> None:
    wrong = {"minimum": "3", "type": 7, "pattern": "(?=a)", "anyOf": 3, "required": "a", "maxLength": None, "x": 1}
    assert Checker(wrong).fits("abc")


def test_a_reference_that_leads_nowhere_is_an_error_when_it_is_followed() -> None:
    checker = Checker({"properties": {"a": {"$ref": "#/$defs/None"}}})
    assert checker.fits({})
    with pytest.raises(SchemaError, match="#/\\$defs/None"):
        checker.fits({"a": 1})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#"}, 1),
        ({"oneOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}, 1),
        ({"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2, "maxProperties": 1}, "bomb"),
        ({"items": {"pattern": "(?:a{100}){90}b"}}, ["a" * 200_000] * 10),
    ],
)
def test_a_schema_or_a_value_that_would_take_too_long_is_given_up(schema: object, value: object) -> None:
    deep: object = 1 if value == 1 else {}
    for _ in range(40):
        deep = [deep] if value == 1 else {"a": deep}
    checker = Checker(schema, most_steps=100_000)
    with pytest.raises(CheckTooLongError):
        checker.fits(value if isinstance(value, list) else deep)
