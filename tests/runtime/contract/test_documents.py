"""Params and results are validated on every way in and out, and problems have a pointer."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_serializer
from server_jobs import InvalidDocumentError, InvalidParamsError, InvalidResultError, JobOptions
from server_jobs.contract.documents import (
    read_params,
    read_result,
    redacted,
    write_params,
    write_params_of_many,
    write_result,
)
from server_jobs.contract.job_keys import job_keys
from server_jobs.contract.model import JobModel, Omittable, fresh


class Address(JobModel):
    to: str
    reply_to: Annotated[Omittable[str], Field(alias="replyTo")] = None


class Circle(JobModel):
    kind: Literal["circle"]
    radius: float


class Square(JobModel):
    kind: Literal["square"]
    side: float


class Mail(JobModel):
    address: Address
    subject: str = "(none)"
    copies: list[Address] = Field(default_factory=list)
    shape: Annotated[Circle | Square, Field(discriminator="kind")] | None = None
    either: int | Address | None = None


class Loose(BaseModel):
    ratio: float | None = None
    at: datetime | None = None
    anything: Any = None


GOOD = {"address": {"to": "a@b.example"}}


REDACT = ("/address/to",)


def problems_of(params: object, redact: tuple[str, ...] = ()) -> list[str]:
    """Return the problems of a mail's params."""
    with pytest.raises(InvalidParamsError) as caught:
        write_params("SendMail", Mail, params, redact)
    return [str(problem) for problem in caught.value.problems]


def test_many_params_are_written_as_each_of_them() -> None:
    many: list[object] = [
        {**GOOD, "subject": "a", "copies": []},
        GOOD,
        {**GOOD, "subject": "NaN", "shape": {"kind": "circle", "radius": 1.5}},
        {**GOOD, "subject": "\x01" * 5_000},
        Mail(address=Address(to="é")),
    ]

    for some in (many, many[:1], many[:2], many * 50, many[:4] * 50):
        assert list(write_params_of_many("SendMail", Mail, some)) == [
            write_params("SendMail", Mail, one) for one in some
        ]


@pytest.mark.parametrize("subject", ["\0", "\ud800", "x" * 2**20, 5, float("nan")])
def test_one_of_many_params_that_does_not_fit_is_named(subject: object) -> None:
    many: list[object] = [{**GOOD, "subject": "a"} for _ in range(250)]
    many[203] = {**GOOD, "subject": subject}

    with pytest.raises(InvalidParamsError) as caught:
        list(write_params_of_many("SendMail", Mail, many))

    assert [one.pointer.partition("/subject")[0] for one in caught.value.problems] == ["/203"]


def test_stored_params_have_every_default_and_the_names_of_the_spec() -> None:
    model, text = write_params("SendMail", Mail, {"address": {"to": "a", "replyTo": "b"}})
    assert isinstance(model, Mail)
    assert model.address.reply_to == "b"
    assert json.loads(text) == {
        "address": {"to": "a", "replyTo": "b"},
        "subject": "(none)",
        "copies": [],
    }


def test_a_default_of_null_is_stored_like_every_default() -> None:
    class Null(JobModel):
        note: str | None = fresh(lambda: None)

    assert write_params("Job", Null, {})[1] == '{"note":null}'
    assert json.loads(write_params("Job", Loose, {})[1]) == {"ratio": None, "at": None, "anything": None}


class Node(JobModel):
    note: Annotated[str | None, Field(alias="aNote")] = None
    left: Node | None = None
    either: Circle | Node | None = None
    items: list[Node | None] = Field(default_factory=list)


@pytest.mark.parametrize(
    "document",
    [
        '{"items":[]}',
        '{"aNote":null,"items":[]}',
        '{"left":{"items":[]},"items":[{"items":[]},{"aNote":null,"items":[]},null]}',
        '{"left":null,"either":{"left":null,"items":[]},"items":[]}',
    ],
)
def test_absent_values_are_not_stored_and_given_nulls_are(document: str) -> None:
    given = json.loads(document)
    model, text = write_params("Job", Node, given)
    assert json.loads(text) == given
    assert json.loads(write_result("Job", Node, model)[1]) == given
    assert Node(**model.model_dump()).model_dump(by_alias=False) == model.model_dump(by_alias=False)


def test_a_null_that_python_says_is_stored() -> None:
    assert write_params("Job", Node, Node(note=None, items=[]))[1] == '{"aNote":null,"items":[]}'
    node = Node(items=[])
    node.left = None
    assert write_params("Job", Node, node)[1] == '{"left":null,"items":[]}'


def test_a_model_that_writes_itself_is_stored_as_it_says() -> None:
    class Own(JobModel):
        note: str | None = None

        @model_serializer
        def written(self) -> dict[str, str | None]:
            return {"note": self.note or "none"}

    assert write_params("Job", Own, Own())[1] == '{"note":"none"}'


def test_an_omitted_property_is_left_out_of_the_stored_text() -> None:
    assert "replyTo" not in write_params("SendMail", Mail, GOOD)[1]


def test_a_model_and_the_mapping_of_it_store_the_same_text() -> None:
    model = Mail(address=Address(to="a", reply_to="b"), subject="hello")
    mapping = {"address": {"to": "a", "replyTo": "b"}, "subject": "hello"}
    assert write_params("SendMail", Mail, model) == write_params("SendMail", Mail, mapping)


def test_a_written_plan_is_read_back() -> None:
    model, text = write_params("SendMail", Mail, GOOD)
    assert read_params("SendMail", Mail, text) == model


def test_a_model_of_another_class_is_validated_too() -> None:
    with pytest.raises(InvalidParamsError, match="/address: Field required"):
        write_params("SendMail", Mail, Loose())


def test_a_model_changed_after_it_was_checked_is_checked_again() -> None:
    model = Mail(address=Address(to="a"))
    model.subject = 5  # type: ignore[assignment]  # the mistake of the caller
    assert problems_of(model) == ["/subject: Input should be a valid string, got 5"]


def test_anything_but_a_model_or_a_mapping_is_refused() -> None:
    assert problems_of(["a"]) == ["(whole document): must be of type Mail or a mapping, not list"]


def test_the_error_names_the_job_the_part_and_every_problem() -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        write_params("SendMail", Mail, {"address": {"to": 1}, "subject": None})
    error = caught.value
    assert (error.job_name, error.part) == ("SendMail", "params")
    assert str(error) == (
        "params of SendMail do not fit its spec: /address/to: Input should be a valid string, got 1; "
        "/subject: Input should be a valid string, got null"
    )


def test_problems_point_into_lists_and_use_the_names_of_the_spec() -> None:
    params = {"address": {"to": "a", "replyTo": None}, "copies": [{"to": "a"}, {}]}
    assert problems_of(params) == [
        "/address/replyTo: Input should be a valid string, got null",
        "/copies/1/to: Field required",
    ]


def test_the_branches_of_a_union_are_no_part_of_the_pointer() -> None:
    assert problems_of(GOOD | {"shape": {"kind": "square"}}) == ["/shape/side: Field required"]
    assert problems_of(GOOD | {"shape": {"kind": "circle", "radius": "x"}}) == [
        '/shape/radius: Input should be a valid number, got "x"'
    ]
    assert {text.split(":")[0] for text in problems_of(GOOD | {"either": {}})} == {"/either", "/either/to"}


def test_python_names_are_unknown_in_a_document() -> None:
    _, text = write_params("SendMail", Mail, {"address": {"to": "a", "reply_to": "b"}})
    assert "reply_to" not in text


def test_a_long_value_is_cut() -> None:
    (problem,) = problems_of(GOOD | {"either": "x" * 100_000})[-1:]
    assert len(problem) < 200
    assert problem.endswith("…")


def test_a_value_that_json_cannot_express_is_refused_before_validation() -> None:
    assert problems_of({"address": {"to": "a\0"}}) == [
        "/address/to: contains a NUL character, which not every database can store"
    ]


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"address": {"to": "a", "token": "hunter2", "replyTo": "hunter2"}, "subject": 1}, "/subject"),
        ({"address": "hunter2"}, "/address"),
        ({"address": {"to": ["hunter2"]}}, "/address/to"),
    ],
)
def test_values_at_above_and_below_redacted_pointers_are_not_shown(params: object, pointer: str) -> None:
    (problem,) = problems_of(params, redact=("/address/to", "/address/replyTo"))
    assert problem.startswith(f"{pointer}: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize("place", range(40, 62))
def test_a_quoted_value_is_masked_before_it_is_truncated(place: int) -> None:
    (problem,) = problems_of(
        {"address": {"to": "hunter2-is-secret"}, "copies": "x" * place + "hunter2-is-secret"}, REDACT
    )
    assert problem.startswith("/copies: ")
    assert "hu" not in problem


class Quoting(BaseModel):
    secret: str
    other: str = ""

    @field_validator("secret")
    @classmethod
    def _refuse(cls, value: str) -> str:
        raise ValueError(f"{value} is no good")


@pytest.mark.parametrize("params", [{"secret": "hunter2"}, Quoting.model_construct(secret="hunter2")])
def test_neither_a_validator_nor_a_traceback_shows_a_redacted_value(params: object) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        write_params("Login", Quoting, params, redact=("/secret",))
    assert str(caught.value.problems[0]) == "/secret: does not fit its spec, got a value that is not shown"
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


class Unwritable(BaseModel):
    secret: str

    @field_serializer("secret")
    def _refuse(self, value: str) -> str:
        raise ValueError(f"{value} cannot be written")


def test_invalid_values_are_not_quoted_if_redacted() -> None:
    model = Unwritable(secret="hunter2")
    with pytest.raises(InvalidParamsError, match="cannot be written as JSON") as caught:
        write_params("Login", Unwritable, model, redact=("/secret",))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_without_redaction_the_error_of_pydantic_is_the_cause() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        write_params("Login", Quoting, {"secret": "x"})
    assert isinstance(caught.value.__cause__, ValidationError)


class Constants(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    ratio: float


@pytest.mark.parametrize("ratio", [float("nan"), float("inf"), float("-inf")])
def test_a_model_that_writes_nan_as_it_is_is_refused_too(ratio: float) -> None:
    with pytest.raises(InvalidParamsError, match=f"/ratio: is {ratio}, which JSON cannot express"):
        write_params("Measure", Constants, Constants(ratio=ratio))


def test_values_next_to_a_redacted_pointer_are_shown() -> None:
    (problem,) = problems_of({"address": {"to": 7}}, redact=("/address/token", "/address/too"))
    assert problem.endswith(", got 7")


def test_a_redacted_value_does_not_leak_from_text_that_is_not_json() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        read_params("SendMail", Mail, '{"address": {"to": "hunter2"}', redact=("/address/to",))
    assert "hunter2" not in str(caught.value)
    assert "Invalid JSON" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[1]", '{"address": {"to": NaN}}', "[" * 100_000, "\ud800"],
    ids=["empty", "cut", "null", "list", "nan", "deep", "surrogate"],
)
def test_text_in_a_row_that_is_no_such_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidParamsError):
        read_params("SendMail", Mail, text)
    with pytest.raises(InvalidResultError):
        read_result("SendMail", Mail, text)


def test_stored_json_is_read_strictly() -> None:
    with pytest.raises(InvalidParamsError, match="/subject: Input should be a valid string, got 5"):
        read_params("SendMail", Mail, '{"address": {"to": "a"}, "subject": 5}')


class Inner(JobModel, extra="forbid"):
    x: int = 0


class Disc(Circle, extra="forbid"):
    pass


class Outer(JobModel, extra="forbid"):
    """A spec of today; rows may have values of an earlier one."""

    inner: Inner | None = None
    items: list[Inner] = Field(default_factory=list)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | str = ""
    shape: Annotated[Disc | Square, Field(discriminator="kind")] | None = None


BEFORE = '{"x":1,"gone":[{"x":null}]}'
PASSED_OVER = {
    "at the top": ('{"gone":1}', Outer()),
    "below": (f'{{"inner":{BEFORE},"gone":{{}}}}', Outer(inner=Inner(x=1))),
    "in lists": (f'{{"items":[{BEFORE},{{}}]}}', Outer(items=[Inner(x=1), Inner()])),
    "in dicts": (f'{{"by_name":{{"gone":{BEFORE}}}}}', Outer(by_name={"gone": Inner(x=1)})),
}


@pytest.mark.parametrize("case", PASSED_OVER)
def test_a_property_that_left_the_spec_is_ignored_in_stored_rows(case: str) -> None:
    text, expected = PASSED_OVER[case]
    assert read_params("Job", Outer, text, redact=("/gone",)) == expected
    assert read_result("Job", Outer, text) == expected


@pytest.mark.parametrize("case", PASSED_OVER)
def test_no_such_property_is_written(case: str) -> None:
    params = json.loads(PASSED_OVER[case][0])
    with pytest.raises(InvalidParamsError, match="Extra inputs are not permitted"):
        write_params("Job", Outer, params)
    with pytest.raises(InvalidResultError, match="Extra inputs are not permitted"):
        write_result("Job", Outer, params)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"either":{BEFORE}}}',
        '{"shape":{"kind":"circle","radius":1,"gone":1,"circle":{"gone":1}}}',
        '{"inner":{"x":"1","gone":1}}',
        '{"gone":1,"items":[{"x":1},2]}',
    ],
)
def test_nothing_else_is_ignored(text: str) -> None:
    """A property in a branch of a union may be its tag; and an invalid value stays invalid."""
    with pytest.raises(InvalidParamsError):
        read_params("Job", Outer, text)


def test_values_of_an_open_object_are_kept_when_others_are_ignored() -> None:
    class Open(JobModel, extra="allow"):
        inner: Inner = Inner()

    read = read_params("Job", Open, '{"inner":{"gone":1},"kept":1.0}')
    assert read.model_dump() == {"inner": {"x": 0}, "kept": 1.0}


def test_a_result_is_a_model_or_a_mapping_that_fits() -> None:
    assert (
        write_result("SendMail", Mail, GOOD)[1]
        == write_result("SendMail", Mail, Mail(address=Address(to="a@b.example")))[1]
    )
    with pytest.raises(InvalidResultError, match="must be of type Mail or a mapping, not NoneType"):
        write_result("SendMail", Mail, None)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (Loose(ratio=float("nan")), "/ratio: is nan, which JSON cannot express"),
        (Loose(anything={"a": [1.0, float("-inf")]}), "/anything/a/1: is -inf, which JSON cannot express"),
        ({"ratio": float("inf")}, "/ratio: is inf, which JSON cannot express"),
        (Loose(anything={"k": "\ud800"}), "/anything/k: contains a lone surrogate, which is not valid Unicode"),
        (Loose(anything="a\0b"), "/anything: contains a NUL character, which not every database can store"),
        (Loose(anything="x" * 2**20), "(whole document): has 1,048,614 bytes; at most 1,048,576 are stored"),
    ],
)
def test_a_result_that_cannot_be_stored_is_refused_by_pointer(result: object, problem: str) -> None:
    with pytest.raises(InvalidResultError) as caught:
        write_result("Measure", Loose, result)
    assert [str(found) for found in caught.value.problems] == [problem]


@pytest.mark.parametrize("value", [object(), 10**5000, b"\xff"], ids=["object", "digits", "bytes"])
def test_a_model_that_cannot_be_written_as_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidResultError, match=r"cannot be written as JSON|digits"):
        write_result("Measure", Loose, Loose(anything=value))


def test_times_are_stored_as_text_and_read_as_times() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(microseconds=1)
    model, text = write_result("Measure", Loose, Loose(at=moment))
    assert '"2026-01-01T12:00:00.000001Z"' in text
    assert read_result("Measure", Loose, text) == model == Loose(at=moment)


def unique_key_of(job_name: str, text: str, pointers: list[str]) -> str:
    """Return the unique key of a job with these params."""
    key = job_keys(job_name, JobOptions(unique_by=tuple(pointers)), text).unique
    assert key is not None
    return key


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.lists(st.booleans(), max_size=2)), st.data())
def test_unique_keys_are_equal_exactly_when_the_values_at_their_pointers_are(
    document: dict[str, object], data: st.DataObject
) -> None:
    other = data.draw(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.lists(st.booleans(), max_size=2)))
    pointers = data.draw(st.lists(st.sampled_from(["/a", "/b"]), unique=True))
    keys = [unique_key_of("Job", json.dumps(params), pointers) for params in (document, other)]
    values = [[json.dumps(params.get(pointer[1:])) for pointer in pointers] for params in (document, other)]
    assert (keys[0] == keys[1]) == (values[0] == values[1])


def test_a_unique_key_belongs_to_its_job_and_depends_on_the_order_of_pointers_only() -> None:
    text, turned = '{"a": 1, "b": {"c": 2, "d": 3}}', '{"b": {"d": 3, "c": 2}, "a": 1}'
    assert unique_key_of("Send", text, ["/b", "/a"]) == unique_key_of("Send", turned, ["/b", "/a"])
    assert unique_key_of("Send", text, ["/a"]) != unique_key_of("Sent", text, ["/a"])
    assert unique_key_of("Send", text, ["/a"]).startswith("Send:")


@pytest.mark.parametrize(
    ("pointers", "shown"),
    [
        ([], '{"a":1,"b/~":[2,{"c":3}]}'),
        (["/a"], '{"a": "•••", "b/~": [2, {"c": 3}]}'),
        (["/b~1~0/1/c", "/b~1~0/0"], '{"a": 1, "b/~": ["•••", {"c": "•••"}]}'),
        (["/nothing", "/a/b", "/b~1~0/9"], '{"a": 1, "b/~": [2, {"c": 3}]}'),
        (["/b~1~0", "/b~1~0/0"], '{"a": 1, "b/~": "•••"}'),
        ([""], '"•••"'),
    ],
)
def test_redacted_text_hides_the_values_at_pointers(pointers: list[str], shown: str) -> None:
    assert redacted('{"a":1,"b/~":[2,{"c":3}]}', pointers) == shown


def test_text_that_is_not_json_is_hidden_as_a_whole() -> None:
    assert redacted('{"body": "hunter2"', ["/body"]) == '"•••"'
    assert redacted('{"body": "hunter2"', []) == '{"body": "hunter2"'
