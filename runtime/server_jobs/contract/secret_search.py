"""One search for many secrets at once. Its time depends on the length of the text, and not on their number."""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

LONGEST_SHOWN = 64 * 1024
"""Most bytes of a text that are searched and shown."""

_BLOCK = 4
_CHUNK = 4 * 1024
_ANCHOR = 12
"""Bytes of a secret whose beginning is a match too. A shorter secret is a match as a whole only."""
_FIRST_KEY = 64
_MOST_STEPS = 2_000
_STEPS_OF_A_MATCH = 10
_LISTED_IN_A_STEP = 16
_MORE = "…".encode()

_SHORT_WORD = re.compile(r"(?<!\w)\w{1,3}(?!\w)")
_WORD = re.compile(r"\w+")


class SecretSearch:
    """A search for these secrets of at least four bytes. True: the secret is longer, and the rest of it is not known.

    Compares blocks of four bytes, as integers, with all blocks at the beginning of a secret. A secret of at least seven
    bytes covers a block whose position is a multiple of four, so that the search goes in steps of four if it can.
    """

    def __init__(self, secrets: Mapping[bytes, bool]) -> None:
        self._exact = {secret for secret in secrets if len(secret) < _ANCHOR}
        self._lengths = sorted({len(secret) for secret in self._exact}, reverse=True)
        self._by_anchor: dict[bytes, list[bytes]] = {}
        for secret in sorted(secret for secret in secrets if len(secret) >= _ANCHOR):
            self._by_anchor.setdefault(secret[:_ANCHOR], []).append(secret)
        self._beginnings = tuple(secret for secret, is_longer in secrets.items() if is_longer)
        self._step = _BLOCK if min(self._lengths, default=_ANCHOR) >= 2 * _BLOCK - 1 else 1
        self._blocks = frozenset(
            int.from_bytes(secret[shift : shift + _BLOCK], sys.byteorder)
            for secret in (*self._exact, *self._by_anchor)
            for shift in range(self._step)
        )

    def masked(self, text: bytes, mask: bytes, limit: int = LONGEST_SHOWN) -> bytes:
        """Return the text with all secrets masked, and at most `limit` bytes of it, or the same object."""
        shown: list[bytes] = []
        end = size = 0
        for start, stop in self._matches(text, limit):
            shown += (text[end:start], mask)
            size += start - end + len(mask)
            end = stop
            if size >= limit:
                break
        if not shown and len(text) <= limit:
            return text
        left = max(0, limit - size)
        shown += (text[end : end + left], _MORE if len(text) - end > left else b"")
        return b"".join(shown)

    def _matches(self, text: bytes, limit: int) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each match. After too many steps, the last match is the rest of the text."""
        base = end = hidden = steps = 0
        while base < len(text) and base - hidden < limit:
            blocks = self._known_blocks(text, base)
            steps += len(blocks) // _LISTED_IN_A_STEP
            for block in blocks[bisect_left(blocks, end) :]:
                steps += 1
                first = max(end, block - self._step + 1)
                if steps > _MOST_STEPS:
                    yield first, len(text)
                    return
                for start in range(first, block + 1):
                    stop = self._end_of_match(text, start)
                    if stop > start:
                        yield start, stop
                        hidden, end, steps = hidden + stop - start, stop, steps + _STEPS_OF_A_MATCH
                        break
            base = max(base + _CHUNK, end - end % _BLOCK)

    def _known_blocks(self, text: bytes, base: int) -> Sequence[int]:
        """Return the positions, in one chunk of the text, of blocks with which a secret can begin."""
        found: list[int] = []
        for first in range(base, base + _BLOCK, self._step):
            chunk = memoryview(text)[first : first + _CHUNK]
            words = chunk[: len(chunk) - len(chunk) % _BLOCK].cast("I")
            if not self._blocks.isdisjoint(words):
                places = range(first, first + len(chunk), _BLOCK)
                found += compress(places, map(self._blocks.__contains__, words))
        return found if self._step == _BLOCK else sorted(found)

    def _end_of_match(self, text: bytes, start: int) -> int:
        """Return the end of the longest match that starts here, or 0."""
        secrets = self._by_anchor.get(text[start : start + _ANCHOR])
        if secrets is not None:
            length, secret = _agreement(secrets, text, start)
            is_whole = length == len(secret) and secret not in self._beginnings
            if not is_whole and any(text.startswith(beginning, start) for beginning in self._beginnings):
                return len(text)
            return start + length
        for length in self._lengths:
            if text[start : start + length] in self._exact:
                return start + length
        return 0


def _agreement(secrets: Sequence[bytes], text: bytes, start: int) -> tuple[int, bytes]:
    """Return the most bytes with which one of these sorted secrets agrees with the text, and the secret.

    In sorted order, the secret with the longest agreement is a neighbour of the text.
    """
    size = _FIRST_KEY
    while True:
        key = text[start : start + size]
        place = bisect_left(secrets, key)
        best = max((_common(secret, key), secret) for secret in secrets[max(0, place - 1) : place + 1])
        if best[0] < size:
            return best
        size *= 4


def _common(one: bytes, other: bytes) -> int:
    """Return the length of the longest common beginning."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


class ShortWords:
    """A search for short values as whole words. A value without a letter or a digit is no word."""

    def __init__(self, values: Iterable[str]) -> None:
        self._around: dict[str, set[tuple[str, str]]] = {}
        for value in values:
            if found := _WORD.search(value):
                around = value[: found.start()], value[found.end() :]
                self._around.setdefault(found[0], set()).add(around)

    def masked(self, text: str, mask: str) -> str:
        """Return the text with these words masked."""
        if not self._around:
            return text
        shown: list[str] = []
        end = 0
        for word in _SHORT_WORD.finditer(text):
            for before, after in self._around.get(word[0], ()):
                is_here = text.endswith(before, 0, word.start()) and text.startswith(after, word.end())
                if is_here and word.start() >= end:
                    shown += (text[end : word.start()], mask)
                    end = word.end() + len(after)
        return "".join((*shown, text[end:])) if shown else text
