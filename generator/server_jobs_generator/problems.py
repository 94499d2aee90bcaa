"""What is wrong with a spec: one line a problem, with the place an editor can jump to."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

_LONGEST_SHOWN = 60
_MOST_COMPARED = 100


@dataclass(frozen=True, slots=True, order=True)
class SpecProblem:
    """One thing that is wrong with a file under `specs/`.

    `path` is relative to the project's root, with `/`; `line` and `column` count from 1; `pointer` is the JSON pointer
    of the value, `""` for the whole file. Problems sort in reading order.
    """

    path: str
    line: int
    column: int
    pointer: str
    message: str

    def __str__(self) -> str:
        return printable(f"{self.path}:{self.line}:{self.column} {self.pointer or '(whole file)'} {self.message}")


def printable(text: str) -> str:
    """The text on one line: control, bidirectional and other invisible characters become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(value: object) -> str:
    """A value of a spec as it stands in a message: as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Names in a message: `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean "…"?)` when a known name is close, else nothing."""
    candidates = sorted(islice(known, _MOST_COMPARED))
    matches = difflib.get_close_matches(name[:_LONGEST_SHOWN], candidates, n=1)
    return f" (did you mean {shown(matches[0])}?)" if matches else ""
