r"""Translation of regular expressions from ECMA-262 (specs) to Rust's `regex` (models).

The two agree on most of the syntax. Where the meaning differs, the translation spells it out: `\d` means ASCII digits
in a spec but every Unicode digit in Rust. Ambiguous syntax is rejected with a replacement. Rust has no look-around and
no backreferences; in exchange, matching takes linear time.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

from .unicode_properties import property_problem

_SPACES = r"\t\n\x0b\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_CLASS_ESCAPES = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACES}
_RANGE_WITH_A_CLASS = re.compile(r"\\[dDwWsS]-[^\]]|[^\[^\\]-\\[dDwWsS]")
_TOKEN = re.compile(
    r"""(?P<escape>\\(?:u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[pP]\{[A-Za-z_=0-9]+\}|k<|.))
    |(?P<group>\((?:\?(?:<=|<!|<(?P<name>[A-Za-z][A-Za-z0-9_]*)>|.)?)?)
    |(?P<quantifier>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)
    |(?P<brace>[{}])
    |(?P<class>\[\^?)
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_COUNT_OF_PYTHON = re.compile(r",[0-9]*\}")
MAX_SIZE = 10_000
_MOST_CHARACTERS = 100_000
_UNICODE_CLASS_SIZE = 50
_MOST_DIGITS = 9
_LITERAL_ESCAPES = frozenset("^$\\.*+?()[]{}|/-") | frozenset("tnvfr")
# Without the flag `u`, an escape of these stands for the character. Rust has another meaning for some.
_NEEDLESS_ESCAPES = frozenset("_@:\"'#%&,;=!<>~` ")
_ANYTHING_MORE = r"[\s\S])"


class PatternError(ValueError):
    """A pattern that a model cannot enforce; the message gives the reason and a replacement."""


class LargePatternError(PatternError):
    """A pattern that would cost too much to enforce."""


@cache
def translate(pattern: str) -> str:
    r"""Return the pattern in Rust's syntax. Raises `PatternError`.

    >>> translate(r"^\d{5}$")
    '^[0-9]{5}$'
    """
    if len(pattern) > _MOST_CHARACTERS:
        raise LargePatternError(f"is too large: it has more than {_MOST_CHARACTERS:,} characters")
    translated = "".join(_Translator(pattern).parts())
    if size_of(pattern) > MAX_SIZE:
        raise LargePatternError(f"is too large: written out without counts it has more than {MAX_SIZE:,} parts")
    try:
        _compiled(translated)
    except SchemaError as error:
        reason = str(error).strip().splitlines()[-1].strip().removeprefix("error: ")
        raise PatternError(f"is not a pattern that can be enforced: {reason}") from None
    return translated


@cache
def size_of(pattern: str) -> int:
    """Return the estimated cost of a pattern, with counted repetitions expanded. Raises `PatternError`."""
    if len(pattern) > _MOST_CHARACTERS:
        return MAX_SIZE + 1
    translator = _Translator(pattern)
    deque(translator.parts(), maxlen=0)
    return translator.size


def matches(translated: str, text: str) -> bool:
    """Return whether the pattern matches anywhere in the text, by the engine of the models."""
    return _compiled(translated).isinstance_python(text)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that searches a text for a pattern of a spec. Raises `PatternError`."""
    return _compiled(translate(pattern)).isinstance_python


@cache
def _compiled(translated: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=translated))


class _Translator:
    """Translates a pattern in one pass. `size` estimates the compiled size, with counted repetitions expanded."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._may_repeat = False
        self._sizes = [0]
        self._last_size = 0

    @property
    def size(self) -> int:
        return sum(self._sizes)

    def parts(self) -> Iterator[str]:
        while self._at < len(self._pattern):
            token = self._next(_TOKEN)
            self._measure(token)
            match token.lastgroup if token.lastgroup != "name" else "group":
                case "escape":
                    yield self._escape(token.group(), in_class=False)
                    self._may_repeat = token.group() not in (r"\b", r"\B")
                case "group":
                    yield self._group(token)
                    self._may_repeat = False
                case "quantifier":
                    yield self._quantifier(token.group())
                    self._may_repeat = False
                case "brace":
                    yield self._brace(token.group())
                    self._may_repeat = True
                case "class":
                    yield from self._class(token.group())
                    self._may_repeat = True
                case _:
                    yield "[^\\n\\r\\u2028\\u2029]" if token.group() == "." else token.group()
                    self._may_repeat = token.group() not in "^$|"

    def _measure(self, token: re.Match[str]) -> None:
        text = token.group()
        if token["group"]:
            self._sizes.append(0)
        elif token["quantifier"]:
            # Read only a few digits: a longer count is too large anyway.
            counts = (int(digits[:_MOST_DIGITS]) for digits in re.findall("[1-9][0-9]*", text))
            self._sizes[-1] += self._last_size * min(max(counts, default=1), MAX_SIZE)
        else:
            closes_group = text == ")" and len(self._sizes) > 1
            self._last_size = self._sizes.pop() if closes_group else _size_of_token(text)
            self._sizes[-1] += self._last_size

    def _next(self, expected: re.Pattern[str]) -> re.Match[str]:
        token = expected.match(self._pattern, self._at)
        if token is None:
            raise PatternError("ends in the middle of an escape")
        self._at = token.end()
        return token

    def _group(self, token: re.Match[str]) -> str:
        opening = token.group()
        if opening == "(?!" and self._pattern.startswith(_ANYTHING_MORE, self._at):
            # Nothing follows at the end of the text.
            self._at += len(_ANYTHING_MORE)
            self._sizes.pop()
            return r"\z"
        if opening in ("(?=", "(?!", "(?<=", "(?<!"):
            raise PatternError(
                f"uses look-around ('{opening}'), which cannot be enforced in linear time; check that in the handler"
            )
        if opening in ("(", "(?:") or token["name"]:
            return opening
        raise PatternError(f"has a group '{opening}' that JSON Schema does not know; use '(' or '(?:'")

    def _quantifier(self, quantifier: str) -> str:
        if not self._may_repeat:
            raise PatternError(
                f"has a '{quantifier}' that repeats nothing; write '\\{quantifier[0]}' for the character"
            )
        return quantifier

    def _brace(self, brace: str) -> str:
        """Return a brace that is no part of a count, which stands for the character. Python reads `{,3}` as a count."""
        if brace == "{" and _COUNT_OF_PYTHON.match(self._pattern, self._at):
            raise PatternError("has a '{' that can be read in two ways; write '\\{' for the character")
        return f"\\{brace}"

    def _class(self, opening: str) -> Iterator[str]:
        start = self._at
        yield opening
        while not self._pattern.startswith("]", self._at):
            if self._at >= len(self._pattern):
                raise PatternError("has a '[' without a ']'")
            token = self._next(_TOKEN)
            if token.group().startswith("\\"):
                extra = _size_of_token(token.group()) - 1
                self._last_size, self._sizes[-1] = self._last_size + extra, self._sizes[-1] + extra
                yield self._escape(token.group(), in_class=True)
                continue
            # Read a class by character, because groups and quantifiers mean nothing inside.
            self._at = token.start() + 1
            character = token.group()[0]
            yield f"\\{character}" if character in "[&~^" else character
        self._check_class(self._pattern[start : self._at])
        self._at += 1
        yield "]"

    def _check_class(self, content: str) -> None:
        if not content:
            raise PatternError("has an empty class ('[]' or '[^]'); name the characters")
        if "--" in content or _RANGE_WITH_A_CLASS.search(content):
            raise PatternError(
                f"has a '-' in '[{content}]' that can be read in two ways; write '\\-' for the character"
            )

    def _escape(self, escape: str, *, in_class: bool) -> str:
        if escape == "\\":
            raise PatternError("ends in the middle of an escape")
        kind = escape[1]
        if kind in _CLASS_ESCAPES:
            return _CLASS_ESCAPES[kind] if in_class else f"[{_CLASS_ESCAPES[kind]}]"
        if kind.lower() in _CLASS_ESCAPES:
            return f"[^{_CLASS_ESCAPES[kind.lower()]}]"
        if kind == "b":
            return r"\x08" if in_class else r"(?-u:\b)"
        if kind == "B" and not in_class:
            return r"(?-u:\B)"
        if kind == "0":
            raise PatternError("looks for a NUL character, which no string here can have")
        if kind == "k" or kind.isdecimal():
            raise PatternError(f"uses a backreference ('{escape}'), which cannot be enforced in linear time")
        if kind in "pP" and len(escape) > 2 and (problem := property_problem(escape[3:-1])):
            raise PatternError(f"has a class that does not exist: {problem}")
        if kind in _LITERAL_ESCAPES or len(escape) > 2:
            return escape
        if kind in _NEEDLESS_ESCAPES:
            return f"\\x{ord(kind):02x}"
        raise PatternError(f"has the escape '{escape}', which JSON Schema does not know")


def _size_of_token(token: str) -> int:
    return _UNICODE_CLASS_SIZE if token[:2].lower() == r"\p" else 1
