"""`server-jobs init`: a new project that works at once."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import click
from server_jobs.project import Project, find_project
from server_jobs_generator.files.generated_file import File, check_inside

from ..console import django_settings
from ..console.output import say
from .generate import new_plan, project_errors, publish, refuse
from .output_forms import Form

# A path in the new project, and its template.
_FILES = {
    ".gitignore": "gitignore",
    ".vscode/settings.json": "settings.json",
    "README.md": "README.md",
    "handlers/hello.py": "handler.py",
    "pyproject.toml": "pyproject.toml",
    "specs/hello.json": "hello.json",
    "tests/__init__.py": None,
    "tests/test_hello.py": "test_hello.py",
}
# Optional files: if the folder already has its own, they are left out.
_OPTIONAL = frozenset({".vscode/settings.json"})
_IN_THE_WAY = """\
these files in {folder} exist already, so nothing was written:
{files}
Choose an empty folder; or, in a project of your own, add [tool.server-jobs] to its pyproject.toml, write a spec
and run `server-jobs generate`."""

_NEXT = """\
{folder} has a project with one job. Next:
{change}  {migrate}
  {program} enqueue Hello --params '{{"name": "Ada"}}'
  {program} worker --until-empty"""


@click.command()
@click.argument("folder", metavar="[FOLDER]", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cloudflare", is_flag=True, help="Also generate a Cloudflare Worker that runs the jobs.")
def init(folder: Path, *, cloudflare: bool) -> None:
    """Start a project in FOLDER (this folder by default): a spec, its handler, a test, and the generated code.

    Overwrites nothing: if a file exists, the command names it and writes nothing.

    Exit status: 0 done, 1 a file is in the way, 3 the folder cannot be written.
    """
    with project_errors():
        files = _project_files(folder, ["cloudflare", "testing"] if cloudflare else ["testing"])
        in_the_way = _conflicts(folder, files)
        if in_the_way:
            raise click.ClickException(_IN_THE_WAY.format(folder=folder, files="\n".join(f"  {f}" for f in in_the_way)))
        project = _write_project(folder, files)
        plan = new_plan(project)
        if plan.is_refused or plan.edited:
            refuse(project, plan, Form.TEXT)
        publish(project, plan)
        change = "" if folder.samefile(".") else f"  cd {shlex.quote(str(folder))}\n"
        program, migrate = django_settings.programs(folder)
        say(_NEXT.format(folder=folder.resolve(), change=change, program=program, migrate=migrate))


def _project_files(folder: Path, outputs: list[str]) -> list[File]:
    """Return the files that `init` writes, before generation. Existing editor settings are left out.

    `outputs` are the optional outputs of the project.
    """
    # Late, because `init --help` needs no extra.
    from server_jobs_generator.outputs import output_names
    from server_jobs_generator.python.code import Code, render

    values: dict[str, object] = {
        "outputs": Code(json.dumps(outputs)),
        "other_outputs": Code(", ".join(name for name in output_names() if name not in outputs)),
        "has_worker": "cloudflare" in outputs,
    }
    name = Code(re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "jobs")
    return [
        File(path, render(f"project/{template}.jinja", name=name, **values) if template else "")
        for path, template in _FILES.items()
        if not (path in _OPTIONAL and os.path.lexists(folder / path))
    ]


def _conflicts(folder: Path, files: list[File]) -> list[str]:
    """Return the existing files that would be overwritten."""
    check_inside(folder, [file.path for file in files])
    return [file.path for file in files if (folder / file.path).exists() or (folder / file.path).is_symlink()]


def _write_project(folder: Path, files: list[File]) -> Project:
    """Write the files, and return their project."""
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(file.text)
    return find_project(folder)
