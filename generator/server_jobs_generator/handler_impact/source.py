"""Places in the text of a handler, and edits of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import unified_diff

_MARK = "\ufeff"
# Other characters that Python's `splitlines` knows end no line of a patch.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

Point = tuple[int, int]
"""A line from 1, and a column in bytes from 0, as `ast` counts."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From one point of a text to another."""

    start: Point
    end: Point


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Another text for a span."""

    span: Span
    text: str


def span_of(node: ast.stmt | ast.expr | ast.keyword | ast.alias | ast.pattern) -> Span:
    """Where a node stands."""
    return Span((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0))


def end_of(node: ast.expr, name: str) -> Span:
    """The name at the end of a node, such as that of an attribute."""
    span = span_of(node)
    return Span((span.end[0], span.end[1] - len(name.encode())), span.end)


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one module of handlers. `path` is relative to the project's root.

    `mark` is what stands before the text and is no part of it: a byte order mark, or nothing.
    """

    path: str
    text: str
    mark: str = ""
    lines: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        # As `ast` splits: at the ends of lines that Python knows, and at no others.
        object.__setattr__(self, "lines", self.text.encode().splitlines(keepends=True))

    @classmethod
    def read(cls, path: str, data: bytes) -> Source:
        """The module in these bytes. Raises `UnicodeDecodeError` if they are not UTF-8."""
        text = data.decode()
        return cls(path, text.removeprefix(_MARK), text[: text.startswith(_MARK)])

    def column(self, point: Point) -> int:
        """The column in characters, from 1."""
        return len(self.lines[point[0] - 1][: point[1]].decode("utf-8", "replace")) + 1

    def between(self, start: Point, end: Point) -> str:
        """The text from one point to another."""
        return self.text.encode()[self._offset(start) : self._offset(end)].decode("utf-8", "replace")

    def edited(self, edits: Iterable[Edit]) -> str:
        """The text after these edits; of those that overlap the first one counts."""
        data, end = self.text.encode(), 0
        parts: list[bytes] = []
        for edit in sorted(set(edits)):
            start = self._offset(edit.span.start)
            if start >= end:
                parts += [data[end:start], edit.text.encode()]
                end = self._offset(edit.span.end)
        return b"".join([*parts, data[end:]]).decode()

    def patch(self, edits: Iterable[Edit]) -> str:
        """The edits as a unified diff, for `git apply` and `patch -p1`; nothing when nothing changes."""
        old, new = (_LINE.findall(self.mark + text) for text in (self.text, self.edited(edits)))
        lines = unified_diff(old, new, f"a/{self.path}", f"b/{self.path}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def _offset(self, point: Point) -> int:
        return sum(map(len, self.lines[: point[0] - 1])) + point[1]
