"""Checks of the files in `examples/deployment`: their formats, commands, and the time that a worker has to stop."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml
from jsonschema import Draft202012Validator

from .commands import check_server_jobs
from .pages import ROOT

FOLDER = ROOT / "examples/deployment"
_COMPOSE = ROOT / "tests/data/compose/compose-spec.json.gz"
STOP = timedelta(seconds=1)
"""The time in which a worker releases its jobs after the drain timeout."""

Object = dict[str, object]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of ours in a file, with the variables that the file sets, and the time from SIGTERM to SIGKILL."""

    words: list[str]
    variables: dict[str, str]
    stop_time: timedelta


def check(path: Path, project: Path) -> None:
    """Check one file by the rules of its format, each command in it, and that a worker ends before it is killed."""
    for command in commands(path):
        _check_command(command)
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".service", ".timer"):
        _verify_unit(path, text)
    elif path.name == "Dockerfile":
        _run_image(text, project)
    else:
        _validate_compose(yaml.safe_load(text))


def commands(path: Path) -> list[Command]:
    """Return the commands of `server-jobs` in a file. A container without a command runs the one of the image."""
    text = path.read_text(encoding="utf-8")
    match path.name:
        case "Dockerfile":
            return [Command(image_command(text), {}, timedelta(seconds=10))]
        case "compose.yaml":
            services = cast("dict[str, Object]", yaml.safe_load(text)["services"])
            return [
                _in_container(service, service.get("environment", {}), str(service.get("stop_grace_period", "10s")))
                for service in services.values()
                if "build" in service
            ]
        case _:
            settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
            stop_time = _seconds(settings.get("TimeoutStopSec", "90"))
            return [Command(shlex.split(settings["ExecStart"]), {}, stop_time)] if "ExecStart" in settings else []


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile with their arguments."""
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    for line in "".join(lines).replace("\\\n", " ").splitlines():
        name, _, argument = line.partition(" ")
        yield name, argument.strip()


def image_command(text: str) -> list[str]:
    """Return the list form of CMD."""
    (found,) = [argument for name, argument in instructions(text) if name == "CMD"]
    return cast("list[str]", json.loads(found))


def _in_container(container: Object, environment: object, stop_time: str) -> Command:
    image = image_command((FOLDER / "Dockerfile").read_text(encoding="utf-8"))
    words = cast("list[str]", container.get("command", image))
    return Command(words, cast("dict[str, str]", environment), _seconds(stop_time))


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text.removesuffix("s")))


def _check_command(command: Command) -> None:
    program, *arguments = command.words
    assert Path(program).name == "server-jobs", command
    variable = command.variables.get("SERVER_JOBS_DRAIN_TIMEOUT")
    options = check_server_jobs([*arguments, *(["--drain-timeout", variable] if variable else [])])
    if drain := options.get("drain_timeout"):
        assert cast("timedelta", drain) + STOP <= command.stop_time, f"{command}: the worker would be killed"


def _verify_unit(path: Path, text: str) -> None:
    """Let systemd verify the unit, with a program that exists here."""
    if shutil.which("systemd-analyze") is None:
        return
    with TemporaryDirectory() as folder:
        unit = Path(folder) / path.name
        unit.write_text(re.sub(r"^(ExecStart=)\S+", rf"\1{sys.executable}", text, flags=re.MULTILINE), encoding="utf-8")
        if unit.suffix == ".timer":
            unit.with_suffix(".service").write_text(f"[Service]\nExecStart={sys.executable}\n", encoding="utf-8")
        command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def _validate_compose(document: Object) -> None:
    with gzip.open(_COMPOSE) as file:
        Draft202012Validator(json.load(file)).validate(document)


def _run_image(text: str, project: Path) -> None:
    """Run the command until the queue is empty, with only the files that the image copies from the project."""
    used = [*instructions(text)]
    assert {name for name, _ in used} <= {*("FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "HEALTHCHECK", "CMD")}
    assert [argument for name, argument in used if name == "USER"] == ["65534"]
    with TemporaryDirectory() as image:
        copy_files(text, project, Path(image))
        database = ["--database", f"sqlite:///{project}/server-jobs.sqlite3", "--metrics-port", "0"]
        command = [sys.executable, "-m", "server_jobs_cli", *image_command(text)[1:], "--until-empty", *database]
        done = subprocess.run(command, cwd=image, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def copy_files(text: str, project: Path, folder: Path) -> None:
    """Do what the COPY instructions of a Dockerfile do, with `folder` as the working directory of the image."""
    for name, argument in instructions(text):
        if name == "COPY":
            source, _, target = argument.partition(" ")
            copy = shutil.copytree if (project / source).is_dir() else shutil.copy
            copy(project / source, folder / target)
