"""The documentation builds without warnings, and every link in it leads somewhere. `make docs-check` uses a browser."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := values.get(name)))
        for name in ("href", "src"):
            if (value := values.get(name)) is not None:
                self.links.append(value)


def build(folder: Path) -> Path:
    """Build the site as `make docs` does. Return its folder."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    paths = [str(ROOT / "docs"), str(folder / "html"), "--doctree-dir", str(folder / "doctrees")]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def broken_links(site: Path) -> list[str]:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if urlsplit(link).scheme or link.startswith(("//", "#!")):
                continue
            address, anchor = urldefrag(link)
            target = (path.parent / unquote(urlsplit(address).path)).resolve() if urlsplit(address).path else path
            is_there = target.exists() and (
                not anchor or target not in pages or unquote(anchor) in pages[target].anchors
            )
            if not is_there:
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def loaded_from_elsewhere(site: Path) -> list[str]:
    return [
        line
        for path in site.rglob("*.html")
        for line in path.read_text(encoding="utf-8").splitlines()
        if ("<script src" in line or "<link rel" in line) and ("http:" in line or "https:" in line)
    ]


# The links between files are tested in `test_pages`, too.
@pytest.mark.slow
# One test, because the tests of a file run in several processes, and each would build the site.
def test_the_site_builds_and_each_link_leads_somewhere(tmp_path: Path) -> None:
    site = build(tmp_path)

    assert len(list(site.rglob("*.html"))) > 40
    assert broken_links(site) == []
    assert loaded_from_elsewhere(site) == []
    assert "leas" in (site / "searchindex.js").read_text(encoding="utf-8")


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a href="#c">c</a>', encoding="utf-8")
    assert broken_links(tmp_path) == ["a.html: b.html", "a.html: #c"]


def test_a_script_from_elsewhere_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<script src="https://example.com/a.js"></script>', encoding="utf-8")
    assert len(loaded_from_elsewhere(tmp_path)) == 1
