"""The description of the architecture matches the folders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.packages import PACKAGES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
MOST_MODULES = 20
MOST_METHODS = 20
MOST_LINES = 300


def folders(package: str) -> list[Path]:
    """Return the folders with modules of a package, at any depth, without those of installed packages."""
    found = {path.parent for path in (ROOT / package).rglob("*.py")}
    return sorted(folder for folder in found if not {".venv", "node_modules"} & set(folder.parts))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_is_described(package: str) -> None:
    named = set(re.findall(r"`([\w.]+)`", TEXT))
    inside = {folder.relative_to(ROOT / package).parts[0] for folder in folders(package) if folder != ROOT / package}
    assert inside - named - {"script"} == set()


@pytest.mark.parametrize(("page", "least"), [("docs/explanation/architecture.md", 5), ("CONTRIBUTING.md", 10)])
def test_each_file_that_is_named_exists(page: str, least: int) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = [ROOT / path for path in re.findall(r"`([\w/]+/[\w.]+)`", text)]
    paths += [(ROOT / page).parent / link for link in re.findall(r"\]\(([\w/.-]+)\)", text)]
    assert len(paths) >= least
    assert [path for path in paths if not path.exists()] == []


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


@pytest.mark.parametrize("package", [*PACKAGES, "bench", "tests"])
def test_no_folder_has_more_modules_than_a_reader_keeps_in_mind(package: str) -> None:
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("[!_]*.py"))) for folder in folders(package)}
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def sizes(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the name, the public methods and the lines of each class in a module. Properties count as methods."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            functions = [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            public = {name for name in functions if not name.startswith("_")}
            yield node.name, len(public), (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("package", PACKAGES)
def test_no_class_has_more_than_a_reader_keeps_in_mind(package: str) -> None:
    found = [size for folder in folders(package) for path in folder.glob("*.py") for size in sizes(path)]
    too_large = {size for size in found if size[1] > MOST_METHODS or size[2] > MOST_LINES}

    assert found
    assert too_large == set()


def test_a_class_with_too_many_methods_or_lines_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    methods = [f"    @property\n    def name{number}(self) -> int:\n        return 1\n" for number in range(21)]
    module.write_text("class Many:\n" + "".join(methods), encoding="utf-8")
    assert list(sizes(module)) == [("Many", 21, 64)]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_has_a_docstring(package: str) -> None:
    silent = [folder for folder in folders(package) if not (folder / "__init__.py").exists()]
    assert [folder.relative_to(ROOT).as_posix() for folder in silent if "migrations/script" not in str(folder)] == []


def named_in_map(folder: Path) -> Iterator[str]:
    """Yield the modules in the second column of the table in a folder's docstring, if it has one."""
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    if table := re.search(r"^(=+  )=+\n(?:.+\n?)*", docstring, re.MULTILINE):
        for row in table[0].splitlines():
            yield from re.findall(r"`([a-z]\w*)`", row[len(table[1]) :])


@pytest.mark.parametrize("package", PACKAGES)
def test_each_module_in_the_map_of_a_folder_exists(package: str) -> None:
    described = [folder for folder in folders(package) if (folder / "__init__.py").exists()]
    known = {folder.name for folder in described}
    named = {(folder, name) for folder in described for name in named_in_map(folder) if name not in known}

    assert [place for folder, name in named if not (place := folder / f"{name}.py").exists()] == []


@pytest.mark.parametrize("package", ["runtime/server_jobs", "runtime/server_jobs_cli"])
def test_a_large_package_has_a_map(package: str) -> None:
    assert len(set(named_in_map(ROOT / package))) > 5
