"""The reader finds the place of every JSON value, is stricter than `json`, and never raises."""

# ruff: noqa: E501  # each text and its problems are one line, like the rows of a table

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs_generator.read import document as reader
from server_jobs_generator.read.document import (
    MAX_FILE_BYTES,
    MAX_NODES,
    Document,
    _Reader,
    read_document,
)

from tests.slow import slow


def read(text: str | bytes) -> tuple[Document | None, list[str]]:
    reading = read_document("specs/x.json", text if isinstance(text, bytes) else text.encode())
    return reading.document, [problem.text for problem in reading.problems]


def place(document: Document | None, *pointer: str | int, at_key: bool = False) -> tuple[int, int]:
    assert document is not None
    return document.place(pointer, at_key=at_key)


def test_every_key_and_value_has_its_place() -> None:
    document, problems = read('{\n  "a": [1,\n    {"é": true}],\n\t"b" :null}\n')
    assert problems == []
    assert place(document) == (1, 1)
    assert place(document, "a") == (2, 8)
    assert place(document, "a", at_key=True) == (2, 3)
    assert place(document, "a", 0) == (2, 9)
    assert place(document, "a", 1) == (3, 5)
    assert place(document, "a", 1, "é") == (3, 11)
    assert place(document, "b") == (4, 7)
    assert place(document, "b", at_key=True) == (4, 2)


def test_a_missing_value_has_the_place_of_its_parent() -> None:
    document, _ = read('{"a": [{}]}')
    assert place(document, "a", 0, "not there", 7) == (1, 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 (whole file) is empty; a JSON file has one value, such as an object in { }"),
        (" \n", "2:1 (whole file) is empty; a JSON file has one value, such as an object in { }"),
        ("title: A\n", '1:1 (whole file) is not JSON: it begins with "title"; a JSON file has one value, such as an object in { }'),
        ("\ufeff{}", "1:1 (whole file) starts with a byte order mark; save it as UTF-8 without one"),
        ("{}".encode("utf-16"), "1:1 (whole file) starts with a byte order mark; save it as UTF-8 without one"),
        ("{}".encode("utf-16-be"), "1:1 (whole file) begins with a NUL, as UTF-16 or UTF-32 does; save it as UTF-8"),
        (b'{"a":\n "\xff"}', "2:3 (whole file) is not valid UTF-8 (byte 0xff); save it as UTF-8"),
        ('{"a":\n1}\n x', '3:2 (whole file) "x" follows the end of the document, which closes in line 2, column 2; remove it, or move it before the end'),
        ('{"a" 1}', '1:6 (whole file) expected \':\' after the key "a", not "1"'),
        ('{"a": 1, 2}', '1:10 (whole file) expected a key in double quotes, not "2"'),
        ('{"a": [', "1:8 /a expected a value or ']', not the end of the file; the '[' of line 1, column 7 is not closed"),
        ('{', "1:2 (whole file) expected a key or '}', not the end of the file; the '{' of line 1, column 1 is not closed"),
        ('{"a": 1 b: 2}', "1:9 (whole file) expected ',' or '}', not \"b\"; the '{' of line 1, column 1 is not closed"),
        ('{"a": }', '1:7 /a expected a value, not "}"'),
        ('{"a": 1e5x}', '1:7 /a expected a value, not "1e5x"'),
        ('{"a": "say "hi" to"}', "1:13 (whole file) expected ',' or '}', not \"hi\"; a quote in a string is written '\\\"'"),
        ('{"a": "b}', "1:7 /a the string that starts here has no closing quote in its line; a line break inside is written '\\n'"),
        ('{"a": "x\\\ny"}', "1:7 /a the string that starts here has no closing quote in its line; a line break inside is written '\\n'"),
        ('{"a":\r\n\t"b\r\nc"}', "2:2 /a the string that starts here has no closing quote in its line; a line break inside is written '\\n'"),
        ("[1, 2", "1:6 (whole file) expected ',' or ']', not the end of the file; the '[' of line 1, column 1 is not closed"),
        ('{"😀": [1,\n 2}', "2:3 /😀 expected ',' or ']', not \"}\"; the '[' of line 1, column 7 is not closed"),
        ('{\n  "a": {\n    "b": 1,\n  "c": [\n  ]\n}\n', "7:1 (whole file) expected ',' or '}', not the end of the file; as the lines are indented, it is the '{' of line 2, column 8 that is not closed"),
    ],
)  # fmt: skip
def test_unparsable_json_is_one_problem(text: str | bytes, expected: str) -> None:
    document, problems = read(text)
    assert document is None
    assert problems == [f"specs/x.json:{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,\n "a": 2}', '2:2 /a the key "a" is used twice, first in line 1; remove one'),
        (r'{"a": 1, "\u0061": 2}', '1:10 /a the key "a" is used twice, first in line 1; remove one'),
        ('{"a": 1,}', "1:8 (whole file) the comma before '}' must go"),
        ('{"a": [1, 2,\n]}', "1:12 /a the comma before ']' must go"),
        ('{"a": 1,, "b": 2}', "1:9 (whole file) there is no value before this comma; remove it"),
        ("[, 1]", "1:2 (whole file) there is no value before this comma; remove it"),
        ('{"a": 1\r\n\t"b": 2}', '2:2 (whole file) there is no comma before "b"; write one'),
        ('[{} ["b"]]', '1:5 (whole file) there is no comma before "["; write one'),
        ("{'a': 1}", '1:2 (whole file) the key "a" must be in double quotes'),
        ("{a: 1}", '1:2 (whole file) the key "a" must be in double quotes'),
        ("{\"a\": 'b'}", '1:7 /a the text "b" must be in double quotes'),
        ('{"a": \N{LEFT DOUBLE QUOTATION MARK}b\N{RIGHT DOUBLE QUOTATION MARK}}', '1:7 /a the text "b" must be in double quotes'),
        ('{"a": string}', '1:7 /a the text "string" must be in double quotes'),
        ('{"a": True}', '1:7 /a "True" is not JSON; write true'),
        ('{"a": None}', '1:7 /a "None" is not JSON; write null'),
        ('{"a": 01}', '1:7 /a "01" is not JSON; write 1'),
        ('{"a": .5}', '1:7 /a ".5" is not JSON; write 0.5'),
        ('{"a": +1}', '1:7 /a "+1" is not JSON; write 1'),
        ('{"a": 0x1F}', '1:7 /a "0x1F" is not JSON; write 31'),
        ('{"a": 1_000}', '1:7 /a "1_000" is not JSON; write 1000'),
        ('{"a": "x\ty"}', "1:9 /a the character '\\t' must be escaped in a string: '\\t'"),
        (r'{"a": "\x41"}', r"1:8 /a the escape '\x' is not known to JSON; a backslash itself is '\\'"),
        (r'{"a": "\u12g4"}', r"1:8 /a the escape '\u' is not known to JSON; a backslash itself is '\\'"),
        ('{"a": NaN}', "1:7 /a NaN is not JSON; a number is finite"),
        ('{"a": -Infinity}', "1:7 /a -Infinity is not JSON; a number is finite"),
        ('{"a": 1e400}', "1:7 /a 1e400 is outside the range of a double-precision number; write one that is inside"),
        ('{"a": 1e-400}', "1:7 /a 1e-400 is outside the range of a double-precision number; write one that is inside"),
        ('// hello\n{"a": 1}', '1:1 (whole file) comments are not JSON; name the file .jsonc, or use "$comment"'),
        ('{/* x\n */"a": 1}', '1:2 (whole file) comments are not JSON; name the file .jsonc, or use "$comment"'),
        (
            r'{"a": "\ud800"}',
            "1:7 /a has a lone surrogate in a string, which is not valid Unicode; remove it",
        ),
        (
            r'{"a": "\udc00\ud800"}',
            "1:7 /a has a lone surrogate in a string, which is not valid Unicode; remove it",
        ),
        (r'{"a": "x\u0000"}', "1:7 /a has a NUL character in a string, which not every database can store; remove it"),
        (f'{{"a": {"9" * 4001}}}', "1:7 /a the number has more than 4,000 digits; make a text of it"),
    ],
)  # fmt: skip
def test_reading_continues_after_a_mistake(text: str, expected: str) -> None:
    document, problems = read(text)
    assert document is not None
    assert problems == [f"specs/x.json:{expected}"]


def test_tolerated_mistakes_are_read_as_intended() -> None:
    document, problems = read('{\'a\': True, b: [.5 "c", ], "d": none}')
    assert document is not None
    assert document.value == {"a": True, "b": [0.5, "c"], "d": None}
    assert len(problems) == 7


def test_a_string_that_is_wrong_again_and_again_is_given_up() -> None:
    document, problems = read('{"a": "' + "\t" * 500_000 + '", "b": 01}')
    assert document is None
    assert len(problems) == 10


def test_several_problems_of_one_file_are_reported_together() -> None:
    _, problems = read('{"a": NaN, "a": [1,], // x\n "b": 1e999}')
    assert len(problems) == 5


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 65 + "]" * 65])
def test_deep_nesting_is_refused_without_exhausting_the_stack(text: str) -> None:
    document, (problem,) = read(text)
    assert document is None
    assert "is nested more than 64 levels deep" in problem


def test_the_deepest_nesting_allowed_is_read() -> None:
    assert read("[" * 64 + "]" * 64)[1] == []


@pytest.mark.parametrize("most", [5_000, slow(MAX_NODES)])
def test_a_file_with_too_many_values_is_refused(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_NODES", most)
    assert read(f"[{','.join(['1'] * (most - 1))}]")[1] == []
    _, (problem,) = read(f"[{','.join(['1'] * most)}]")
    assert f"the file has more than {most:,} values; split it" in problem


def test_a_file_that_is_too_large_is_refused() -> None:
    assert read(b'"' + b"x" * (MAX_FILE_BYTES - 2) + b'"')[1] == []
    _, (problem,) = read(b'"' + b"x" * (MAX_FILE_BYTES - 1) + b'"')
    assert problem.endswith("is larger than 8,388,608 bytes; split it")


json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values, st.sampled_from([None, 0, 2]), st.booleans())
def test_valid_json_is_read_as_the_standard_library_reads_it(
    value: JsonValue, indent: int | None, ensure_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)
    document, problems = read(text)
    assert problems == []
    assert document is not None
    assert json.dumps(document.value) == json.dumps(value)


@given(st.binary() | st.text().map(str.encode) | st.text('{}[]",:\\u0123456789eE+-.ntf /*#\n').map(str.encode))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    document, problems = read(data)
    assert document is not None or problems
    if document is not None and not problems:
        assert document.value == json.loads(data)


def test_jsonc_has_comments_and_commas_before_an_end() -> None:
    text = b'// first\n{ "a": [1, 2, /* two */ ], // a\n "b": { "c": "// no comment", }, }\n'
    reading = read_document("wrangler.jsonc", text)
    assert reading.problems == ()
    assert reading.document is not None
    assert reading.document.value == {"a": [1, 2], "b": {"c": "// no comment"}}
    assert reading.document.place(("b", "c")) == (3, 14)


@pytest.mark.parametrize("text", ["{ # no\n}", "{,}", "[1,,2]", '{"a": 1,, }', "{'a': 1}"])
def test_jsonc_is_no_looser_than_that(text: str) -> None:
    assert read_document("wrangler.jsonc", text.encode()).problems


WORDS = r'''{ } [ ] : , "a" "a" "b" 1 -0 1.0 1e999 0e5 00 NaN true nul // /*x*/ \v "\u0000" "\ud83d" "\ud83d\ude00"'''
TEXTS = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps),
    st.lists(st.sampled_from([*WORDS.split(), "\t", "\n", "\xa0", '"\t"'])).map("".join),
)


@given(TEXTS, st.sampled_from(["x.json", "x.jsonc"]))
def test_the_quick_and_the_careful_reader_agree(text: str, path: str) -> None:
    quick, careful = read_document(path, text.encode()), _Reader(path, text).read()
    assert quick == careful
    assert json.dumps(quick.document and quick.document.value) == json.dumps(
        careful.document and careful.document.value
    )


@pytest.mark.parametrize("text", ["[" * 70 + "]" * 70, "[" * 64 + "1" + "]" * 64, json.dumps([1] * 5_000)])
def test_the_quick_way_has_the_bounds_of_the_careful_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_NODES", 5_000)
    assert read_document("x", text.encode()) == _Reader("x", text).read()
