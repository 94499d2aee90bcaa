"""The directive `generated`, which inserts Markdown that a function of this package writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .content import (
    commands,
    job_options,
    keywords,
    measurements,
    routes,
    rules,
    settings,
    tables,
    transitions,
    views,
)

WRITERS: Mapping[str, Callable[[], str]] = {
    "commands": commands.summary,
    "command details": commands.details,
    "routes": routes.details,
    "schemas of routes": routes.schemas,
    "x-job": job_options.options,
    "keywords": keywords.support,
    "ignored keywords": keywords.ignored,
    "formats": keywords.formats,
    "rules": rules.index,
    **{f"rules of {group.key}": group.markdown for group in rules.GROUPS},
    "moves": transitions.moves,
    "machine of the benchmark": measurements.machine,
    "figures of the benchmark": measurements.figures,
    "targets of the benchmark": measurements.targets,
    "tables": tables.details,
    "view columns": views.own_columns,
    "view types": views.property_types,
    "project settings": settings.project_settings,
    "cloudflare settings": settings.cloudflare_settings,
    "kubernetes settings": settings.kubernetes_settings,
    "settings of worker groups": settings.group_settings,
    "extras": settings.extras,
}
"""The writer of each word that the directive takes."""


class Generated(SphinxDirective):
    """The directive, which inserts the Markdown of a writer in `WRITERS`, headings included."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the Markdown."""
        writer = WRITERS.get(self.arguments[0])
        if writer is None:
            raise self.error(f"no writer {self.arguments[0]!r}; known: {', '.join(WRITERS)}")
        source = f"<{self.arguments[0]}>"
        lines = StringList(writer().splitlines(), source)
        parent = nodes.section()
        self.state.nested_parse(lines, 0, parent, match_titles=True)
        return list(parent.children)


def register(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("generated", Generated)
