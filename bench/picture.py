"""Bar charts of the results, as SVG that is readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .results import Spread
from .table import figure

_WIDTH, _LABELS, _FIGURES = 860, 190, 170
_BAR, _GAP, _TOP = 14, 10, 64
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 } .ours { font-weight: 700 }
  .note, .figure { fill: #57606a; font-size: 12px }
  .first { fill: #9aa7b5 } .second { fill: #c6cfd8 }
  .ours.first { fill: #1f6feb } .ours.second { fill: #79b0ff }
  .bare.first { fill: #c98a1b } .bare.second { fill: #e6bf75 }
  .range { stroke: #24292f; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note, .figure { fill: #9da7b3 } .range { stroke: #e6edf3 }
    .first { fill: #6b7785 } .second { fill: #49525d }
    .ours.first { fill: #4c93ff } .ours.second { fill: #2b5fae }
    .bare.first { fill: #c08a2e } .bare.second { fill: #7d5b20 }
  }
""".strip("\n")


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one subject, one for each series; None where it was not measured."""

    label: str
    bars: Sequence[Spread | None]
    kind: str
    """`ours`, `bare` or `peer`: its colours."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Groups of horizontal bars, best first; the line on a bar reaches from the least to the most."""

    file_name: str
    title: str
    series: Sequence[str]
    unit: str
    groups: Sequence[Group]

    def svg(self) -> str:
        """The drawing."""
        rows = list(self._rows())
        height = _TOP + sum(_height_of(group) + _GAP for group in self.groups) + 6
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f'<text class="title" x="0" y="20">{escape(self.title)}</text>',
            *self._legend(),
            *rows,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _legend(self) -> Iterator[str]:
        x = _LABELS
        for number, name in enumerate(self.series):
            yield f'<rect class="{_shade(number)}" x="{x}" y="34" width="12" height="12"/>'
            yield f'<text class="note" x="{x + 17}" y="44">{escape(name)}, {escape(self.unit)}</text>'
            x += 30 + 7 * len(f"{name}, {self.unit}")

    def _rows(self) -> Iterator[str]:
        largest = max((bar.most for group in self.groups for bar in group.bars if bar), default=1.0) or 1.0
        scale = (_WIDTH - _LABELS - _FIGURES) / largest
        y = _TOP
        for group in self.groups:
            yield from _group(group, y, scale)
            y += _height_of(group) + _GAP


def _group(group: Group, y: float, scale: float) -> Iterator[str]:
    middle = y + _height_of(group) / 2 + 4
    place = f'x="{_LABELS - 8}" y="{middle:g}" text-anchor="end"'
    yield f'<text class="{group.kind}" {place}>{escape(group.label)}</text>'
    for number, bar in enumerate(group.bars):
        if bar is None:
            continue
        top, end = y + number * _BAR, _LABELS + bar.median * scale
        yield (
            f'<rect class="{group.kind} {_shade(number)}" x="{_LABELS}" y="{top:g}" '
            f'width="{max(1.0, bar.median * scale):.1f}" height="{_BAR - 2}"/>'
        )
        if bar.most > bar.least:
            line = top + (_BAR - 2) / 2
            yield (
                f'<line class="range" x1="{_LABELS + bar.least * scale:.1f}" x2="{_LABELS + bar.most * scale:.1f}" '
                f'y1="{line:g}" y2="{line:g}"/>'
            )
            end = max(end, _LABELS + bar.most * scale)
        yield f'<text class="figure" x="{end + 6:.1f}" y="{top + 10:g}">{escape(figure(bar.median))}</text>'


def _height_of(group: Group) -> int:
    return _BAR * len(group.bars)


def _shade(number: int) -> str:
    return ("first", "second")[number]
