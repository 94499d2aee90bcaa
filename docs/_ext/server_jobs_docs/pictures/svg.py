"""Small drawings as SVG. Each file is readable alone and inside a page, on light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

LINE_HEIGHT = 17

# A page with a theme sets these variables. Elsewhere, the fallbacks after the comma apply.
_STYLE = """
  .{name} {{ {light} }}
  @media (prefers-color-scheme: dark) {{ .{name} {{ {dark} }} }}
  .{name} text {{ font: 14px system-ui, sans-serif; fill: var(--ink) }}
  .{name} .soft {{ fill: var(--soft); font-size: 13px }} .{name} .bold {{ font-weight: 600 }}
  .{name} .box {{ fill: var(--paper); stroke-width: 2 }} .{name} .plain {{ stroke: var(--soft); stroke-width: 1 }}
  .{name} .arrow {{ fill: none; stroke: var(--soft); stroke-width: 1.5; marker-end: url(#{name}-head) }}
  .{name} .head {{ fill: var(--soft) }} .{name} .ground {{ fill: var(--ground) }}
""".strip("\n")
_COLOURS = (
    ("ink", "foreground-primary", "#1f2328", "#e6edf3"),
    ("soft", "foreground-secondary", "#57606a", "#9da7b3"),
    ("paper", "background-secondary", "#f6f8fa", "#1b2028"),
    ("ground", "background-primary", "#ffffff", "#0d1117"),
)
"""Each colour: its name here, its name in the theme, and the fallbacks for light and dark backgrounds."""


def _style(name: str) -> str:
    light = "; ".join(f"--{ours}: var(--color-{theirs}, {colour})" for ours, theirs, colour, _ in _COLOURS)
    dark = "; ".join(f"--{ours}: var(--color-{theirs}, {colour})" for ours, theirs, _, colour in _COLOURS)
    return _STYLE.format(name=name, light=light, dark=dark)


@dataclass(slots=True)
class Drawing:
    """A drawing that grows by its methods. `name` is a CSS class, unique among the drawings of a page."""

    name: str
    title: str
    width: int
    height: int
    _parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, *, stroke: str | None = None) -> None:
        """Draw a rounded box, with a colour or with a thin grey line."""
        kind, style = ("box plain", "") if stroke is None else ("box", f' style="stroke: {stroke}"')
        self._parts.append(
            f'<rect class="{kind}"{style} x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8"/>'
        )

    def text(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "middle") -> None:
        """Draw a line of text with its baseline at `y`."""
        style = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{style} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>')

    def lines(self, x: float, y: float, texts: Iterable[str], *, anchor: str = "middle") -> None:
        """Draw soft lines of text, the first one at `y`."""
        for number, text in enumerate(texts):
            self.text(x, y + number * LINE_HEIGHT, text, kind="soft", anchor=anchor)

    def arrow(self, path: str) -> None:
        """Draw an arrow along an SVG path."""
        self._parts.append(f'<path class="arrow" d="{path}"/>')

    def svg(self) -> str:
        """Return the file."""
        marker = (
            f'<marker id="{self.name}-head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path class="head" d="M0 0L10 5L0 10z"/></marker>'
        )
        size = f'viewBox="0 0 {self.width} {self.height}"'
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="{self.name}" {size} role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>\n{_style(self.name)}\n</style>",
                f"<defs>{marker}</defs>",
                f'<rect class="ground" width="{self.width}" height="{self.height}"/>',
                *self._parts,
                "</svg>\n",
            )
        )
