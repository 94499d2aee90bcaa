"""Patterns in models have the meaning of ECMA-262, or are rejected."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from server_jobs.contract.schemas.patterns import PatternError, matches, translate


@pytest.mark.parametrize(
    "pattern",
    [
        "^a+$",
        "a|b",
        "(?:ab)*?c",
        "(?<year>[0-9]{4})-[0-9]{2,}",
        "[a-z_-]",
        r"^[^@]+@[^@]+$",
        r"\p{L}\P{Lu}",
        r"\u00e9\x41\u{1F600}",
        r"\/\.\-\$\t",
        "",
    ],
)
def test_syntax_with_the_same_meaning_stays(pattern: str) -> None:
    assert translate(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        (r"^\d$", ["0", "9"], ["\u0661", "\u0967", "a"]),
        (r"^\D$", ["a", "\u0661"], ["1"]),
        (r"^\w$", ["a", "_", "7"], ["é", "\u0661", "-"]),
        (r"^\W$", ["é", "-"], ["a", "_"]),
        (r"^\s$", [" ", "\t", "\ufeff", "\u2028", "\xa0"], ["\x85", "\x1c", "a"]),
        (r"^\S$", ["a", "\x85"], [" ", "\ufeff"]),
        (r"^[\d-]$", ["1", "-"], ["\u0661"]),
        (r"^[^\s]$", ["\x85"], ["\u2028"]),
        (r"^[\W_]$", ["é", "_"], ["a"]),
        (r"^.$", ["a", "\x85", "😀"], ["\n", "\r", "\u2028", "\u2029"]),
        (r"\bab\b", ["x ab", "éab"], ["xab"]),
        (r"^[\b]$", ["\b"], ["b"]),
        (r"^[a[b]$", ["[", "a"], ["c"]),
        (r"^[a&&b]$", ["&", "a", "b"], ["c"]),
        (r"^[a~~b]$", ["~"], ["c"]),
        (r"a$", ["ba"], ["a\n"]),
        (r"b", ["abc"], ["ac"]),
        (r"^\<\_\@[\:\ ]\>$", ["<_@:>", "<_@ >"], ["<_@->", "_@:"]),
        (r"^{{name}}$", ["{{name}}"], ["{name}", "name"]),
        (r"^a{+}{1,x}{2}$", ["a{{}{1,x}}"], ["a{}{1,x}", "aaa"]),
        (r"^a(?![\s\S])", ["a"], ["ab", "a\n"]),
        (r"^(?:a(?![\s\S])|b$(?![\s\S]))", ["a", "b"], ["ab", "b\n"]),
    ],
)
def test_syntax_with_another_meaning_is_spelled_out(pattern: str, fits: list[str], does_not: list[str]) -> None:
    translated = translate(pattern)
    assert [text for text in fits if not matches(translated, text)] == []
    assert [text for text in does_not if matches(translated, text)] == []


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=a)b", "uses look-around ('(?=')"),
        ("(?!a)b", "uses look-around ('(?!')"),
        ("(?<=a)b", "uses look-around ('(?<=')"),
        ("(?<!a)b", "uses look-around ('(?<!')"),
        (r"(a)\1", r"uses a backreference ('\1')"),
        (r"(?<n>a)\k<n>", r"uses a backreference ('\k<')"),
        ("(?i)a", "has a group '(?i' that JSON Schema does not know"),
        ("(?P<n>a)", "has a group '(?P' that JSON Schema does not know"),
        ("(?#x)a", "has a group '(?#' that JSON Schema does not know"),
        (r"\z", r"has the escape '\z', which JSON Schema does not know"),
        (r"\a", r"has the escape '\a', which JSON Schema does not know"),
        (r"\0", "looks for a NUL character"),
        ("a**", "has a '*' that repeats nothing"),
        ("a{2}{3}", "has a '{3}' that repeats nothing"),
        ("x{,3}", "has a '{' that can be read in two ways"),
        ("x{,}", "has a '{' that can be read in two ways"),
        ("^*", "has a '*' that repeats nothing"),
        ("{2}", "has a '{2}' that repeats nothing"),
        ("[]", "has an empty class"),
        ("[^]", "has an empty class"),
        ("[a", "has a '[' without a ']'"),
        ("[+--]", "that can be read in two ways"),
        (r"[a-\d]", "that can be read in two ways"),
        (r"[\w-z]", "that can be read in two ways"),
        ("(a", "unclosed group"),
        ("a)", "unopened group"),
        ("[z-a]", "invalid character class range"),
        ("\\", "incomplete escape sequence"),
        (r"\ud800", "not a Unicode scalar value"),
        (r"\p{Nonsense}", "not known to ECMA-262"),
        ("((a{99}){99}){99}", "is too large"),
        (r"[\p{L}a]{400}", "is too large"),
        ("a{99999999999999999999}", "is too large"),
    ],
)
def test_patterns_that_cannot_be_enforced_are_refused(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        translate(pattern)
    assert reason in str(caught.value)


def test_patterns_take_linear_time() -> None:
    assert not matches(translate("^(a+)+$"), "a" * 100_000 + "!")


@example("[\\")
@given(st.text("ab01\\dDwWsSbBpPuxk(){}[]?*+|.^$-<>=!:,&~L ") | st.text())
def test_every_pattern_is_translated_or_refused(pattern: str) -> None:
    try:
        translated = translate(pattern)
    except PatternError:
        return
    assert matches(translated, "") in (True, False)
