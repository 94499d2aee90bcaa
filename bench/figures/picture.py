"""Bar charts of the results, as SVG that is readable on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.figures.results import Spread
from bench.figures.table import figure

_WIDTH, _LABELS, _FIGURES = 860, 240, 120
_BAR, _GAP, _TOP = 14, 10, 64
# A page with a theme sets these variables. Elsewhere, the colours after the comma apply.
_STYLE = """
  .chart { --ink: var(--color-foreground-primary, #24292f); --soft: var(--color-foreground-secondary, #57606a) }
  @media (prefers-color-scheme: dark) {
    .chart { --ink: var(--color-foreground-primary, #e6edf3); --soft: var(--color-foreground-secondary, #9da7b3) }
  }
  .chart text { font: 13px system-ui, sans-serif; fill: var(--ink) }
  .chart .title { font-size: 16px; font-weight: 600 } .chart text.ours { font-weight: 700 }
  .chart .note, .chart .figure { fill: var(--soft); font-size: 12px }
  .chart .first { fill: #8b98a7 } .chart .second { fill: #b3bfcb }
  .chart .ours.first { fill: #2f7bf0 } .chart .ours.second { fill: #79b0ff }
  .chart .bare.first { fill: #c98a1b } .chart .bare.second { fill: #e6bf75 }
  .chart .range { stroke: var(--ink); stroke-width: 1 }
""".strip("\n")


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one subject, one for each series; None for a series without a measurement."""

    label: str
    bars: Sequence[Spread | None]
    kind: str
    """`ours`, `bare` or `peer`, which chooses the colours."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Groups of horizontal bars, best first. The line on a bar extends from the minimum to the maximum."""

    file_name: str
    title: str
    series: Sequence[str]
    unit: str
    groups: Sequence[Group]

    def svg(self) -> str:
        """Return the picture as SVG."""
        rows = list(self._rows())
        height = _TOP + sum(_height_of(group) + _GAP for group in self.groups) + 6
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {_WIDTH} {height}" role="img">',
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
