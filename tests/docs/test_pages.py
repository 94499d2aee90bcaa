"""Every page is a script: its files are written, its commands run, its code executed, in the tutorial's project."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from .pages import DJANGO_TASKS, FIRST_JOB, README, ROOT, blocks, installs, name_of, pages
from .reader import Reader

EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
MOST_WORDS = 700
MOST_LINES = 30


def by_duration(page: Path) -> object:
    """Mark a long page as slow. The README and other pages of the tutorial run the same commands."""
    is_long = page.parent.name == "how-to" or page.name == "change-a-spec.md"
    return pytest.param(page, marks=pytest.mark.slow) if is_long else page


TRIED = [by_duration(page) for page in pages() if page not in (DJANGO_TASKS, FIRST_JOB)]


@pytest.mark.parametrize("page", TRIED, ids=name_of)
def test_every_block_of_a_page_works(
    page: Path, tmp_path: Path, programs: list[Path], copy_of_tutorial: Callable[[], Path]
) -> None:
    reader = Reader(tmp_path if page == README else copy_of_tutorial(), programs)
    for block in blocks(page):
        reader.follow(block)
    reader.finish()


@pytest.mark.parametrize("page", [README, FIRST_JOB], ids=name_of)
def test_a_first_page_installs_what_a_new_project_needs_for_development(page: Path) -> None:
    template = ROOT / "generator/server_jobs_generator/templates/project/pyproject.toml.jinja"
    (extras,) = re.findall(r'^dev = .*"(server-jobs\[[\w,]+\])"', template.read_text(encoding="utf-8"), re.MULTILINE)
    assert f'"{extras}"' in installs(page.read_text(encoding="utf-8"))


def test_the_tutorial_makes_the_project_of_all_other_pages(tutorial: Path) -> None:
    assert (tutorial / "server-jobs.sqlite3").exists()
    assert (tutorial / "handlers/send_email.py").exists()


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_page_names_existing_extras_files_and_tests(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    extras = {extra for found in re.findall(r"server-jobs\[([\w,]+)\]", text) for extra in found.split(",")}
    written = {block.title for block in blocks(page)}
    paths = set(re.findall(r"`((?:tests|runtime|generator)/[\w./-]+)`", text)) - written
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert extras <= EXTRAS
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests] == []


def test_every_extra_is_installed_on_some_page() -> None:
    lines = [line for page in pages() for line in installs(page.read_text(encoding="utf-8"))]
    named = {
        extra for line in lines for found in re.findall(r"server-jobs\[([\w,]+)\]", line) for extra in found.split(",")
    }

    assert named == EXTRAS


def test_a_page_installs_the_part_of_sqlalchemy_for_asyncio_before_it_shows_code_for_it() -> None:
    """Without this extra, SQLAlchemy has no greenlet and refuses the import. The environment of the tests has it."""
    async_pages = [page for page in pages() if "sqlalchemy.ext.asyncio" in page.read_text(encoding="utf-8")]
    before = [page.read_text(encoding="utf-8").partition("sqlalchemy.ext.asyncio")[0] for page in async_pages]

    assert len(before) >= 1
    assert [
        name_of(page)
        for page, text in zip(async_pages, before, strict=True)
        if not any("sqlalchemy[asyncio]" in one for one in installs(text))
    ] == []


def test_each_link_to_a_file_leads_to_one() -> None:
    """`make docs-check` also tests the anchors, and the pages that Sphinx makes."""
    found = [
        (page, target)
        for page in pages()
        for target in re.findall(r"\]\((?![a-z]+:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    ]

    assert len([page for page, _ in found if page == README]) > 10
    assert [(name_of(page), target) for page, target in found if not (page.parent / target).exists()] == []


def test_each_message_on_the_page_of_problems_is_one_of_the_program() -> None:
    page = ROOT / "docs/how-to/troubleshooting.md"
    first_cells = re.findall(r"^\| (.+?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    spans = [found for cell in first_cells for found in re.findall(r"``(.+?)``|`(.+?)`", cell)]
    quoted = [(double or single).strip() for double, single in spans]
    messages = [text for text in quoted if " " in text or text.endswith(":")]
    program = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "runtime").rglob("*.py"))
    program = program.replace("{self.command}", "server-jobs migrate")

    assert len(messages) >= 6
    assert [message for message in messages if message not in program] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS
    example = [
        block.text
        for block in blocks(README)
        if block.title.endswith((".json", ".py")) or "server-jobs worker" in block.text
    ]
    assert len(example) == 4
    assert len([line for text in example for line in text.splitlines() if line]) <= MOST_LINES
