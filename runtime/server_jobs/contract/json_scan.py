"""Scans of JSON text for values that no store accepts, without parsing.

1 MB of JSON can have 500,000 values, and a loop over them in Python takes a second. A scan is a few passes of `bytes`
methods. Its time depends on the length only: about 10 ms per MB.
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
_MANY = 20_000
# Opening brackets become 0 and closing ones 1; quotes stay.
_BRACKETS = bytes({0x5B: 0x30, 0x7B: 0x30, 0x5D: 0x31, 0x7D: 0x31}.get(byte, byte) for byte in range(256))
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_DIGITS = bytes(0x30 if byte in b"0123456789" else 0x20 for byte in range(256))
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")
_EXPONENTS = bytes({0x2B: 0x2B, 0x45: 0x65, 0x65: 0x65}.get(byte, _DIGITS[byte]) for byte in range(256))

_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def has_many_values(text: str) -> bool:
    """Whether JSON text has more than 20,000 values, and so many for its length that parsing takes over 5 ms per MB."""
    marks = sum(map(text.count, ",:[{"))
    if marks <= _MANY or 8 * marks <= len(text):
        return False
    if text.count('"') > _MANY:
        return True
    outside = JsonScan(text.encode("utf-8", "replace")).outside_of_strings()
    return sum(map(outside.count, (b",", b":", b"[", b"{"))) > _MANY


class JsonScan:
    """A JSON text in UTF-8. The results for text that is not JSON are meaningless."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def _plain(self) -> bytes:
        """Return the text without escaped backslashes and quotes, so that every quote starts or ends a string."""
        return self._data.replace(rb"\\", b"__").replace(rb"\"", b"__") if b"\\" in self._data else self._data

    def has_unstorable_escape(self) -> bool:
        """Whether a string contains an escaped NUL or half of an escaped surrogate pair."""
        if b"\\" not in self._data or rb"\u" not in self._data:  # a search for one byte is many times faster
            return False
        if rb"\u0000" in self._plain:
            return True
        if rb"\ud" not in self._plain and rb"\uD" not in self._plain:
            return False
        return _SURROGATE.search(_SURROGATE_PAIR.sub(b"", self._plain)) is not None

    def outside_of_strings(self) -> bytes:
        """Return the text without its strings."""
        return _outside_of_strings(self._plain)

    def long_numbers(self, digits: int) -> Iterator[tuple[int, bool]]:
        """Yield each run of at least `digits` digits outside of strings: its length, and whether it is an integer.

        Otherwise it belongs to a number with a fraction or an exponent.
        """
        if not self._data[digits - 1 :: digits].translate(None, _NO_DIGITS):
            return  # a run of this length covers one of these places
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
        """Whether the text contains a three-digit exponent, NaN or Infinity, possibly inside of a string."""
        if b"NaN" in self._data or b"Infinity" in self._data:
            return True
        exponents = self._data.translate(_EXPONENTS)
        return b"e000" in exponents or b"e+000" in exponents

    def is_deeper_than(self, most: int) -> bool:
        """Whether some place is inside of more than `most` arrays and objects."""
        brackets = self._brackets()
        if brackets.count(b"0") <= most:
            return False
        brackets += b"1" * (-len(brackets) % 16)
        words = unpack(f">{len(brackets) // 16}H", int(brackets, 2).to_bytes(len(brackets) // 8, "big"))
        net, peak = _net_and_peak()
        depths = list(accumulate(map(net.__getitem__, words), initial=0))
        # A word of 16 brackets goes at most 16 levels deeper than its start.
        return max(depths) > most - 16 and max(map(add, depths, map(peak.__getitem__, words))) > most

    def _brackets(self) -> bytes:
        """Return the brackets outside strings: 0 opens and 1 closes."""
        # Removing adjacent quotes is safe: no bracket changes from inside to outside of a string.
        return _outside_of_strings(self._plain.translate(_BRACKETS, _NO_BRACKETS).replace(b'""', b""))


def _outside_of_strings(text: bytes) -> bytes:
    return b"".join(text.split(_QUOTE)[::2]) if _QUOTE in text else text


@cache
def _net_and_peak() -> tuple[Sequence[int], Sequence[int]]:
    """Return for each word of 16 brackets, one per bit, its change of depth and its largest depth."""
    walks = [tuple(accumulate(-1 if byte >> bit & 1 else 1 for bit in range(7, -1, -1))) for byte in range(256)]
    halves = [(walk[-1], max(0, *walk)) for walk in walks]
    net = array("b", (first + second for first, _ in halves for second, _ in halves))
    peak = array("b", (max(high, first + then) for first, high in halves for _, then in halves))
    return net, peak
