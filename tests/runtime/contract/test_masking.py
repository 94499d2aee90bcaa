"""Masks of redacted params: what they find, and what they cost."""

from __future__ import annotations

import html
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import FrameType
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from server_jobs.contract.masking import MOST_VALUES, masked_value, masking
from server_jobs.domain.tracebacks import HIDDEN, unmasked

from tests.measuring import assert_cpu_seconds

SECRET = 'sk-live-51Hx/ä€ "it\'s" & <b>\\n\nnext line'

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON with other letters": lambda text: json.dumps(text, ensure_ascii=False),
    "a URL": lambda text: quote(text, safe=""),
    "a path": quote,
    "a form": quote_plus,
    "HTML": html.escape,
    "a list": lambda text: repr([text, text]),
    "a URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON in repr": lambda text: repr(json.dumps({"a": text})),
    "JSON with other letters in repr": lambda text: repr(json.dumps({"a": text}, ensure_ascii=False)),
    "a body": lambda text: repr(json.dumps({"a": text}).encode()),
    "a body with other letters": lambda text: repr(json.dumps({"a": text}, ensure_ascii=False).encode()),
    "JSON in JSON": lambda text: json.dumps(json.dumps([text])),
    "JSON with other letters in JSON": lambda text: json.dumps(
        json.dumps([text], ensure_ascii=False), ensure_ascii=False
    ),
}


def mask_of(value: object) -> Callable[[str], str]:
    return masking(json.dumps({"shown": "a text", "hidden": value}), ("/hidden",))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_masked(spelling: str) -> None:
    written = SPELLINGS[spelling](SECRET)
    shown = mask_of(SECRET)(f"before {written} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    for part in ("live", "Hx", "next", "line"):
        assert part not in shown


LETTERS = st.characters(exclude_categories=["Cs"])


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    secrets=st.lists(st.text(LETTERS, min_size=4, max_size=40).filter(str.strip), min_size=1, max_size=5),
    spelling=st.sampled_from(sorted(SPELLINGS)),
    before=st.text("abc xyz=.'\"", max_size=9),
)
@example(secrets=["aaaa", "aaaaaaa", "aaaaaaaaaaaaaaaa"], spelling="as it is", before="aaa")
@example(secrets=["\"'\"'"], spelling="repr", before="")
@example(secrets=["0000\ufffd\x85"], spelling="bytes", before="x")
@example(secrets=["00'\x80"], spelling="bytes", before="")
def test_no_secret_is_left_in_any_spelling(secrets: list[str], spelling: str, before: str) -> None:
    spell = SPELLINGS[spelling]
    shown = mask_of(secrets)(before + spell(secrets[0]) + before)
    for secret in secrets:
        written = spell(secret)
        assert secret not in shown
        assert written not in shown


@pytest.mark.parametrize("secret", ["abcd", "a-secret", "a-longer-secret-value", "€uro-secret"])
def test_a_secret_is_found_at_every_position(secret: str) -> None:
    mask = mask_of(secret)
    for length in [*range(9), *range(4_080, 4_110), *range(8_180, 8_200), 20_001]:
        assert mask("x" * length + secret + "x") == "x" * length + HIDDEN + "x"


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("abc", "abc, abcd and xabc", "•••, abcd and xabc"),  # a short value is a word
        (42, "line 42 of 421", "line ••• of 421"),
        (-7, "got -7, not 7", "got -•••, not 7"),
        (1.5, "got 1.5", "got •••"),
        ("1234", "x12345", "x•••5"),
        (12345.0, "got 12345, not 12345.0", "got •••, not •••"),
        (" key-of-ada ", "no 'key-of-ada'", "no '•••'"),
        ({"a": [{"b": "deep value"}]}, "no deep value", "no •••"),
        ({"ada@example.com": 1}, "no ada@example.com", "no •••"),  # a key that is no name
        ({"address": "x"}, "no address", "no address"),
        (True, "True and true", "True and true"),
        ("", "nothing", "nothing"),
        ("    ", "an    indent", "an    indent"),
        (["one-value", "one-value-more"], "one-value-more one-value", "••• •••"),
        ("first line\nsecond line", "  | second line", "  | •••"),
        ("a secret of many words", "a secret of many: cut", "•••: cut"),
        ("a secret of many words", "…of many words", "…•••"),
        ("a secret of many words", "of many words", "of many words"),  # could be any words
    ],
)
def test_what_is_masked(value: object, text: str, shown: str) -> None:
    assert mask_of(value)(text) == shown


def test_a_text_without_secrets_is_the_same() -> None:
    text = "ValueError: SMTP 550, mailbox unavailable…"
    assert mask_of("a-secret-value")(text) is text
    assert masking('{"a": "x"}', ()) is unmasked


def test_a_long_value_is_masked_as_a_whole() -> None:
    value = "".join(f"{number:x}-" for number in range(150_000))
    assert mask_of(value)(f"bad {value} at the end") == f"bad {HIDDEN} at the end"
    escaped = "é" + value
    assert mask_of(escaped)(f"bad {json.dumps(escaped)} at the end") == f'bad "{HIDDEN}'  # the rest is not searched


def test_a_long_text_is_truncated_behind_its_secrets() -> None:
    shown = mask_of("a-secret-value")("a-secret-value " + "x" * 200_000 + "a-secret-value")
    assert shown.startswith("••• xxx")
    assert shown.endswith("x…")
    assert len(shown) <= 64 * 1024 + 1


@pytest.mark.parametrize("value", [["one value"] * MOST_VALUES, "line\n" * MOST_VALUES, [[]] * 30_000])
def test_a_text_is_hidden_if_there_are_too_many_values(value: object) -> None:
    assert mask_of(value)("any text") == HIDDEN
    assert masking("no JSON", ("/hidden",))("any text") == HIDDEN


def test_many_values_are_searched() -> None:
    values = [f"value number {number}" for number in range(MOST_VALUES - 10)]
    assert mask_of(values)("no value number 1234, but 7") == "no •••, but 7"


def test_a_text_with_very_many_secrets_is_hidden_from_some_place_on() -> None:
    shown = mask_of("a-secret-value")("a-secret-value,x," * 10_000)
    assert "secret" not in shown
    assert "x," in shown
    assert shown.endswith(HIDDEN)


def test_values_of_other_types_are_masked() -> None:
    class Shown:
        def __str__(self) -> str:
            return "Shown(my-secret)"

    class ShownInLists:
        def __str__(self) -> str:
            return "Shown"

        def __repr__(self) -> str:
            return "Shown(my-secret)"

    data = {"my-secret": ["my-secret", {"pin": 1234}], "other": (1, None, True), "objects": [Shown(), ShownInLists()]}
    assert masked_value(data, mask_of(["my-secret", 1234])) == {
        HIDDEN: [HIDDEN, {"pin": HIDDEN}],
        "other": [1, None, True],
        "objects": [f"Shown({HIDDEN})", "Shown"],
    }


MANY = [f"shared-beginning-of-all-{number:06}" for number in range(30_000)]
TEXT = "".join(f"the {number} words, " for number in range(60_000))
COSTS: dict[str, tuple[object, str]] = {
    "one value in its error": (TEXT, f"bad {TEXT}"),
    "one value, escaped": (f"é{TEXT}", repr(f"é{TEXT}")),
    "one value and another text": ("a-secret-value", TEXT),
    "a thousand texts": ([TEXT[start : start + 900] for start in range(0, 900_000, 900)], TEXT),
    "values with a common beginning": (MANY, " ".join(MANY)),
    "two thousand of them": (MANY[:1_990], " ".join(MANY)),
    "letters": (list("abcdefgh") * 30_000, TEXT),
    "one letter again and again": (["a" * length for length in range(1, 1_400)], "a" * 1_000_000),
    "almost a match everywhere": (["aaaab", "a" * 12 + "b"], "a" * 1_000_000),
    "digits": (list(range(1_900)), TEXT),
    "objects": ({f"key {number}": {"a": [number]} for number in range(40_000)}, TEXT),
    "empty lists": ([[]] * 300_000, TEXT),
    "lines": ("a line of text\n" * 60_000, TEXT),
    "commas": ("1,2,3," * 150_000, TEXT),
}


@pytest.mark.parametrize("case", COSTS)
def test_the_cost_depends_on_the_size_only(case: str) -> None:
    """The aim is 5 ms of CPU per MB of params and text."""
    value, text = COSTS[case]
    params = json.dumps({"hidden": value}, separators=(",", ":"))
    megabytes = (len(params) + len(text)) / 1e6
    best = min(_seconds(lambda: masking(params, ("/hidden",))(text)) for _ in range(5))
    assert_cpu_seconds(best / megabytes, 0.015)
    calls = _calls(lambda: masking(params, ("/hidden",))(text))
    assert calls < 80_000  # for any size
    tracemalloc.start()
    try:
        masking(params, ("/hidden",))(text)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000 * megabytes
    finally:
        tracemalloc.stop()


def test_nothing_is_computed_before_the_first_text() -> None:
    params = json.dumps({"hidden": TEXT})
    assert _calls(lambda: masking(params, ("/hidden",))) < 10


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _calls(call: Callable[[], object]) -> int:
    """Return the number of calls of functions, also of those in C."""
    count = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count
