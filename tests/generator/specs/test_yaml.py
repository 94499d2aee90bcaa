"""YAML is read as JSON in other words: every value has its place, and a surprise is a problem."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs_generator.read import document as reader
from server_jobs_generator.read.document import MAX_NODES, Document, read_document

from tests.slow import slow


def read(text: str) -> tuple[Document | None, list[str]]:
    reading = read_document("specs/x.yaml", text.encode())
    return reading.document, [problem.text for problem in reading.problems]


def value_of(text: str) -> JsonValue:
    document, problems = read(text)
    assert problems == []
    assert document is not None
    return document.value


def test_every_key_and_value_has_its_place() -> None:
    document, problems = read('# \N{GRINNING FACE}\na: [1,\n    {"é": true}]\n"b" :\n  - c: |\n      text\n')
    assert problems == []
    assert document is not None
    assert document.count == 8
    assert document.place(()) == (2, 1)
    assert document.place(("a",)) == (2, 4)
    assert document.place(("a",), at_key=True) == (2, 1)
    assert document.place(("a", 1, "é")) == (3, 11)
    assert document.place(("b", 0, "c"), at_key=True) == (5, 5)
    assert document.place(("b", 0, "c")) == (5, 8)
    assert document.place(("b", 0, "unknown")) == (5, 5)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(
            (word, word)
            for word in ("yes", "no", "on", "off", "y", "2026-11-29", "12:30", "1_000", "0b1", "=", "1.2.3")
        ),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        ("1", 1),
        ("-0.5e3", -500.0),
        ('"1"', "1"),
        ("'no'", "no"),
        (r'"\ud83d\ude00 \x41"', "\N{GRINNING FACE} A"),
    ],
)
def test_plain_words_mean_what_yaml_1_2_says(word: str, value: JsonValue) -> None:
    assert repr(value_of(f"x: {word}")) == repr({"x": value})


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text("ab: -#é\n'\"0"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab: -#'1"), inner),
    ).map(lambda value: {"x": value})
)
def test_what_json_can_say_comes_back(value: JsonValue) -> None:
    assert repr(value_of(json.dumps(value))) == repr(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: 0x1F", "1:4 /x 0x1F is written differently in JSON: write 31, or quote it to mean a text"),
        ("x: 0o17", "1:4 /x 0o17 is written differently in JSON: write 15, or quote it to mean a text"),
        ("x: [007]", "1:5 /x/0 007 is written differently in JSON: write 7, or quote it to mean a text"),
        ("x: +1", "1:4 /x +1 is written differently in JSON: write 1, or quote it to mean a text"),
        ("x: .5", "1:4 /x .5 is written differently in JSON: write 0.5, or quote it to mean a text"),
        ("x: -.inf", "1:4 /x -.inf is not JSON; a number is finite"),
        ("x: 1e999", "1:4 /x 1e999 is outside the range of a double-precision number; write one that is inside"),
        ("x: 1\ny: 2\nx: 3", '3:1 /x the key "x" is used twice, first in line 1; remove one'),
        ("x: &a 1", "1:4 /x &a is an anchor, which JSON has not; put the value into $defs and refer to it with $ref"),
        ("x: *a", "1:4 /x *a is an alias, which JSON has not; put the value into $defs and refer to it with $ref"),
        ("<<: {}", "1:1 (whole file) << is no part of YAML 1.2; put the value into $defs and refer to it with $ref"),
        ("x: !!str 1", "1:4 /x tag:yaml.org,2002:str is a tag, which JSON has not; remove it"),
        ("1: x", "1:1 (whole file) the key 1 must be in quotes, as a text"),
        ("? [a]\n: b", "1:3 (whole file) a key must be a text"),
        ("", "1:1 (whole file) is empty; a spec is an object, such as `title: SendEmail`"),
        ("x: 1\n---\ny: 2", "2:1 (whole file) a second document starts here; make a file of it"),
        ("x: y: z", "1:5 /x a ':' is not possible here: check the indentation, or quote the text"),
        ("x:\n\ty: 1", "2:1 (whole file) a tab cannot indent; use spaces"),
        ('x:\n  y: "z\n', "2:6 /x the quotes that open here are not closed"),
        ("x:\n  y: 1\n z: 2", "3:2 /x/y the indentation differs from the lines around it"),
        ("x: [1, 2\ny: 3", "2:2 /x/1 is not YAML: expected ',' or ']', but got ':'"),
        (
            "x: 'a\u2028b'",
            "1:6 (whole file) has U+2028, which parsers read differently; write it as an escape in double quotes",
        ),
        (
            "x: a\x01b",
            "1:5 (whole file) has U+0001, which parsers read differently; write it as an escape in double quotes",
        ),
        ('x: "\\ud800"', "1:4 /x has a lone surrogate in a string, which is not valid Unicode; remove it"),
        ('x: "\\0"', "1:4 /x has a NUL character in a string, which not every database can store; remove it"),
    ],
)
def test_a_surprise_is_a_problem(text: str, expected: str) -> None:
    assert read(text)[1] == [f"specs/x.yaml:{expected}"]


def test_reading_continues_after_a_problem() -> None:
    document, problems = read("x: 0x1\ny: &a {z: 007}\nw: 1")
    assert document is not None
    assert document.value == {"x": 0, "y": {"z": 0}, "w": 1}
    assert len(problems) == 3


@pytest.mark.parametrize("most", [5_000, slow(MAX_NODES)])
def test_the_limit_of_values_is_that_of_json(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_NODES", most)
    assert f"more than {most:,} values" in read(f"x: [{'1, ' * most}]")[1][0]


def test_the_other_limits_are_those_of_json() -> None:
    assert "is nested more than 64 levels deep" in read("[" * 70 + "]" * 70)[1][0]
    assert len(read("\n".join(f"- 0x{number:x}" for number in range(300)))[1]) == 201
    # Deep enough to exhaust the stack of a reader without a limit.
    assert read("- " * 5000)[1]


@given(st.text("ab:-#'\"[]{}&*!|>%@`,\n\t 0?\\"))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    document, problems = read(text)
    assert document is not None or problems
