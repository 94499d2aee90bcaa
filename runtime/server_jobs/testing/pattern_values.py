"""Strategies for texts of a given length that match a pattern.

The pattern is parsed into parts, and the possible lengths of each part are computed. Drawing chooses the total length
first and divides it among the parts, so no draw fails. The engine of the models decides which characters a class
contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ..contract.schemas.patterns import PatternError, matcher

_MORE_CHARACTERS = 20
_LONGEST = 20_000
_MOST_COUNTS = 100
_NONE, _ONE = 1 << 0, 1 << 1
_ANY = "."
_FAMILIAR = (*map(chr, range(0x20, 0x7F)), *"\t\nÄßéñΩЖא٣あ中😀")
_EVERY = range(1, 0x110000)
_ENOUGH = 100
_SURROGATES = range(0xD800, 0xE000)
_TOKEN = re.compile(
    r"""(?P<character>\\(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[pP]\{[^}]*\}|[^bB])
        |\[(?:\\.|[^\]\\])*\]|[^\\\[\]()|*+?{}^$])
    |(?P<anchor>\^|\$|\\b|\\B)
    |(?P<open>\((?:\?:|\?<[A-Za-z][A-Za-z0-9_]*>)?)
    |(?P<close>\))
    |(?P<bar>\|)
    |(?P<count>[*+?]|\{(?P<least>[0-9]+)(?P<comma>,(?P<most>[0-9]*))?\})\??""",
    re.DOTALL | re.VERBOSE,
)


def texts_of(pattern: str, least: int = 0, most: int | None = None) -> SearchStrategy[str]:
    """Return texts with `least` to `most` characters in which the pattern matches; none if there are none.

    Raises `PatternError` if a spec cannot have this pattern.
    """
    matches = matcher(pattern)
    root = _Reader(pattern).read()
    longest = min(most if most is not None else _LONGEST, _LONGEST, 2 * max(least, root.shortest()) + _MORE_CHARACTERS)
    lengths = [length for length in _each(root.lengths(longest)) if length >= least][:_MORE_CHARACTERS]
    if not lengths:
        return st.nothing()

    @st.composite
    def text(draw: st.DrawFn) -> str:
        return root.draw(draw, draw(st.sampled_from(lengths)), longest)

    return text().filter(matches)


class _Part:
    """A part of a pattern. Its possible lengths are the bits of a number: bit 3 is set if it can have 3 characters."""

    def __init__(self) -> None:
        self._lengths: dict[int, int] = {}

    def lengths(self, longest: int) -> int:
        if longest not in self._lengths:
            self._lengths[longest] = self.measured(longest)
        return self._lengths[longest]

    def shortest(self) -> int:
        raise NotImplementedError

    def measured(self, longest: int) -> int:
        raise NotImplementedError

    def draw(self, draw: st.DrawFn, length: int, longest: int) -> str:
        raise NotImplementedError


class _Character(_Part):
    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def shortest(self) -> int:
        return 1

    def measured(self, longest: int) -> int:
        return _ONE if longest and _characters_of(self.token) else 0

    def draw(self, draw: st.DrawFn, length: int, longest: int) -> str:  # noqa: ARG002  its length is always 1
        return draw(st.sampled_from(_characters_of(self.token)))


class _Choice(_Part):
    def __init__(self, parts: Sequence[_Part]) -> None:
        super().__init__()
        self.parts = parts

    def shortest(self) -> int:
        return min(part.shortest() for part in self.parts)

    def measured(self, longest: int) -> int:
        found = 0
        for part in self.parts:
            found |= part.lengths(longest)
        return found

    def draw(self, draw: st.DrawFn, length: int, longest: int) -> str:
        able = [part for part in self.parts if part.lengths(longest) >> length & 1]
        return draw(st.sampled_from(able)).draw(draw, length, longest)


class _Sequence(_Part):
    def __init__(self, parts: Sequence[_Part]) -> None:
        super().__init__()
        self.parts = parts

    def shortest(self) -> int:
        return sum(part.shortest() for part in self.parts)

    def measured(self, longest: int) -> int:
        return self._behind(longest)[0]

    def draw(self, draw: st.DrawFn, length: int, longest: int) -> str:
        behind, texts = self._behind(longest), list[str]()
        for part, others in zip(self.parts, behind[1:], strict=True):
            share = _draw_share(draw, part.lengths(longest), others, length)
            texts.append(part.draw(draw, share, longest))
            length -= share
        return "".join(texts)

    def _behind(self, longest: int) -> list[int]:
        """Return the possible lengths of the rest of the sequence from each part on, and of the empty rest."""
        found = [_NONE]
        for part in reversed(self.parts):
            found.append(_sums(part.lengths(longest), found[-1], longest))
        return found[::-1]


class _Anchor(_Sequence):
    """A part without characters: the start, the end, or a word boundary."""

    def __init__(self, at: str) -> None:
        super().__init__(())
        self.at = at


class _Repeated(_Part):
    def __init__(self, part: _Part, least: int, most: int | None) -> None:
        super().__init__()
        self.part, self.least, self.most = part, least, most

    def shortest(self) -> int:
        return self.least * self.part.shortest()

    def measured(self, longest: int) -> int:
        if self.part.lengths(longest) == _ONE:
            most = longest if self.most is None else min(self.most, longest)
            return sum(1 << length for length in range(self.least, most + 1))
        found = 0
        for lengths in self._by_count(longest)[self.least :]:
            found |= lengths
        return found

    def draw(self, draw: st.DrawFn, length: int, longest: int) -> str:
        if self.part.lengths(longest) == _ONE:
            # Repeat a few characters in a long text, because Hypothesis limits the draws.
            some = [self.part.draw(draw, 1, longest) for _ in range(min(length, _MORE_CHARACTERS))]
            return "".join(some[index % len(some)] for index in range(length))
        by_count, texts = self._by_count(longest), list[str]()
        counts = [count for count in range(self.least, len(by_count)) if by_count[count] >> length & 1]
        for left in reversed(range(draw(st.sampled_from(counts)))):
            share = _draw_share(draw, self.part.lengths(longest), by_count[left], length)
            texts.append(self.part.draw(draw, share, longest))
            length -= share
        return "".join(texts)

    def _by_count(self, longest: int) -> list[int]:
        """Return the possible lengths for each number of repetitions, up to the longest."""
        found, enough = [_NONE], max(self.least, _MOST_COUNTS)
        most = enough if self.most is None else min(self.most, enough)
        while len(found) <= most:
            found.append(_sums(self.part.lengths(longest), found[-1], longest))
        return found


class _Reader:
    """Parses a pattern that the engine has accepted. The result includes the text around a match."""

    def __init__(self, pattern: str) -> None:
        self._tokens = list(_TOKEN.finditer(pattern))
        if "".join(token.group() for token in self._tokens) != pattern:
            raise PatternError("is written in a way that no texts can be made for")
        self._at = 0

    def read(self) -> _Part:
        return _Choice([_with_room(part) for part in self._alternatives()])

    def _alternatives(self) -> list[_Part]:
        found = [list[_Part]()]
        while (token := self._peek()) is not None and not token["close"]:
            self._at += 1
            if token["bar"]:
                found.append([])
            elif token["count"]:
                found[-1].append(_repeated(found[-1].pop(), token))
            elif token["open"]:
                found[-1].append(_Choice(self._alternatives()))
                self._at += 1
            else:
                found[-1].append(_Anchor(token.group()) if token["anchor"] else _Character(token.group()))
        return [_Sequence(parts) for parts in found]

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None


def _repeated(part: _Part, token: re.Match[str]) -> _Part:
    bounds = {"*": (0, None), "+": (1, None), "?": (0, 1)}
    if token.group()[0] in bounds:
        return _Repeated(part, *bounds[token.group()[0]])
    least = int(token["least"])
    most = int(token["most"]) if token["most"] else None if token["comma"] else least
    return _Repeated(part, least, most)


def _with_room(part: _Part) -> _Part:
    """Allow any text before and after an alternative, except at a side with an anchor."""
    # At a word boundary, only spaces may touch the match.
    anything = _Repeated(_Character(" " if _has_anchor(part, r"\b") else "[a-zA-Z0-9]"), 0, None)
    before = [] if _has_anchor(part, "^") else [anything]
    behind = [] if _has_anchor(part, "$") else [anything]
    return _Sequence([*before, part, *behind])


def _has_anchor(part: _Part, anchor: str) -> bool:
    match part:
        case _Anchor():
            return part.at == anchor
        case _Choice() | _Sequence():
            return any(_has_anchor(one, anchor) for one in part.parts)
        case _:
            return False


@cache
def _characters_of(token: str) -> tuple[str, ...]:
    """Return characters that one token stands for, preferring familiar ones."""
    if len(token) == 1 and token != _ANY:
        return (token,)
    is_one = matcher(f"^{token}$")
    familiar = tuple(sorted(filter(is_one, _FAMILIAR), key=_by_plainness))
    return familiar or tuple(_first_of(chr(code) for code in _EVERY if code not in _SURROGATES and is_one(chr(code))))


def _by_plainness(character: str) -> tuple[bool, str]:
    return not (character.isascii() and character.isalnum()), character


def _first_of(characters: Iterator[str]) -> Iterator[str]:
    for _, character in zip(range(_ENOUGH), characters, strict=False):
        yield character


def _sums(one: int, other: int, longest: int) -> int:
    """Return every sum of a length of `one` and a length of `other`, up to `longest`."""
    found = 0
    for length in _each(one):
        found |= other << length
    return found & ((1 << longest + 1) - 1)


def _each(lengths: int) -> Iterator[int]:
    while lengths:
        lowest = lengths & -lengths
        yield lowest.bit_length() - 1
        lengths ^= lowest


def _draw_share(draw: st.DrawFn, own: int, others: int, length: int) -> int:
    """Choose how many characters a part takes, so that the other parts can fill the rest."""
    shares = [share for share in _each(own) if share <= length and others >> (length - share) & 1]
    return shares[0] if len(shares) == 1 else draw(st.sampled_from(shares))
