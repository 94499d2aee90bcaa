"""The plug-in of the documentation, in a wheel of its own beside the installed one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, block
from tests.once import made_once

from .environments import Environments
from .projects import User

PAGE = ROOT / "docs/how-to/write-a-plug-in.md"


def wheel_of_the_page(folder: Path) -> Path:
    """Build the package of the page."""
    for language, path in (("toml", "pyproject.toml"), ("python", "shelf.py")):
        (folder / path).write_text(block(PAGE, language, f"shelf/{path}"), encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "."]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_a_plug_in_written_from_the_page_brings_a_database_a_command_and_a_check(
    environments: Environments, project: Path, shared: Path, tmp_path: Path
) -> None:
    programs = environments.programs("server-jobs[worker]", str(made_once(shared / "shelf", wheel_of_the_page)))
    user = User(Path(shutil.copytree(project, tmp_path / "project")), programs)
    install, settings, *commands = block(PAGE, "sh", "plug-in").splitlines()
    assert (install, settings) == (
        "pip install ./shelf",
        "export SHELF=/srv/shelf SERVER_JOBS_DATABASE_URL=shelf:orders",
    )
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    there = settings.replace("/srv/shelf", str(shelf))

    printed = {command.split()[1]: user.types(f"{there} && {command}") for command in commands}

    assert printed["shelf"] == "* shelf:orders\n"
    assert f"the shelf is {shelf}" in printed["doctor"]
    assert "completed" in user.types(f"{there} && server-jobs list")
    assert [path.name for path in shelf.glob("*.sqlite3")] == ["orders.sqlite3"]
    listed = user.types("server-jobs --help").partition("\nPlug-ins:\n")[2]
    assert re.search(r"^  shelf +List the databases on the shelf", listed, re.MULTILINE)

    refused = user.types("server-jobs list --database shelf:no-name", status=3)
    assert "a database on the shelf has a name such as 'orders', not 'no-name'" in refused
    unknown = user.types("server-jobs list --database box:orders", status=3)
    assert "is not supported; give one such as" in unknown
    assert "'shelf:orders'" in unknown


def test_the_plug_in_of_the_page_is_short() -> None:
    assert len(block(PAGE, "python", "shelf/shelf.py").splitlines()) < 60
