"""The README and the pages of the documentation, with their code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FIRST_JOB = ROOT / "docs/tutorial/first-job.md"
"""The page that makes the project. Every page of the documentation goes on from there."""
DJANGO_TASKS = ROOT / "docs/how-to/django-tasks.md"
"""The page that needs Django 6, which a Python of these tests may be too old for. `tests/installed` follows it."""

_FENCE = re.compile(r"^```(?P<language>\S*)(?: (?P<title>.+))?$")
# `test_reference` tests the writers of these parts.
_GENERATED = re.compile(r"^<!-- generated: .*?^<!-- end -->$", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"pip install ([^`\n#]+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, the rest of the opening line (a file name, or the kind of block), its text."""

    language: str
    title: str
    text: str


def pages() -> list[Path]:
    """Return the README and every page that Sphinx builds."""
    documents = (path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return [README, *sorted(documents)]


def name_of(page: Path) -> str:
    """Return the path of a page in this repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order, without its generated parts.

    Fails at an indented block, which Markdown shows and nobody would try.
    """
    written = _GENERATED.sub("", page.read_text(encoding="utf-8"))
    return list(_blocks(written.splitlines(), name_of(page)))


def block(page: Path, language: str, title: str = "", *, start: str = "") -> str:
    """Return the text of the only block of this kind that begins with `start`."""
    named = [one for one in blocks(page) if (one.language, one.title) == (language, title)]
    (found,) = [one.text for one in named if one.text.startswith(start)]
    return found


def installs(text: str) -> list[str]:
    """Return the packages of each `pip install` of a page or a block, in blocks and in sentences."""
    return [found.strip() for found in _INSTALL.findall(text)]


def _blocks(lines: list[str], page: str) -> Iterator[Block]:
    rest = iter(lines)
    for line in rest:
        assert not re.match(r"\s+```", line), f"{page}: an indented block is never tried: {line}"
        if not line.startswith("```"):
            continue
        opening = _FENCE.match(line)
        assert opening, f"{page}: {line}"
        text = "".join(f"{inner}\n" for inner in iter(lambda: next(rest), "```"))
        yield Block(opening["language"], opening["title"] or "", text)
