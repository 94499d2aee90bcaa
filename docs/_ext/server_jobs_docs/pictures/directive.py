"""The pictures: their files in docs/pictures, and the directive that puts one into a page.

`make pictures` writes the files. They are committed, so that other files of the repository can show them. A test
compares them with the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ..sources import ROOT
from . import architecture, state_machine, terminal

FOLDER = ROOT / "docs/pictures"
DRAWINGS: Mapping[str, Callable[[], str]] = {
    "state-machine": state_machine.draw,
    "architecture": architecture.draw,
    "terminal": terminal.draw,
}


class Picture(SphinxDirective):
    """The directive, which inlines an SVG file, so that its colours follow the theme.

    Its argument is a path relative to the root of the repository.
    """

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012  as docutils declares it

    def run(self) -> list[nodes.Node]:
        """Return the picture."""
        path = ROOT / self.arguments[0]
        if not path.is_file():
            raise self.error(f"no picture {self.arguments[0]}")
        label = escape(self.options["alt"], quote=True)
        svg = path.read_text(encoding="utf-8")
        # A region that the keyboard can scroll: on a narrow screen the picture keeps its size.
        html = f'<div class="picture" role="region" aria-label="{label}" tabindex="0">\n{svg}</div>'
        return [nodes.raw("", html, format="html")]


def register(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("picture", Picture)
