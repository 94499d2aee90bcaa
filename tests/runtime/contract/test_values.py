"""JSON text of a row comes back unchanged, or is rejected with a pointer."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_jobs.contract.values import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    at_pointer,
    canonical,
    check,
    encode,
    fingerprint,
    non_finite,
    pointer_to,
)

anytime = settings(deadline=None)

UNICODE = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | UNICODE
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(UNICODE, inner), max_leaves=20)
STRANGE_SCALARS = (
    SCALARS
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs"]))
    | st.sampled_from([b"bytes", {1}, date(2026, 1, 1), object(), 10**4000, 1j])
)
STRANGE = st.recursive(
    STRANGE_SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
    max_leaves=20,
)


def nested(depth: int) -> object:
    """Return a list nested to that depth."""
    value: object = []
    for _ in range(depth - 1):
        value = [value]
    return value


@anytime
@given(DOCUMENTS)
def test_a_json_value_comes_back_unchanged(value: object) -> None:
    text, problems = encode(value)
    assert problems == ()
    assert identical(json.loads(text), value)


@anytime
@given(STRANGE)
def test_any_value_comes_back_unchanged_or_is_refused(value: object) -> None:
    text, problems = encode(value)
    if problems:
        assert text == ""
        assert all(problem.message for problem in problems)
    else:
        assert identical(json.loads(text), value)
        assert "\0" not in text
        text.encode()


@anytime
@given(st.lists(UNICODE | st.integers(0, 3), max_size=5), st.sampled_from([float("nan"), "\0", "\ud800", 1j, 10**4000]))
def test_a_refusal_points_at_the_value_that_cannot_be_stored(path: list[str | int], bad: object) -> None:
    (problem,) = encode(placed(path, bad))[1]
    assert problem.pointer == pointer_to(path)
    assert at_pointer(placed(path, bad), problem.pointer) is bad


@anytime
@given(STRANGE)
def test_text_that_was_encoded_passes_the_check(value: object) -> None:
    text, problems = encode(value)
    assert problems or check(text) == ()


def test_all_problems_are_named_in_the_order_of_the_document() -> None:
    value = {"a": float("inf"), "b": [1, {"c": "\0"}], "d~/": "\udfff", "e": datetime(2026, 1, 1, tzinfo=UTC)}
    assert [str(problem) for problem in encode(value)[1]] == [
        "/a: is inf, which JSON cannot express",
        "/b/1/c: contains a NUL character, which not every database can store",
        "/d~0~1: contains a lone surrogate, which is not valid Unicode",
        "/e: is of type datetime; pass its isoformat(), or a model",
    ]


def test_the_refusal_of_a_number_or_array_of_another_library_says_how_to_convert_it() -> None:
    (problem,) = encode({"amounts": array("d", [1.5])})[1]
    assert str(problem) == "/amounts: is of type array; pass its tolist()"


def test_keys_that_are_no_strings_are_refused_since_json_would_change_them() -> None:
    (problem,) = encode({"ports": {80: "http", "80": "https"}})[1]
    assert str(problem) == "/ports: has the key 80; the keys of a JSON object are strings"


def test_a_key_that_cannot_be_stored_is_refused() -> None:
    assert [problem.pointer for problem in encode({"a": {"\0": 1}})[1]] == ["/a"]
    assert [problem.pointer for problem in encode({"a": {"\ud800": 1}})[1]] == ["/a"]


def test_every_mapping_is_an_object_and_every_tuple_an_array() -> None:
    frozen: Mapping[str, object] = MappingProxyType({"b": (1, 2)})
    assert encode({"a": frozen}) == ('{"a":{"b":[1,2]}}', ())


def test_a_document_of_exactly_the_greatest_size_is_stored_and_one_byte_more_is_refused() -> None:
    fits = "x" * (MAX_DOCUMENT_BYTES - 2)
    assert encode(fits)[1] == ()
    assert str(encode(fits + "x")[1][0]) == "(whole document): has 1,048,577 bytes; at most 1,048,576 are stored"


def test_size_is_counted_in_bytes() -> None:
    assert encode("ä" * (MAX_DOCUMENT_BYTES // 2))[1] != ()


def test_nesting_ends_at_the_limit() -> None:
    assert encode(nested(MAX_DEPTH))[1] == ()
    (problem,) = encode(nested(MAX_DEPTH + 1))[1]
    assert "more than 48 levels" in problem.message
    (problem,) = encode([nested(MAX_DEPTH), object()])[1][-1:]
    assert "is of type object" in problem.message


@pytest.mark.parametrize("depth", [500, 100_000])
def test_nesting_that_would_exhaust_the_stack_is_refused(depth: int) -> None:
    assert "more than 48 levels" in encode(nested(depth))[1][0].message
    assert "more than 48 levels" in check("[" * depth + "]" * depth)[0].message


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, object] = {}
    value["again"] = value
    (problem,) = encode(value)[1]
    assert problem.pointer == "/again/again/again/again/…"


def test_brackets_inside_strings_are_no_nesting() -> None:
    assert encode({"text": '[{"' * 1000})[1] == ()


def test_an_integer_may_have_four_thousand_digits() -> None:
    text, problems = encode([10**3999, -(10**3999)])
    assert problems == ()
    assert json.loads(text) == [10**3999, -(10**3999)]
    assert "more than 4,000 digits" in encode([10**4000])[1][0].message
    assert "more than 4,000 digits" in encode([10**5000])[1][0].message
    assert "more than 4,000 digits" in check("[" + "1" * 5000 + "]")[0].message


def test_digits_inside_strings_are_no_number() -> None:
    assert encode({"serial": "1" * 5000, 'quo"te': '\\"' + "2" * 5000})[1] == ()


def test_the_sign_of_zero_and_long_integers_are_kept() -> None:
    assert encode([-0.0, 2**63, 0.1]) == (f"[-0.0,{2**63},0.1]", ())


def test_only_numbers_that_are_not_finite_are_found() -> None:
    value = {"a": [1.0, float("-inf")], "b": {3: float("nan")}, "c": object()}
    assert [str(problem) for problem in non_finite(value)] == [
        "/a/1: is -inf, which JSON cannot express",
        "/b/3: is nan, which JSON cannot express",
    ]


@anytime
@given(st.dictionaries(UNICODE, SCALARS | st.lists(SCALARS), min_size=2))
def test_the_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@anytime
@given(DOCUMENTS, DOCUMENTS)
def test_fingerprints_differ_when_the_values_do(left: object, right: object) -> None:
    assert (fingerprint(left) == fingerprint(right)) == (canonical(left) == canonical(right))


@anytime
@given(st.lists(UNICODE | st.integers(0, 3), max_size=5), DOCUMENTS)
def test_a_pointer_leads_to_the_value_it_was_made_for(path: list[str | int], value: object) -> None:
    assert at_pointer(placed(path, value), pointer_to(path)) == value


@pytest.mark.parametrize("pointer", ["/x", "/list/2", "/list/-1", "/list/x", "/list/0/x", "/text/0"])
def test_a_pointer_to_nothing_gives_none(pointer: str) -> None:
    assert at_pointer({"list": [1, 2], "text": "abc"}, pointer) is None


def placed(path: list[str | int], value: object) -> object:
    """Return the smallest document with this value at that path."""
    for key in reversed(path):
        value = [None] * key + [value] if isinstance(key, int) else {key: value}
    return value


def identical(left: object, right: object) -> bool:
    """Return whether two values are equal as JSON: `1`, `1.0` and `true` differ, and zero has a sign."""
    return json.dumps(left, allow_nan=False) == json.dumps(right, allow_nan=False) and left == right
