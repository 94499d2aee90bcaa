"""The format `regex`: the syntax of regular expressions in ECMA-262 with the flag `u`."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\\(?:[dDwWsSfnrtv]|[\^$\\.*+?()\[\]{}|/]|c[A-Za-z]|0(?![0-9])|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}"
    r"|u\{0*(?:10|[0-9A-Fa-f])?[0-9A-Fa-f]{1,4}\}|[pP]\{[A-Za-z_0-9]+(?:=[A-Za-z_0-9]+)?\})"
)
_ASSERTION = re.compile(r"[\^$]|\\[bB]")
_LOOK_AROUND = re.compile(r"\(\?(?:=|!|<=|<!)")
_GROUP = re.compile(r"\((?:\?:|\?<(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)>|(?!\?))")
_REFERENCE = re.compile(r"\\(?:(?P<number>[1-9][0-9]*)|k<(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)>)")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?P<least>[0-9]+)(?:,(?P<most>[0-9]*))?\})\??")
_PLAIN = re.compile(r"[^\^$\\.*+?()\[\]{}|]|\.", re.DOTALL)
_IN_CLASS = re.compile(r"\\[b-]|[^\\\]]", re.DOTALL)
_DEEPEST = 100


def is_regex(text: str) -> bool:
    """Return whether a text is a regular expression of ECMA-262 with the flag `u`."""
    try:
        return _Syntax(text).is_valid()
    except (_SyntaxError, RecursionError):
        return False


class _SyntaxError(Exception):
    pass


class _Syntax:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._groups = 0
        self._names: set[str] = set()
        self._references: list[int | str] = []

    def is_valid(self) -> bool:
        self._alternatives()
        known = all(name in self._names if isinstance(name, str) else name <= self._groups for name in self._references)
        return self._at == len(self._text) and known

    def _alternatives(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _SyntaxError
        while self._take(re.compile(r"\|")) or self._term():
            pass
        self._depth -= 1

    def _term(self) -> bool:
        if self._take(_ASSERTION):
            return True
        if self._take(_LOOK_AROUND):
            self._inside()
            return True
        if not self._atom():
            return False
        if match := self._take(_QUANTIFIER):
            least, most = match["least"], match["most"]
            if least and most and int(least) > int(most):
                raise _SyntaxError
        return True

    def _atom(self) -> bool:
        if match := self._take(_REFERENCE):
            self._references.append(match["name"] or int(match["number"]))
        elif match := self._take(_GROUP):
            self._open(match)
            self._inside()
        elif self._take(re.compile(r"\[\^?")):
            self._class()
        else:
            return bool(self._take(_ESCAPE) or self._take(_PLAIN))
        return True

    def _open(self, match: re.Match[str]) -> None:
        if match["name"] in self._names:
            raise _SyntaxError
        if match["name"]:
            self._names.add(match["name"])
        if match.group() != "(?:":
            self._groups += 1

    def _inside(self) -> None:
        self._alternatives()
        if not self._take(re.compile(r"\)")):
            raise _SyntaxError

    def _class(self) -> None:
        while not self._take(re.compile(r"\]")):
            low = self._member()
            if self._text.startswith("-", self._at) and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._member()
                # A range with a class such as `\d` as its end is invalid, and so is a reversed range.
                if low is None or high is None or low > high:
                    raise _SyntaxError

    def _member(self) -> int | None:
        """Return the code of the next character in a class; None if it is a class itself."""
        match = self._take(_ESCAPE) or self._take(_IN_CLASS)
        if match is None:
            raise _SyntaxError
        word = match.group()
        if word[:2] in ("\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\p", "\\P"):
            return None
        if word[:2] in ("\\x", "\\u"):
            return int(word[2:].strip("{}"), 16)
        controls = {"\\b": 8, "\\t": 9, "\\n": 10, "\\v": 11, "\\f": 12, "\\r": 13, "\\0": 0}
        return ord(word[-1]) % 32 if word[:2] == "\\c" else controls.get(word, ord(word[-1]))

    def _take(self, expected: re.Pattern[str]) -> re.Match[str] | None:
        match = expected.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match
