"""Projects in temporary folders, for tests that run the generator as a user does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from click.testing import CliRunner, Result
from server_jobs_cli.program import program

PYPROJECT = """\
[tool.server-jobs]
handlers = "{handlers}"
outputs = ["cloudflare"]

[tool.alembic]
script_location = "%(here)s/generated/migrations"
prepend_sys_path = ["."]
"""


_REVISION_FILE = re.compile(r"((?:server_jobs_)?\d{4})_([a-z]+\.(?:py|sql))")
_DIGEST = re.compile(r"\b((?:server_jobs_)?\d{4})_[0-9a-f]{8}(?=_|\b)")


def without_digests(text: str) -> str:
    """Return a text in which ids of revisions have only numbers, because their digests depend on the content."""
    return _DIGEST.sub(r"\1", text)


@dataclass(frozen=True)
class TemporaryProject:
    """A project with the given specs; nothing is generated yet."""

    root: Path

    def write_spec(self, name: str, spec: Mapping[str, object]) -> None:
        """Write `specs/<name>.json`."""
        path = self.root / "specs" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(spec), encoding="utf-8")

    def generate(self, *options: str) -> Result:
        """Run `server-jobs generate`, which must succeed."""
        result = self.run("generate", *options)
        assert result.exit_code == 0, result.output
        return result

    def run(self, command: str, *options: str) -> Result:
        """Run one of the generator's commands in this project."""
        return run_command(command, "--project", str(self.root), *options)

    def path(self, relative: str) -> Path:
        """Return a path in the project. Ids of revisions may lack their digest: `server_jobs_0001_tables.py`."""
        path = self.root / relative
        match = _REVISION_FILE.fullmatch(path.name)
        if match is None or path.exists():
            return path
        found = [one for one in path.parent.glob(f"{match[1]}_*_{match[2]}") if without_digests(one.name) == path.name]
        return found[0] if len(found) == 1 else path

    def read(self, relative: str) -> str:
        """Return the text of a file in the project."""
        return self.path(relative).read_text(encoding="utf-8")

    def edit(self, relative: str) -> str:
        """Change a file as a user would, and return its new text."""
        text = self.read(relative) + "\n# changed by hand\n"
        self.path(relative).write_text(text, encoding="utf-8")
        return text

    def files(self) -> dict[str, str]:
        """Return the hash of every file except the cache, by path."""
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not {".server-jobs-cache", "__pycache__"} & set(path.parts)
        }


def run_command(*arguments: str, called: str = "server-jobs") -> Result:
    """Run `server-jobs` with these arguments, as a program with this name; a traceback fails the test."""
    return CliRunner().invoke(program, list(arguments), prog_name=called, catch_exceptions=False)


def make_project(
    root: Path, specs: Mapping[str, Mapping[str, object]] | None = None, *, handlers: str = "handlers"
) -> TemporaryProject:
    """Return a project with these specs by name; with one plain job if none are given."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(PYPROJECT.format(handlers=handlers), encoding="utf-8")
    (root / "specs").mkdir()
    project = TemporaryProject(root)
    for name, spec in ({"send_email": job_spec("SendEmail")} if specs is None else specs).items():
        project.write_spec(name, spec)
    return project


def generated_project(
    root: Path, specs: Mapping[str, Mapping[str, object]] | None = None, *, handlers: str = "handlers"
) -> TemporaryProject:
    """Return the project of `make_project`, already generated, in a tenth of the time of a run.

    The first call with these specs in a process generates it. The cache is left out, because it is valid for one folder
    only.
    """
    root.mkdir(parents=True, exist_ok=True)
    for path, content in _generated_files(json.dumps(specs), handlers).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return TemporaryProject(root)


@cache
def _generated_files(specs: str, handlers: str) -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", json.loads(specs), handlers=handlers)
        project.generate()
        return {path: project.path(path).read_bytes() for path in project.files()}


def leave_out_the_worker(project: TemporaryProject) -> None:
    """Change the settings of a project, so that it has no Cloudflare Worker."""
    path = project.path("pyproject.toml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('outputs = ["cloudflare"]\n', "", 1), encoding="utf-8")


def ask_for(project: TemporaryProject, *outputs: str) -> None:
    """Set `outputs` of a project."""
    path = project.path("pyproject.toml")
    text = re.sub(r"^outputs = .*$", f"outputs = {list(outputs)}", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


def git(root: Path, *arguments: str) -> str:
    """Return the output of git in this folder, without the machine's settings."""
    nobody = {f"GIT_{who}_{what}": "nobody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = os.environ | nobody | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def commit_all(root: Path) -> None:
    """Commit everything in this folder on its branch. Create a repository with the branch `main` if there is none."""
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Another state")


def job_spec(
    title: str,
    *,
    description: str | None = None,
    schedules: Sequence[Mapping[str, object]] = (),
    **options: object,
) -> dict[str, object]:
    """Return a spec whose params are a text and a list of texts, both optional."""
    x_job = {**options, **({"schedules": list(schedules)} if schedules else {})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **({"description": description} if description is not None else {}),
        **({"x-job": x_job} if x_job else {}),
        "type": "object",
        "properties": {
            "params": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"text": {"type": "string"}, "words": {"type": "array", "items": {"type": "string"}}},
            },
            "result": {"type": "object", "additionalProperties": False, "properties": {}},
        },
        "required": ["params", "result"],
    }


def schedule(name: str = "nightly", cron: str = "0 3 * * *", **others: object) -> dict[str, object]:
    """Return one schedule of a spec."""
    return {"name": name, "cron": cron, **others}
