"""What is wrong with a spec: one line a problem, with the place an editor can jump to."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

_LONGEST_SHOWN = 60
_MOST_COMPARED = 100


@dataclass(frozen=True, slots=True, order=True)
class SpecProblem:
    """One thing that is wrong with a file under `specs/`.

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
        """The place and the message on one line of printable characters, without the rule."""
        return printable(f"{self.path}:{self.line}:{self.column} {self.pointer or '(whole file)'} {self.message}")


def printable(text: str) -> str:
    """The text on one line: control, bidirectional and other invisible characters become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(value: object) -> str:
    """A value of a spec as it stands in a message: as JSON, shortened."""
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > _LONGEST_SHOWN:
            return text[: _LONGEST_SHOWN - 1] + "…"
    return text


def _parts(value: object) -> Iterator[str]:
    """The JSON text bit by bit: what is not shown of a large value costs nothing."""
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
    """Names in a message: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean "…"?)` when a known name is close, else nothing."""
    candidates = sorted(islice(known, _MOST_COMPARED))
    matches = difflib.get_close_matches(name[:_LONGEST_SHOWN], candidates, n=1)
    return f" (did you mean {shown(matches[0])}?)" if matches else ""
