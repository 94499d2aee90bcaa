"""Scans of JSON text for what no store takes, without building its values.

A megabyte of JSON can hold half a million values, and a loop over them in Python takes a second. Every scan here is a
few passes of `bytes` methods over the text, so that its time depends on the length alone: about 10 ms a megabyte.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from itertools import accumulate
from operator import add
from struct import unpack

_QUOTE = b'"'
# Opening brackets become 0 and closing ones 1; quotes stay.
_BRACKETS = bytes({0x5B: 0x30, 0x7B: 0x30, 0x5D: 0x31, 0x7D: 0x31}.get(byte, byte) for byte in range(256))
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_DIGITS = bytes(0x30 if byte in b"0123456789" else 0x20 for byte in range(256))
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")
_EXPONENTS = bytes({0x2B: 0x2B, 0x45: 0x65, 0x65: 0x65}.get(byte, _DIGITS[byte]) for byte in range(256))

_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonScan:
    """One JSON text, encoded as UTF-8. What it says of text that is not JSON means nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def _plain(self) -> bytes:
        """The text without escaped backslashes and quotes, so that every quote begins or ends a string."""
        return self._data.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in self._data else self._data

    def has_unstorable_escape(self) -> bool:
        """Whether a string holds an escaped NUL or an escaped surrogate without its other half."""
        if b"\\" not in self._data or rb"\u" not in self._data:  # one byte is found many times faster than two
            return False
        if rb"\u0000" in self._plain:
            return True
        if rb"\ud" not in self._plain and rb"\uD" not in self._plain:
            return False
        return _SURROGATE.search(_SURROGATE_PAIR.sub(b"", self._plain)) is not None

    def long_numbers(self, digits: int) -> Iterator[tuple[int, bool]]:
        """Yield the length of each run of at least so many digits outside strings, and whether it is a whole integer.

        Otherwise it is a part of a number with a fraction or an exponent.
        """
        if not self._data[digits - 1 :: digits].translate(None, _NO_DIGITS):
            return  # a run that long covers one of these places
        runs, long = self._data.translate(_DIGITS), b"0" * digits
        quotes = end = 0
        while (start := runs.find(long, end)) >= 0:
            quotes += self._plain.count(_QUOTE, end, start)
            end = runs.find(b" ", start)
            if end < 0:
                end = len(runs)
            if quotes % 2 == 0:
                yield end - start, self._is_integer(start, end)

    def _is_integer(self, start: int, end: int) -> bool:
        before, after = self._data[max(0, start - 2) : start], self._data[end : end + 1]
        return not before.endswith((b".", b"e", b"E", b"e-", b"E-", b"+")) and after not in (b".", b"e", b"E")

    def may_have_large_exponent(self) -> bool:
        """Whether there is a number with three digits behind `e`, NaN, or Infinity: perhaps within a string."""
        if b"NaN" in self._data or b"Infinity" in self._data:
            return True
        exponents = self._data.translate(_EXPONENTS)
        return b"e000" in exponents or b"e+000" in exponents

    def is_deeper_than(self, most: int) -> bool:
        """Whether more than so many arrays and objects are around some place."""
        brackets = self._brackets()
        if brackets.count(b"0") <= most:
            return False
        brackets += b"1" * (-len(brackets) % 16)
        words = unpack(f">{len(brackets) // 16}H", int(brackets, 2).to_bytes(len(brackets) // 8, "big"))
        net, peak = _net_and_peak()
        depths = list(accumulate(map(net.__getitem__, words), initial=0))
        # Within a word of 16 brackets it goes at most 16 levels deeper than at its beginning.
        return max(depths) > most - 16 and max(map(add, depths, map(peak.__getitem__, words))) > most

    def _brackets(self) -> bytes:
        """Return the brackets outside strings: 0 opens and 1 closes."""
        # Quotes side by side go, whichever strings they belong to: no bracket changes from inside to outside.
        brackets = self._plain.translate(_BRACKETS, _NO_BRACKETS).replace(b'""', b"")
        return b"".join(brackets.split(_QUOTE)[::2]) if _QUOTE in brackets else brackets


@cache
def _net_and_peak() -> tuple[Sequence[int], Sequence[int]]:
    """Return how much deeper each word of 16 brackets, one a bit, ends than it begins, and how much deeper it goes."""
    walks = [tuple(accumulate(-1 if byte >> bit & 1 else 1 for bit in range(7, -1, -1))) for byte in range(256)]
    halves = [(walk[-1], max(0, *walk)) for walk in walks]
    net = array("b", (first + second for first, _ in halves for second, _ in halves))
    peak = array("b", (max(high, first + then) for first, high in halves for _, then in halves))
    return net, peak
