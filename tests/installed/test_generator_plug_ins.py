"""The plug-ins of the generator in the documentation, each in a wheel of its own beside the installed one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from tests.docs.pages import ROOT, block, blocks
from tests.once import made_once

from .environments import Environments
from .projects import GENERATOR, User

PAGE = ROOT / "docs/how-to/write-a-plug-in.md"
PLUG_INS = ("crontab",)
UserWith = Callable[[str], User]


def files_of(plug_in: str) -> dict[str, str]:
    """Return the texts of a plug-in on the page, by the names of their files."""
    texts = {PurePath(one.title): one.text for one in blocks(PAGE)}
    return {path.name: text for path, text in texts.items() if path.parent == PurePath("plug-ins", plug_in)}


def wheel_of(plug_in: str, folder: Path) -> Path:
    """Build the package of a plug-in."""
    for name, text in files_of(plug_in).items():
        (folder / name).write_text(text, encoding="utf-8")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "."]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def user_with(environments: Environments, project: Path, shared: Path, tmp_path: Path) -> UserWith:
    """Return a function that returns a user in the project, with the generator and the plug-in of this name."""

    def make(plug_in: str) -> User:
        wheel = made_once(shared / plug_in, lambda folder: wheel_of(plug_in, folder))
        programs = environments.programs(GENERATOR, str(wheel))
        return User(Path(shutil.copytree(project, tmp_path / "project")), programs)

    return make


def commands_of(plug_in: str) -> list[str]:
    """Return the commands of the page that use a plug-in, without its installation."""
    install, *commands = block(PAGE, "sh", f"plug-in {plug_in}").splitlines()
    assert install == f"pip install ./{plug_in}"
    return commands


@pytest.mark.parametrize("plug_in", PLUG_INS)
def test_a_plug_in_of_the_page_is_short(plug_in: str) -> None:
    modules = [text for name, text in files_of(plug_in).items() if name.endswith(".py")]
    assert [len(text.splitlines()) < 60 for text in modules] == [True]


def test_an_importer_of_another_package_brings_jobs(user_with: UserWith) -> None:
    user = user_with("crontab")
    (user.folder / "nightly.cron").write_text(files_of("crontab")["nightly.cron"], encoding="utf-8")

    (command,) = commands_of("crontab")
    printed = user.types(command, status=1)

    assert "output to /var/log/tidy.log: a job has a log and a result" in printed
    assert "nightly.cron:3: job: a line has five fields of time and a command" in printed
    spec = json.loads((user.folder / "specs/tidy_up.json").read_text(encoding="utf-8"))
    assert spec["x-job"]["schedules"] == [{"name": "main", "cron": "30 3 * * *", "timezone": "UTC"}]
    assert (user.folder / "handlers/tidy_up.py").is_file()
    user.types("server-jobs check")

    assert "crontab /etc/crontab" in user.types("server-jobs import --help")
    unknown = user.types("server-jobs import crontabs nightly.cron", status=2)
    assert "there is no importer 'crontabs'; did you mean 'crontab'?" in unknown
