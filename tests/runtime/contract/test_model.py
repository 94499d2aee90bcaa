"""The base of generated models: strict JSON, absent is not null, JSON names outside and Python names inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast, get_args

import pytest
from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from server_jobs.contract.formats import Date, Json
from server_jobs.contract.model import Exact, Integer, JobModel, JsonInteger, JsonNumber, JsonTuple, Omittable, fresh


class Part(JobModel, extra="allow"):
    __pydantic_extra__: dict[str, int] = Field(init=False)
    name: str
    inner: Omittable[Part] = None


STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class Params(JobModel, extra="forbid"):
    message_id: Annotated[str, Field(alias="messageId", min_length=1)]
    reply_to: Annotated[Omittable[Annotated[str, Field(min_length=2)]], Field(alias="replyTo")] = None
    note: str | None = None
    part: Omittable[Part] = None
    tags: list[str] = fresh(lambda: ["new"])
    ratio: Omittable[float] = None
    anything: Json = None


def refused(text: str) -> str:
    """Return the place of a document's only error."""
    with pytest.raises(ValidationError) as caught:
        Params.model_validate_json(text)
    (error,) = caught.value.errors()
    return "/".join(map(str, error["loc"]))


def test_an_absent_property_is_none_in_python_and_absent_in_the_dump() -> None:
    params = Params.model_validate_json('{"messageId": "a"}')
    assert (params.reply_to, params.note, params.anything) == (None, None, None)
    assert json.loads(params.model_dump_json()) == {"messageId": "a", "tags": ["new"]}


@pytest.mark.parametrize("name", ["replyTo", "part", "ratio", "messageId", "tags"])
def test_null_is_refused_where_the_schema_does_not_allow_it(name: str) -> None:
    assert refused(json.dumps({"messageId": "a", name: None})) == name


def test_null_is_accepted_where_the_schema_allows_it() -> None:
    assert Params.model_validate_json('{"messageId": "a", "note": null}').note is None


def test_a_python_caller_may_say_none_for_absent() -> None:
    params = Params(message_id="a", reply_to=None, part=None)
    assert "replyTo" not in params.model_dump()
    assert "part" not in params.model_dump(mode="json")


def test_limits_apply_inside_an_omittable_property() -> None:
    assert refused('{"messageId": "a", "replyTo": "x"}') == "replyTo"


def test_json_knows_only_the_names_of_the_document() -> None:
    assert Params.model_validate_json('{"messageId": "a"}').message_id == "a"
    with pytest.raises(ValidationError) as caught:
        Params.model_validate_json('{"message_id": "a"}')
    assert {(error["loc"], error["type"]) for error in caught.value.errors()} == {
        (("messageId",), "missing"),
        (("message_id",), "extra_forbidden"),
    }


def test_an_additional_property_may_have_the_name_of_an_attribute() -> None:
    class Order(JobModel, extra="allow"):
        __pydantic_extra__: dict[str, int] = Field(init=False)
        order_id: Annotated[Omittable[str], Field(alias="orderId")] = None
        parts: Annotated[tuple[int, int], JsonTuple()] = (0, 0)

    text = '{"parts":[1,2],"order_id":3}'
    assert Order.model_validate_json(text).model_dump_json(exclude_unset=True) == text


def test_the_constructor_knows_both_names() -> None:
    make = cast("Callable[..., Params]", Params)
    assert make(messageId="a") == make(message_id="a")


def test_the_constructor_converts_nothing() -> None:
    with pytest.raises(ValidationError):
        Params(message_id=3)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValidationError):
        Params(message_id="a", ratio="0.5")  # type: ignore[arg-type]  # the point of the test


def test_a_dump_reads_back_as_the_same_model() -> None:
    params = Params(message_id="a", part=Part(name="p", inner=Part(name="q")), ratio=0.5, anything={"k": [1, None]})
    assert Params.model_validate_json(params.model_dump_json()) == params


@pytest.mark.parametrize(
    "document",
    [
        '{"messageId": 1}',
        '{"messageId": "a", "ratio": true}',
        '{"messageId": "a", "ratio": "1"}',
        '{"messageId": "a", "ratio": NaN}',
        '{"messageId": "a", "ratio": 1e400}',
        '{"messageId": "a", "anything": {"deep": [Infinity]}}',
        '{"messageId": "a", "anything": 1e400}',
        '{"messageId": "a", "tags": "abc"}',
        '{"messageId": "a", "unknown": 1}',
    ],
)
def test_json_is_read_strictly(document: str) -> None:
    refused(document)


def test_additional_properties_are_checked_and_kept() -> None:
    part = Part.model_validate_json('{"name": "a", "x": 1}')
    assert part.model_extra == {"x": 1}
    assert json.loads(part.model_dump_json()) == {"name": "a", "x": 1}
    with pytest.raises(ValidationError):
        Part.model_validate_json('{"name": "a", "x": "1"}')


def test_each_instance_has_its_own_defaults() -> None:
    first, second = (Params(message_id=text) for text in "ab")
    first.tags.append("changed")
    assert second.tags == ["new"]


@pytest.mark.parametrize(
    ("accepted", "refused"),
    [
        (Annotated[Literal[1, 2], Exact()], ["true", "1.5", "3", "3.0", '"1"', "null"]),
        (Annotated[Literal[0], Exact()], ["false", "0.5", "null"]),
        (Annotated[Literal[1, 100000000000000000000], Exact()], ["true", "2", "100000000000000000001", "1e21"]),
        (Annotated[Literal[True], Exact()], ["1", "1.0", "false"]),
        (Annotated[Literal[1, "a", None], Exact()], ["true", "1.5", '"b"', "false"]),
    ],
)
def test_exact_tells_numbers_from_booleans(accepted: Any, refused: list[str]) -> None:
    adapter = TypeAdapter[Any](accepted)
    for value in get_args(get_args(accepted)[0]):
        read = adapter.validate_json(json.dumps(value))
        assert (type(read), read) == (type(value), value)
    for text in refused:
        with pytest.raises(ValidationError, match="Input should be "):
            adapter.validate_json(text)


def test_exact_takes_whole_numbers_however_they_are_written() -> None:
    adapter = TypeAdapter[Any](Annotated[Literal[1, 100000000000000000000, "a"], Exact()])
    for text, value in (("1.0", 1), ("1e0", 1), ("1e20", 10**20)):
        read = adapter.validate_json(text)
        assert (type(read), read) == (int, value)


@pytest.mark.parametrize("text", ["1", "-9007199254740993", "1180591620717411303425", "0.1", "1.0", "1e300", "-0.0"])
def test_a_number_is_written_as_it_was_read(text: str) -> None:
    adapter = TypeAdapter[float](Annotated[float, Field(le=1e308, gt=-1e300), JsonNumber()], config=STRICT)
    read = adapter.validate_json(text)
    assert adapter.validate_python(read) == read
    assert json.loads(adapter.dump_json(read)) == json.loads(text)
    assert type(json.loads(adapter.dump_json(read))) is type(json.loads(text))


@pytest.mark.parametrize(
    ("limits", "accepted", "refused"),
    [
        ({"gt": 1.5}, ["2", "1.6"], ["1", "1.5"]),
        ({"ge": 1.5}, ["2", "1.5"], ["1", "1.4"]),
        ({"lt": 1.5}, ["1", "1.4"], ["2", "1.5"]),
        ({"le": 2**53}, ["9007199254740992", "1"], ["9007199254740993", "9007199254740994", "1e16"]),
    ],
)
def test_limits_of_a_number_apply_to_whole_numbers_and_others(
    limits: dict[str, Any], accepted: list[str], refused: list[str]
) -> None:
    adapter = TypeAdapter[float](Annotated[float, Field(**limits), JsonNumber()], config=STRICT)
    for text in accepted:
        assert adapter.validate_json(text) == json.loads(text)
    for text in (*refused, "true", '"2"', "null", "NaN"):
        with pytest.raises(ValidationError, match=r"Input should be a valid number, (greater|less) than") as caught:
            adapter.validate_json(text)
        assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.0", 1), ("1e2", 100), ("1180591620717411303425", 2**70 + 1), ("-0.0", 0), ("1e23", 10**23)],
)
def test_a_whole_number_is_an_integer_however_it_is_written(text: str, value: int) -> None:
    read = TypeAdapter(Integer).validate_json(text)
    assert (type(read), read) == (int, value)


@pytest.mark.parametrize("text", ["9007199254740993", "9007199254740994.0", "0", "0.0", "1.5", "true", '"1"', "null"])
def test_an_integer_outside_its_limits_is_refused_with_one_message(text: str) -> None:
    adapter = TypeAdapter(Annotated[int, Field(ge=1, le=2**53), JsonInteger()], config=STRICT)
    with pytest.raises(ValidationError, match="valid integer, greater than or equal to 1, less than") as caught:
        adapter.validate_json(text)
    assert caught.value.error_count() == 1


def test_python_says_a_whole_number_as_an_int() -> None:
    with pytest.raises(ValidationError, match="valid integer"):
        TypeAdapter(Integer).validate_python(1.0, strict=True)


def test_exact_and_omittable_reject_other_types() -> None:
    with pytest.raises(TypeError, match="belongs to a Literal"):
        TypeAdapter(Annotated[int, Exact()])
    with pytest.raises(TypeError, match="belongs to an int"):
        TypeAdapter(Annotated[str, JsonInteger()])
    with pytest.raises(TypeError, match="belongs to a float"):
        TypeAdapter(Annotated[str, JsonNumber()], config=STRICT)
    with pytest.raises(TypeError, match="not nullable itself"):
        TypeAdapter(Omittable[None])


def test_a_class_is_built_when_it_is_first_used() -> None:
    class Lazy(JobModel, extra="forbid"):
        day: Date

    assert not Lazy.__pydantic_complete__
    Lazy.model_validate_json('{"day": "2026-03-29"}')
    assert Lazy.__pydantic_complete__


def test_names_of_pydantic_are_free_for_properties() -> None:
    class Free(JobModel, extra="forbid"):
        model_name: str

    assert Free(model_name="x").model_dump_json() == '{"model_name":"x"}'


def test_python_names_are_accepted_by_a_model_with_a_validator_around_its_fields() -> None:
    """pydantic 2.11 and 2.12 forget there that names were asked for."""

    class Checked(JobModel):
        model_config = ConfigDict(extra="forbid")
        class_: str = Field(alias="class")

        @model_validator(mode="wrap")
        @classmethod
        def check(cls, value: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
            return handler(value)

    by_python_name: dict[str, Any] = {"class_": "a"}
    assert Checked(**by_python_name).class_ == "a"
    assert Checked(**{"class": "a"}).class_ == "a"
    with pytest.raises(ValidationError, match="class_"):
        Checked(**{"class": "a", "class_": "b"})
