"""Constraints that types cannot express are checked everywhere, in JSON as written and in Python values."""

# ruff: noqa: E501  # each type and its valid and invalid values are one line, like the rows of a table

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from server_jobs.contract.checked import Checked, CheckedModel
from server_jobs.contract.documents import is_checked, read_params, write_params
from server_jobs.contract.formats import DateTime, Json, Uuid
from server_jobs.contract.model import Exact, Integer, JobModel, JsonNumber, JsonTuple, Omittable, fresh
from server_jobs.errors import InvalidParamsError

UNIQUE = Checked('{"uniqueItems": true}')
STRICT = ConfigDict(strict=True)


class Range(CheckedModel, extra="forbid", checks='{"if": {"required": ["end"]}, "then": {"required": ["start"]}}'):
    start: Omittable[Integer] = None
    end: Omittable[Integer] = None
    inner: Omittable[Range] = None


class Cat(JobModel, extra="forbid"):
    kind: Literal["cat"]


class Dog(CheckedModel, extra="forbid", checks='{"required": ["name"]}'):
    kind: Literal["dog"]
    name: str = "Rex"


@pytest.mark.parametrize(
    ("annotation", "accepted", "refused"),
    [
        (Annotated[list[Integer], UNIQUE], ["[]", "[1, 2]"], ["[1, 1]", "[1, 1.0]", '["a"]']),
        (Annotated[list[Integer], UNIQUE] | Integer, ["[1]", "1"], ["[1, 1]"]),
        (dict[str, Annotated[list[Integer], UNIQUE]], ['{"a": [1]}'], ['{"a": [1, 1]}']),
        (Annotated[list[Annotated[tuple[str, DateTime], JsonTuple()]], UNIQUE], ['[["a", "2026-03-29T08:30:00Z"]]'], ["[[]]"]),
        (Annotated[list[Uuid], Checked('{"items": {"pattern": "^A"}}')], ["[]"], ['["a23e4567-e89b-12d3-a456-426614174000"]']),
        (Annotated[Json, Checked('{"not": {"type": "null"}}')], ["1", "[null]"], ["null"]),
        (Annotated[str | None, Checked('{"minLength": 2}')], ["null", '"ab"'], ['"a"', "1"]),
        (Range, ["{}", '{"start": 1, "end": 2}', '{"inner": {"start": 1}}'], ['{"end": 2}', '{"inner": {"inner": {"end": 1}}}']),
        (Annotated[Cat | Dog, Field(discriminator="kind")], ['{"kind": "cat"}', '{"kind": "dog", "name": "x"}'], ['{"kind": "dog"}']),
    ],
)  # fmt: skip
def test_a_check_works_at_every_place(annotation: Any, accepted: list[str], refused: list[str]) -> None:
    adapter = TypeAdapter[Any](annotation, config=None if annotation is Range else STRICT)
    for text in accepted:
        value = adapter.validate_json(text)
        assert adapter.validate_python(value) == value
    for text in refused:
        with pytest.raises(ValidationError):
            adapter.validate_json(text)


def test_values_built_in_python_are_validated_as_they_would_be_written() -> None:
    assert Range(start=1, end=2).end == 2
    with pytest.raises(ValidationError, match='lacks the property "start"'):
        Range(end=2)
    noon = datetime(2026, 3, 29, 12, tzinfo=UTC)
    adapter = TypeAdapter[Any](Annotated[list[DateTime], UNIQUE], config=STRICT)
    assert adapter.validate_python([noon]) == [noon]
    with pytest.raises(ValidationError, match="no two equal items"):
        adapter.validate_python([noon, noon])


def test_a_violation_has_its_place_and_shows_no_value() -> None:
    schema = '{"properties": {"a": {"items": {"maximum": 3}}}}'
    with pytest.raises(ValidationError) as caught:
        TypeAdapter[Any](Annotated[Json, Checked(schema)]).validate_json('{"a": [1, 4, 5]}')
    found = [(error["loc"], error["msg"]) for error in caught.value.errors()]
    assert found == [(("a", 1), "Input must be at most 3"), (("a", 2), "Input must be at most 3")]


def test_a_check_that_takes_too_long_refuses_the_value() -> None:
    schema = '{"$ref": "#/$defs/A"}'
    definitions = json.dumps({"A": {"oneOf": [{"items": {"$ref": "#/$defs/A"}}] * 2}})
    deep = "[" * 40 + "]" * 40
    with pytest.raises(ValidationError, match="takes too long to check"):
        TypeAdapter[Any](Annotated[Json, Checked(schema, definitions)]).validate_json(deep)


def test_checks_share_their_definitions() -> None:
    definitions = '{"Short": {"maxLength": 2}, "Same": {"$ref": "#/$defs/Short"}}'

    class Both(
        CheckedModel, checks='{"propertyNames": {"$ref": "#/$defs/Same"}}', definitions=definitions, extra="allow"
    ):
        a: Annotated[Json, Checked('{"$ref": "#/$defs/Short"}', definitions)]

    assert Both.model_validate_json('{"a": "ab", "b": "abc"}').model_dump() == {"a": "ab", "b": "abc"}
    for text in ('{"a": "abc"}', '{"a": "ab", "abc": 1}'):
        with pytest.raises(ValidationError):
            Both.model_validate_json(text)


class Few(CheckedModel, extra="forbid", checks='{"maxProperties": 1, "dependentRequired": {"level": ["name"]}}'):
    name: Omittable[str] = None
    level: Integer = 3
    note: str | None = None
    tags: list[str] = fresh(list)


@pytest.mark.parametrize("params", [{}, {"note": None}, {"name": "a"}])
def test_a_default_that_a_check_refuses_is_left_out_of_the_row(params: dict[str, object]) -> None:
    model, stored = write_params("Case", Few, params)
    assert json.loads(stored) == params
    assert read_params("Case", Few, stored) == model
    assert write_params("Case", Few, model)[1] == stored


def test_params_that_a_check_refuses_are_refused_before_they_are_stored() -> None:
    for params in ({"level": 3}, {"name": "a", "note": "b"}):
        with pytest.raises(InvalidParamsError):
            write_params("Case", Few, params)
    with pytest.raises(ValidationError):
        Few(name="a", note="b")


def test_a_value_that_is_to_be_hidden_is_not_in_the_message() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        write_params("Case", Range, {"end": 47110815}, redact=["/end"])
    assert "47110815" not in str(caught.value)
    with pytest.raises(InvalidParamsError) as caught:
        write_params("Case", Range, {"inner": {"end": 47110815}}, redact=["/inner/end"])
    assert "47110815" not in str(caught.value)


def test_a_schema_for_others_has_the_check() -> None:
    schema = TypeAdapter[Any](Annotated[list[Integer], UNIQUE]).json_schema()
    assert schema == {"allOf": [{"type": "array", "items": {"type": "integer"}}, {"uniqueItems": True}]}
    assert TypeAdapter[Any](Annotated[Literal[1, "a"], Exact()]).json_schema() == {"enum": [1, "a"]}
    assert TypeAdapter[Any](Annotated[float, Field(ge=0), JsonNumber()]).json_schema() == {
        "type": "number",
        "minimum": 0,
    }


def test_a_model_knows_whether_something_in_it_is_checked() -> None:
    class Plain(JobModel, extra="forbid"):
        cat: Omittable[Cat] = None

    class Extras(JobModel, extra="allow"):
        __pydantic_extra__: dict[str, Annotated[Json, UNIQUE]] = Field(init=False)

    class Holder(JobModel, extra="forbid"):
        pets: list[Cat | Dog] = fresh(list)

    for model in (Plain, Extras, Holder, Few):
        model()
    assert [is_checked(model) for model in (Plain, Extras, Holder, Few)] == [False, True, True, True]


def test_without_its_check_the_model_would_accept_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_jobs.contract.schemas.checker.Checker.fits", lambda self, value: True)
    assert Range(end=2)
