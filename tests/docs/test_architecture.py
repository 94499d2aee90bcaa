"""The description of the architecture against the folders that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
PACKAGES = ("runtime/server_jobs", "runtime/server_jobs_cli", "generator/server_jobs_generator")
MOST_MODULES = 20


def folders(package: str) -> list[Path]:
    """The folders of a package that hold modules, at any depth."""
    return sorted({path.parent for path in (ROOT / package).rglob("*.py")})


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_is_described(package: str) -> None:
    named = set(re.findall(r"`([\w.]+)`", TEXT))
    inside = {folder.relative_to(ROOT / package).parts[0] for folder in folders(package) if folder != ROOT / package}
    assert inside - named - {"script"} == set()


@pytest.mark.parametrize("page", ["docs/explanation/architecture.md", "CONTRIBUTING.md"])
def test_each_file_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"`([\w/]+/[\w.]+)`", text) + re.findall(r"\]\(([\w/.]+)\)", text)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_folder_of_tests_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "tests/README.md").read_text(encoding="utf-8"), re.MULTILINE))
    found = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    assert described == found - {"data", "demo"}


def test_each_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = ("CONTRIBUTING.md", "tests/README.md")
    named = {one for page in pages for one in re.findall(r"make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"))}
    assert len(named) > 5
    assert named <= targets


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_a_reader_keeps_in_mind(package: str) -> None:
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("[!_]*.py"))) for folder in folders(package)}
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_says_what_it_is(package: str) -> None:
    silent = [folder for folder in folders(package) if not (folder / "__init__.py").exists()]
    assert [folder.relative_to(ROOT).as_posix() for folder in silent if "migrations/script" not in str(folder)] == []
