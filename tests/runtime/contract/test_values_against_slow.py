"""The scans of JSON text reject exactly the values that a full walk rejects, and are fast for every document."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from server_jobs.contract import json_scan, values
from server_jobs.contract.documents import write_params
from server_jobs.contract.json_scan import JsonScan
from server_jobs.contract.values import MAX_DEPTH, MAX_DOCUMENT_BYTES, check, encode, encode_plain, in_parts

from tests.measuring import assert_cpu_seconds
from tests.runtime.contract import slow_values
from tests.runtime.contract.test_values import STRANGE, identical, nested

# The usual examples are the same in each run, so more of them find nothing new.
thorough = settings(deadline=None, max_examples=300 if os.environ.get("SERVER_JOBS_EXPLORE") else 100)

FEW_LEVELS, FEW_DIGITS = 3, 5


@pytest.fixture(scope="module", autouse=True)
def small_limits() -> Iterator[None]:
    """Set limits that small documents reach."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (values, slow_values):
            patch.setattr(module, "MAX_DEPTH", FEW_LEVELS)
            patch.setattr(module, "MAX_INTEGER_DIGITS", FEW_DIGITS)
        patch.setattr(values, "_TOO_LONG", 10**FEW_DIGITS)
        patch.setattr(values, "_AT_ONCE", 3)
        yield


PIECES = st.sampled_from(
    [
        *("a", " ", "é", "\N{PILE OF POO}", "[", "]", "{", "}", ",", ":", "123456789", ".", "e", "-", "\x7f"),
        *(
            r"\\",
            r"\"",
            r"\/",
            r"\n",
            r"\u0000",
            r"\u0001",
            r"\u00e9",
            r"\uD83D",
            r"\ude00",
            r"\ud83d\uDE00",
            "u0000",
            "ud800",
        ),
    ]
)
STRINGS = st.lists(PIECES, max_size=6).map(lambda pieces: f'"{"".join(pieces)}"')
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,7})(\.[0-9]{1,7})?([eE][-+]?[0-9]{1,8})?", fullmatch=True)
BLANKS = st.sampled_from(["", "", " ", "\n\t"])


def _array(items: list[str], blank: str) -> str:
    return f"[{blank}{f',{blank}'.join(items)}]"


def _object(items: list[tuple[str, str]], blank: str) -> str:
    return f"{{{blank}{f'{blank},'.join(f'{key}{blank}:{blank}{value}' for key, value in items)}}}"


def _key_of(item: tuple[str, str]) -> object:
    """Return the key as it is read: of a duplicate key, the walk sees only the last value."""
    return json.loads(item[0])


TEXTS = st.recursive(
    STRINGS | NUMBERS | st.sampled_from(["true", "false", "null", "NaN", "-Infinity"]),
    lambda inner: (
        st.builds(_array, st.lists(inner, max_size=4), BLANKS)
        | st.builds(_object, st.lists(st.tuples(STRINGS, inner), max_size=4, unique_by=_key_of), BLANKS)
    ),
    max_leaves=25,
)


@thorough
@given(TEXTS)
@example('"' + "\\\\" * 3 + '\\u0000"')
@example('"' + "\\\\" * 3 + 'u0000"')
@example('["\\ud83d\\\\\\ude00"]')
@example("[[[1]]]")
@example("[[[[1]]]]")
@example('[[["]]]]",[1]]]')
@example("123456")
@example("-123456")
@example("[0.123456,1e123456,1e-123456,1E+123456,123456.5,123456e1]")
@example('["x\\"",123456]')
@example('["é",1e400]')
@example("[1" + "0" * 250 + "e99,NaN]")
@example("[1" + "0" * 400 + ".5]")
def test_a_text_is_refused_by_the_scan_as_by_the_walk(text: str) -> None:
    assert check(text) == slow_values.check(text)


@thorough
@given(STRANGE)
@example([1, float("nan"), "NaN"])
@example(["Infinity", 1.5])
@example([{"a": (1, [2])}])
@example([{1: 2}] * 10)
@example([[[{"a": "\0"}]]])
def test_a_value_is_encoded_as_by_the_walk(value: object) -> None:
    text, problems = encode(value)
    slow_text, slow_problems = slow_values.encode(value)

    assert problems == slow_problems
    assert text == slow_text or identical(json.loads(text), json.loads(slow_text))


@thorough
@given(st.lists(STRANGE, max_size=4))
@example([{"a": 1}, {"a": "\0"}])
@example([{"a": 1}, {"a": "\ud800"}])
@example([{"a": 1}, {"a": 123456}])
@example([{"a": 1.5}, {"a": float("inf")}])
@example([{"a": 1.5}, {"a": "NaN"}])
@example([{"a": 1}, {"a": [[[[1]]]]}])
def test_plain_values_are_encoded_as_all_others(given_values: list[object]) -> None:
    for part, kinds in in_parts(given_values):
        for value in part:
            plain = None if kinds is None else encode_plain(value, kinds)
            text, problems = encode(value, kinds)

            assert plain is None or (plain[0].decode(), plain[1], problems) == (text, text, ())
            assert plain is not None or kinds is None or problems or "NaN" in text or "Infinity" in text


@thorough
@given(st.lists(st.sampled_from(("[", "]", "[" * 15, "]" * 15)), max_size=80).map("".join), st.integers(0, 100))
def test_the_depth_is_that_of_a_count_bracket_by_bracket(brackets: str, most: int) -> None:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket == "[" else -1
        deepest = max(deepest, depth)

    assert JsonScan(brackets.encode()).is_deeper_than(most) == (deepest > most)
    assert deepest == 0 or JsonScan(brackets.encode()).is_deeper_than(deepest - 1)
    assert not JsonScan(brackets.encode()).is_deeper_than(deepest)


@pytest.mark.parametrize(
    ("scan", "instead", "text"),
    [
        ("is_deeper_than", False, "[[[[1]]]]"),
        ("has_unstorable_escape", False, '"\\u0000"'),
        ("has_unstorable_escape", False, '"\\ud800\\u0041"'),
        ("long_numbers", (), "123456"),
        ("may_have_large_exponent", False, '["\\u0001",1e400]'),
    ],
)
def test_without_one_of_the_scans_a_text_would_be_stored(
    scan: str, instead: object, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(text) != ()

    monkeypatch.setattr(JsonScan, scan, lambda *_: instead)
    assert check(text) == ()


@pytest.mark.parametrize(
    "inner",
    [b"bytes", {1}, (1, b"x"), {1: 2}, object(), float("nan"), range(2), "\ud800", "a\0b", {"a\0": 1}],
    ids=lambda inner: type(inner).__name__,
)
@pytest.mark.parametrize("size", [0, 2000])
def test_one_value_that_is_no_json_is_found_among_thousands(inner: object, size: int) -> None:
    holders: list[list[object]] = [[*[0] * size, inner], [*[[]] * size, [inner]], [*[{"a": 1}] * size, {"a": inner}]]
    for holder in holders:
        assert encode(holder) == slow_values.encode(holder)
        assert encode({"list": holder})[1] != ()


# --- what it costs ----------------------------------------------------------------------------------------------------

MEBIBYTE = MAX_DOCUMENT_BYTES - 300


def _repeated(value: object, size: int) -> list[object]:
    return [value] * (size // (len(json.dumps(value, separators=(",", ":"))) + 1))


DOCUMENTS: dict[str, Callable[[int], object]] = {
    "digits": lambda size: [number % 10 for number in range(size // 2)],
    "integers": lambda size: [10**17 + number for number in range(size // 19)],
    "hexadecimal text": lambda size: ["3e100f8a9b"] * (size // 13),
    "long integers": lambda size: [10**3990 + number for number in range(size // 3992)],
    "floats": lambda size: [number + 0.25 for number in range(size // 10)],
    "text": lambda size: "lorem ipsum dolor sit amet " * (size // 27),
    "text of digits": lambda size: "1234567890" * (size // 10),
    "texts of digits": lambda size: ["7" * 4500] * (size // 4503),
    "text beyond ASCII": lambda size: "é" * (size // 2),
    "short texts": lambda size: ["ab"] * (size // 5),
    "escapes": lambda size: '"\n' * (size // 4),
    "control characters": lambda size: "\x01" * (size // 6),
    "backslashes": lambda size: "\\" * (size // 2),
    "escapes of escapes": lambda size: "\\u0000\\ud800" * (size // 14),
    "brackets in text": lambda size: '[{"' * (size // 4),
    "short texts of brackets": lambda size: ["["] * (size // 4),
    "small keys": lambda size: {f"{number:06}": 1 for number in range(size // 11)},
    "objects": lambda size: _repeated({"id": 1, "name": "x", "ok": True, "none": None}, size),
    "nulls": lambda size: [None] * (size // 5),
    "empty lists": lambda size: _repeated([], size),
    "deep lists": lambda size: _repeated(nested(MAX_DEPTH - 1), size),
    "nested lists": lambda size: _repeated(nested(8), size),
    "deep objects": lambda size: _repeated(json.loads('{"a":' * 40 + "1" + "}" * 40), size),
}


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of this thread, the least of three runs."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        call()
        best = min(best, time.thread_time() - began)
    return best


@pytest.fixture
def real_limits() -> Iterator[None]:
    """Restore the limits that users have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "MAX_DEPTH", 48)
        patch.setattr(values, "MAX_INTEGER_DIGITS", 4000)
        patch.setattr(values, "_TOO_LONG", 10**4000)
        patch.setattr(values, "_AT_ONCE", 1000)
        yield


@pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_of_a_mebibyte_is_checked_in_15_milliseconds(
    make: Callable[[int], object], real_limits: None
) -> None:
    text, problems = encode(make(MEBIBYTE))
    assert problems == ()
    assert len(text) > MEBIBYTE // 3

    # A walk over the values takes 30 ms to 11 s.
    assert_cpu_seconds(cpu_seconds(lambda: check(text)), 0.045)


class Nullable(BaseModel):
    """Params with many places for NaN."""

    values: list[float | None]


def test_a_model_with_many_nulls_is_written_without_a_walk(real_limits: None) -> None:
    params = Nullable(values=[None] * 200_000)
    own = cpu_seconds(lambda: Nullable.model_validate_json(params.model_dump_json()))

    assert_cpu_seconds(cpu_seconds(lambda: write_params("Job", Nullable, params)) - own, 0.060)


def test_the_tables_of_the_scan_say_how_sixteen_brackets_move() -> None:
    net, peak = json_scan._net_and_peak()

    words = [0x0000, 0x5555, 0xFFFF, 0xFF00, 0x00FF, 0x8000]
    assert [(net[word], peak[word]) for word in words] == [(16, 16), (0, 1), (-16, 0), (0, 0), (0, 8), (14, 14)]
