"""Problems of specs: one line for each, with a place that an editor can open."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import cast

from server_jobs.domain.suggestions import closest

_LONGEST_SHOWN = 60
_LONGEST_POINTER = 300
_MOST_COMPARED = 100
_MOST_KNOWN = 4_000


@dataclass(frozen=True, slots=True, order=True)
class SpecProblem:
    """One problem of a file under `specs/`.

    `path` is relative to the project's root, with `/`; `line` and `column` count from 1; `pointer` is the JSON pointer
    of the value, `""` for the whole file; `rule` is the id of a `Rule`. Problems sort in reading order.
    """

    path: str
    line: int
    column: int
    pointer: str
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.text} [{self.rule}]"

    @property
    def text(self) -> str:
        """Return the place and the message on one line of printable characters, without the rule."""
        return printable(f"{self.path}:{self.line}:{self.column} {self.pointer_and_message}")

    @property
    def pointer_and_message(self) -> str:
        """Return the text after the place. A pointer that is too long for a line is shortened in the middle."""
        pointer = self.pointer or "(whole file)"
        if len(pointer) > _LONGEST_POINTER:
            half = _LONGEST_POINTER // 2
            pointer = f"{pointer[:half]}…{pointer[-half:]}"
        return f"{pointer} {self.message}"


def printable(text: str) -> str:
    """Return the text on one line: control, bidirectional and other invisible characters become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(value: object) -> str:
    """Return a value of a spec for a message: as JSON, shortened.

    >>> shown({"to": "ann@example.com"})
    '{"to": "ann@example.com"}'
    """
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > _LONGEST_SHOWN:
            return text[: _LONGEST_SHOWN - 1] + "…"
    return text


def _parts(value: object) -> Iterator[str]:
    """Yield the JSON text in pieces, so that the hidden part of a large value costs nothing."""
    match value:
        case str():
            yield json.dumps(value[:_LONGEST_SHOWN], ensure_ascii=False)
        case Mapping():
            yield "{"
            for number, (key, item) in enumerate(cast("Mapping[str, object]", value).items()):
                yield from (", " if number else "", *_parts(key), ": ")
                yield from _parts(item)
            yield "}"
        case list():
            yield "["
            for number, item in enumerate(cast("list[object]", value)):
                yield ", " if number else ""
                yield from _parts(item)
            yield "]"
        case _:
            yield json.dumps(value, ensure_ascii=False)


def listed(names: Iterable[str]) -> str:
    """Return names for a message: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "…"?)` if a known name is similar, else nothing."""
    return did_you_mean(nearest_of(name, known))


def did_you_mean(name: str | None) -> str:
    """Return a name in brackets for the end of a message, nothing for None."""
    return "" if name is None else f" (did you mean {shown(name)}?)"


def nearest_of(name: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name; None if none is similar. Capitals, `-` and `_` do not count."""
    wanted = _letters(name)
    candidates = {_letters(each): each for each in sorted(islice(known, _MOST_KNOWN), reverse=True)}
    # An exact comparison is slow. With many names, compare only names that one typo could change into this name.
    likely = nlargest(_MOST_COMPARED, candidates, key=lambda each: _same_ends(wanted, each))
    matches = closest(wanted, likely)
    return candidates[matches[0]] if matches else None


@dataclass(slots=True)
class Suggestions:
    """Suggests similar names within a time limit: `left` is how many more names can be compared."""

    left: int = 100_000

    def nearest_of(self, name: str, known: Collection[str]) -> str | None:
        """Like the function `nearest_of`; also None if the limit is used up."""
        if self.left <= 0:
            return None
        self.left -= min(len(known), _MOST_KNOWN)
        return nearest_of(name, known)


def _letters(name: str) -> str:
    return name[:_LONGEST_SHOWN].casefold().replace("_", "").replace("-", "")


def _same_ends(one: str, other: str) -> int:
    """Return how many characters two names share at the start and at the end."""
    shortest = min(len(one), len(other))
    head = next((index for index in range(shortest) if one[index] != other[index]), shortest)
    tail = next((index for index in range(shortest) if one[-1 - index] != other[-1 - index]), shortest)
    return min(head + tail, shortest)
