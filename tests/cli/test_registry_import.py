"""The import of the registry, and the errors if it fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .shop import run


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder for modules to import, and clean up afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def refusal(folder: Path, place: str | None = None) -> str:
    registry = ["--registry", place] if place else []
    result = run("enqueue", "Shout", "--project", str(folder), *registry)
    assert result.exit_code in (2, 3)
    return result.stderr


def project(folder: Path, settings: str = "") -> None:
    (folder / "pyproject.toml").write_text(f"[tool.server-jobs]\n{settings}")


def test_before_anything_is_generated_the_command_says_so(folder: Path) -> None:
    project(folder)
    assert f"nothing is generated yet, there is no {folder}/generated/registry.py" in refusal(folder)


def test_the_generated_registry_is_that_of_the_project(folder: Path) -> None:
    project(folder, 'output = "src/app/produced"')
    package = folder / "src/app/produced"
    package.mkdir(parents=True)
    (package / "registry.py").write_text(
        "from server_jobs import create_job_registry\nregistry = create_job_registry()\n"
    )
    assert "no job is called 'Shout'; none exist" in refusal(folder)


def test_settings_that_cannot_be_used_are_named(folder: Path) -> None:
    project(folder, 'outptu = "generated"')
    assert "[tool.server-jobs] has no key 'outptu'; did you mean 'output'?" in refusal(folder)


@pytest.mark.parametrize(
    "place", ["shop", "shop:", ":registry", "shop.jobs:a.b", "shop/jobs:registry", "shop:registry()"]
)
def test_a_place_has_one_form(folder: Path, place: str) -> None:
    assert "--registry must be MODULE:ATTRIBUTE, such as 'shop.jobs:registry'" in refusal(folder, place)


def test_a_module_that_is_not_there_is_named(folder: Path) -> None:
    assert f"there is no module no_such_shop in {folder}" in refusal(folder, "no_such_shop:registry")
    (folder / "shop_package").mkdir()
    assert "there is no module shop_package.jobs" in refusal(folder, "shop_package.jobs:registry")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (at {file}:2)"),
        ("def broken(:\n", "SyntaxError: invalid syntax (at {file}:1)"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library' (at {file}:1)"),
        ("import sys\nsys.exit('no')\n", "SystemExit: no (at {file}:2)"),
        ("other = 1\n", "broken_shop:registry must be a JobRegistry"),
        ("registry = 17\n", "but it has the type int"),
    ],
)
def test_a_module_that_fails_is_reported_with_its_line_and_no_traceback(
    folder: Path, source: str, message: str
) -> None:
    file = folder / "broken_shop.py"
    file.write_text(source)
    text = refusal(folder, "broken_shop:registry")
    assert message.format(file=file) in text
    assert len(text.splitlines()) == 1
