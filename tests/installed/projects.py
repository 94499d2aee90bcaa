"""A project made by the installed command, and a user's commands in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import FIRST_JOB, blocks, installs
from tests.docs.reader import Reader, shell
from tests.prepared import prepared_program

from .environments import Environments

GENERATOR = '"server-jobs[generator]"'
OTHER_QUEUES = "celery redis rq arq dramatiq huey"
PARAMS = json.dumps({"to": "ada@example.com", "subject": "Hello"})
OUTPUTS = ["asyncapi", "catalogue", "cloudflare", "llms", "openapi", "testing", "typescript"]


@dataclass(frozen=True, slots=True)
class User:
    """A user in a folder with one environment on the path."""

    folder: Path
    programs: Path

    def types(self, command: str, *, status: int = 0) -> str:
        """Run a shell command, and return its output. Fails if its status differs."""
        finished = self.tries(command)
        assert finished.returncode == status, f"{command}\n{finished.stdout}"
        return finished.stdout

    def tries(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail, but not with a traceback."""
        finished = shell(command, self.folder, [self.programs])
        assert "Traceback" not in finished.stdout, f"{command}\n{finished.stdout}"
        return finished


def make_project(folder: Path, environments: Environments) -> Path:
    """Make a project with `SendEmail` of the tutorial and every output, and migrate its SQLite file."""
    user = User(folder, environments.programs(GENERATOR))
    user.types("server-jobs init mailer")
    user = User(folder / "mailer", user.programs)
    for block in blocks(FIRST_JOB):
        if block.title in ("specs/send_email.json", "handlers/send_email.py"):
            path = user.folder / block.title
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    settings = user.folder / "pyproject.toml"
    text = re.sub(r"^outputs = .*$", f"outputs = {OUTPUTS}", settings.read_text(encoding="utf-8"), flags=re.MULTILINE)
    settings.write_text(text, encoding="utf-8")
    user.types("server-jobs generate && server-jobs check && server-jobs migrate")
    return user.folder


def follow(page: Path, folder: Path, environments: Environments) -> Reader:
    """Follow a page. Each `pip install` in a block adds to the environment.

    Most pages install only the generator. In its environment, commands are forked from a process that has imported what
    that environment has, because a process spends most of its time on imports. `test_extras` starts each command.
    """
    packages = [GENERATOR]
    generator = environments.programs(GENERATOR)
    reader = Reader(folder, [Path(prepared_program(str(generator / "python"))).parent, generator])
    for block in blocks(page):
        added = [line for line in installs(block.text) if line not in packages] if block.language == "bash" else []
        if added:
            packages += added
            reader.programs = (environments.programs(*packages),)
        reader.follow(block)
    reader.finish()
    return reader


def copy_of(project: Path, folder: Path) -> Path:
    """Return a copy of the project in `folder`."""
    return Path(shutil.copytree(project, folder / "mailer"))
