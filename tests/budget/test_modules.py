"""The modules of this package and of a project that a process imports, in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.stores import create_sqlite_file
from tests.generator.projects import PYPROJECT, TemporaryProject
from tests.generator.spec_projects import a_spec

from .figures import assert_figure

FEW, MANY = 2, 60
_NAMES = "from server_jobs import Worker, connect, define_job"
_ENQUEUE = """
import asyncio
from server_jobs import connect
from generated.jobs import Job1
from generated.registry import registry

async def main():
    async with connect(registry):
        await Job1.later({})

asyncio.run(main())
"""
_COMMAND = """
from server_jobs_cli.program import program
program(["enqueue", "Job1"], standalone_mode=False)
"""
_HANDLER = """
from server_jobs import JobContext
from generated.models.job_1 import Job1Params, Job1Result

async def handle(params: Job1Params, context: JobContext) -> Job1Result:
    return Job1Result()
"""
PROGRAMS = {"enqueue": _ENQUEUE, "enqueue-command": _COMMAND, "now-command": _COMMAND.replace("enqueue", "now")}
_REPORT = "\nimport sys\nprint(*sys.modules)"


def imported(program: str, folder: Path) -> Counter[str]:
    """Return the number of imported modules of each package, after a program that ran in this folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", program + _REPORT]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return Counter(name.partition(".")[0] for name in done.stdout.splitlines()[-1].split())


@pytest.fixture(params=[FEW, MANY])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a project with this number of specs, and a SQLite file in it."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(handlers="handlers"), encoding="utf-8")
    temporary = TemporaryProject(tmp_path)
    for number in range(request.param):
        temporary.write_spec(f"job_{number}", a_spec(title=f"Job{number}"))
    temporary.generate()
    (tmp_path / "handlers" / "job_1.py").write_text(_HANDLER, encoding="utf-8")
    create_sqlite_file(tmp_path / "server-jobs.sqlite3")
    return tmp_path


def test_modules_of_an_import(tmp_path: Path) -> None:
    assert_figure("modules", "import", imported(_NAMES, tmp_path)["server_jobs"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_modules_of_a_program_with_one_job_do_not_depend_on_the_number_of_specs(name: str, project: Path) -> None:
    found = imported(PROGRAMS[name], project)

    assert_figure("modules", name, found["server_jobs"] + found["server_jobs_cli"])
    assert_figure("modules", f"{name}-project", found["generated"] + found["handlers"])
