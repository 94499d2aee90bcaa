"""Roles that link to source files: `source`, `test` and `sabotage`.

`{source}` takes a path such as `runtime/server_jobs/engine/worker.py`, or a path and a name, `…/worker.py#Worker.run`.
`{test}` takes the name of a test, `{sabotage}` the name of a case in the sabotage tests. A missing file or name causes
a warning, which fails the build.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path, PurePosixPath
from typing import cast

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

ROOT = Path(__file__).parents[3]
_KIND = "server-jobs-source"
_FILES = "source files"
"""The key in the metadata of a page: the files that it links to."""

_TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)

_logger = logging.getLogger(__name__)


class SourceRole(SphinxRole):
    """A link to a file of this repository, or to a name in it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return a pending link. Sphinx resolves it when it knows every page."""
        place = self.place()
        if place is None:
            _logger.warning("no source %s", self.text, location=self.get_location())
            return [nodes.literal(text=self.text)], []
        path, anchor = place
        files = cast("list[str]", self.env.metadata[self.env.docname].setdefault(_FILES, []))
        files.append(path)
        link = pending_xref("", refdomain="", reftype=_KIND, reftarget=path, refname=anchor, refexplicit=True)
        link += nodes.literal(text=self.shown())
        return [link], []

    def place(self) -> tuple[str, str] | None:
        """Return the path and the anchor, or None if the file or the name does not exist."""
        path, _, name = self.text.partition("#")
        is_there = (ROOT / path).is_file() and (not name or name in tags_of(path))
        return (path, name) if is_there else None

    def shown(self) -> str:
        """Return the text of the link."""
        path, _, name = self.text.partition("#")
        return name or path


class TestRole(SourceRole):
    """A link to a test by its name."""

    def place(self) -> tuple[str, str] | None:
        """Return the file of the test and its name."""
        path = tests().get(self.text)
        return None if path is None else (path, self.text)


class SabotageRole(SourceRole):
    """A link to the file with a case of the sabotage tests."""

    def place(self) -> tuple[str, str] | None:
        """Return the file of the case."""
        path = sabotage_cases().get(self.text)
        return None if path is None else (path, "CASES")


@cache
def tags_of(path: str) -> dict[str, tuple[str, int, int]]:
    """Return the functions and classes of a file: kind, first line and last line by name."""
    if not path.endswith(".py"):
        return {}
    tags = ModuleAnalyzer.for_file(ROOT / path, path).find_tags()
    return tags | {name: ("variable", line, line) for name, line in _variables(path)}


def _variables(path: str) -> Iterator[tuple[str, int]]:
    for statement in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((one.id, statement.lineno) for one in targets if isinstance(one, ast.Name))


@cache
def tests() -> dict[str, str]:
    """Return the file of each test of this repository by the name of the test."""
    return {
        name: path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in _TEST.findall(path.read_text(encoding="utf-8"))
    }


@cache
def sabotage_cases() -> dict[str, str]:
    """Return the file of each case of the sabotage tests by its first argument."""
    return {
        value: path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "sabotage" in path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
        if isinstance(value := node.args[0].value, str)
    }


def _page(path: str) -> str:
    return f"source/{PurePosixPath(path).with_suffix('')}"


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    if node.get("reftype") != _KIND:
        return None
    anchor = f"#{node['refname']}" if node["refname"] else ""
    uri = app.builder.get_relative_uri(node.get("refdoc", env.docname), _page(node["reftarget"]))
    return nodes.reference("", "", content, internal=True, refuri=uri + anchor)


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, object], str]]:
    builder = app.builder
    if not isinstance(builder, StandaloneHTMLBuilder):
        return
    for path in sorted({path for found in app.env.metadata.values() for path in found.get(_FILES, ())}):
        yield _page(path), {"title": path, "body": _body(builder, path)}, "page.html"


def _body(builder: StandaloneHTMLBuilder, path: str) -> str:
    """Return the highlighted source, with an anchor before each function, class and variable."""
    text = (ROOT / path).read_text(encoding="utf-8")
    language = "python" if path.endswith(".py") else "json"
    lines = builder.highlighter.highlight_block(text, language).splitlines()
    for name, (_, first, _) in tags_of(path).items():
        # The first line of the text is on the line of the opening tags.
        lines[first - 1] = f'<span id="{escape(name)}"></span>{lines[first - 1]}'
    return f"<h1>{escape(path)}</h1>\n" + "\n".join(lines)


def register(app: Sphinx) -> None:
    """Register the roles, and the pages with sources."""
    app.add_role("source", SourceRole())
    app.add_role("test", TestRole())
    app.add_role("sabotage", SabotageRole())
    app.connect("missing-reference", _resolve)
    app.connect("html-collect-pages", _pages)
