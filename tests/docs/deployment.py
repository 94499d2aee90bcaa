"""Checks of files for deployment that a page shows: units of systemd, Dockerfiles, Compose and Kubernetes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import yaml

from .commands import check_server_jobs
from .pages import Block


def check(block: Block, folder: Path) -> None:
    """Check one file by the rules of its format, and each command of ours in it."""
    match block.language:
        case "ini":
            _check_unit(block)
        case "dockerfile":
            _check_dockerfile(block.text, folder)
        case _:
            _check_yaml(block.text)


def _check_commands(commands: list[list[str]]) -> None:
    assert commands, "no command of server-jobs was found"
    for command in commands:
        assert Path(command[0]).name == "server-jobs", command
        check_server_jobs(command[1:])


def _check_unit(block: Block) -> None:
    settings = [line.partition("=") for line in block.text.splitlines() if "=" in line]
    starts = [value for name, _, value in settings if name in ("ExecStart", "ExecStartPre")]
    if block.title.endswith(".service"):
        _check_commands([shlex.split(start) for start in starts])
    _verify(block, starts)


def _verify(block: Block, starts: list[str]) -> None:
    """Let systemd look at the unit, with a program that exists here."""
    if shutil.which("systemd-analyze") is None:
        return
    with TemporaryDirectory() as folder:
        unit = Path(folder) / Path(block.title).name
        text = block.text
        for start in starts:
            text = text.replace(shlex.split(start)[0], sys.executable)
        unit.write_text(text, encoding="utf-8")
        if unit.suffix == ".timer":
            unit.with_suffix(".service").write_text(f"[Service]\nExecStart={sys.executable}\n", encoding="utf-8")
        command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def _check_dockerfile(text: str, folder: Path) -> None:
    """Check the commands, and that the copied files are enough for a worker."""
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    assert {name for name, _ in instructions} <= {"FROM", "WORKDIR", "COPY", "RUN", "USER", "CMD"}
    (command,) = [cast("list[str]", yaml.safe_load(argument)) for name, argument in instructions if name == "CMD"]
    _check_commands([command])
    with TemporaryDirectory() as image:
        for name, argument in instructions:
            if name == "COPY":
                source, _, target = argument.partition(" ")
                copy = shutil.copytree if (folder / source).is_dir() else shutil.copy
                copy(folder / source, Path(image) / target)
        database = ["--database", f"sqlite:///{folder}/server-jobs.sqlite3"]
        worker = [sys.executable, "-m", "server_jobs_cli", *command[1:], "--until-empty", *database]
        done = subprocess.run(worker, cwd=image, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _check_yaml(text: str) -> None:
    documents = list(yaml.safe_load_all(text))
    if "scrape_configs" not in text:
        _check_commands([command for document in documents for command in _commands_in(document)])


def _commands_in(value: object) -> Iterator[list[str]]:
    """Yield every `command` of a document, at any depth."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _commands_in(item)
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            if key == "command":
                yield [str(word) for word in cast("list[object]", item)]
            else:
                yield from _commands_in(item)
