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
PLUG_INS = ("crontab", "house-rules", "jobs-csv")
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
    (schedule,) = spec["x-job"]["schedules"]
    assert (schedule["cron"], schedule["timezone"]) == ("30 3 * * *", "UTC")
    assert (user.folder / "handlers/tidy_up.py").is_file()
    user.types("server-jobs check")

    assert "crontab /etc/crontab" in user.types("server-jobs import --help")
    unknown = user.types("server-jobs import crontabs nightly.cron", status=2)
    assert "there is no importer 'crontabs'; did you mean 'crontab'?" in unknown


def test_an_output_of_another_package_is_written_compared_and_removed(user_with: UserWith) -> None:
    user = user_with("jobs-csv")
    settings = (user.folder / "pyproject.toml").read_text(encoding="utf-8")
    table = user.folder / "generated/contracts/jobs.csv"

    for command in commands_of("jobs-csv"):
        user.types(command)

    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "job,queue,attempts,timeout in seconds,spec"
    assert [line.split(",")[0] for line in lines[1:]] == ["Hello", "SendEmail"]
    table.write_text("mine", encoding="utf-8")
    assert "EDITED generated/contracts/jobs.csv" in user.types("server-jobs check", status=1)
    user.types("server-jobs generate --force")
    (user.folder / "pyproject.toml").write_text(settings.replace('"csv"', ""), encoding="utf-8")
    user.types("server-jobs generate")
    assert not table.exists()

    (user.folder / "pyproject.toml").write_text(settings.replace("outputs = [", 'outputs = ["cvs", '), encoding="utf-8")
    assert "outputs has no word 'cvs' (did you mean \"csv\"?)" in user.types("server-jobs check", status=3)


def test_a_check_of_another_package_refuses_specs_and_explains_its_rules(user_with: UserWith) -> None:
    user = user_with("house-rules")
    generate, explain = commands_of("house-rules")
    user.types(generate)
    spec = user.folder / "specs/send_email.json"
    document = json.loads(spec.read_text(encoding="utf-8"))
    good = {**document, "x-job": {**document.get("x-job", {}), "maxAttempts": 50}}

    spec.write_text(json.dumps(good, indent=2), encoding="utf-8")
    warned = user.types(generate)
    (line,) = [line for line in warned.splitlines() if "HOUSE_MANY_ATTEMPTS" in line]
    place = next(n for n, text in enumerate(spec.read_text(encoding="utf-8").splitlines(), 1) if "maxAttempts" in text)
    assert line.startswith(f"warning: specs/send_email.json:{place}:")
    assert line in user.types(generate)

    spec.write_text(json.dumps({key: value for key, value in good.items() if key != "description"}), encoding="utf-8")
    refused = user.types(generate, status=1)
    assert "SendEmail has no description; write one [HOUSE_NOT_DESCRIBED]" in refused
    assert "HOUSE_NOT_DESCRIBED" in user.types("server-jobs check --format sarif", status=1)
    assert "HOUSE_NOT_DESCRIBED: a job has no description" in user.types(explain)
    assert "HOUSE_MANY_ATTEMPTS" in user.types("server-jobs explain")
