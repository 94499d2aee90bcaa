"""The generated parts of pages: `python -m server_jobs_docs.generated` renews them.

A part stands in the page, so that whoever reads the repository sees it. A test fails if it is out of date.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

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
"""The writer of each generated part, by the word in its first line."""
FOLDER = Path(__file__).parents[2]


_PART = re.compile(r"^<!-- generated: (?P<word>[^.]+)\. .*?-->\n(?P<text>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


def words(text: str) -> list[str]:
    """Return the words of the generated parts of a page."""
    return [part["word"] for part in _PART.finditer(text)]


def renewed(text: str) -> str:
    """Return a page with its generated parts as their writers write them now.

    Raises `LookupError` for an unknown word.
    """
    return _PART.sub(_written, text)


def without(text: str) -> str:
    """Return a page without its generated parts."""
    return _PART.sub("", text)


def _written(part: re.Match[str]) -> str:
    word = part["word"]
    if word not in WRITERS:
        raise LookupError(f"no writer {word!r}; known: {', '.join(WRITERS)}")
    text = WRITERS[word]().strip("\n")
    return f"<!-- generated: {word}. `make reference` writes it. -->\n\n{text}\n\n<!-- end -->"


def write_all() -> None:
    """Renew all pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            page.write_text(new, encoding="utf-8")


def pages() -> list[Path]:
    """Return the pages with generated parts."""
    found = (path for path in sorted(FOLDER.rglob("*.md")) if "_build" not in path.parts)
    return [path for path in found if words(path.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    write_all()
