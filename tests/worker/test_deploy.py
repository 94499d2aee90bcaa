"""`make deploy`: each step with wrangler as far as possible without an account, and the messages where it stops."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker import tools
from tests.worker.project import WorkerProject, environment, repository_project

SETTINGS = "generated/worker/wrangler.jsonc"
TURSO = {"TURSO_DATABASE_URL": "libsql://jobs-ada.turso.io", "TURSO_AUTH_TOKEN": "secret-of-ada"}


class Machine:
    """A project, the installed programs of these tests, and scripts that replace others."""

    def __init__(self, project: WorkerProject, folder: Path) -> None:
        self.project = project
        self.programs = folder / "programs"
        self.programs.mkdir()
        (project.folder / "node_modules").symlink_to(tools.NODE_MODULES)
        self.install("npx", f'shift; exec {shlex.quote(str(tools.NODE))} node_modules/wrangler/bin/wrangler.js "$@"')
        self.install("node", f'exec {shlex.quote(str(tools.NODE))} "$@"')
        self.install("python3", f'exec {shlex.quote(sys.executable)} "$@"')
        self.install("uv", 'echo "uv $@"')

    def install(self, name: str, script: str) -> None:
        """Install a program of that name."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def deploy(self, *options: str, **variables: str) -> tuple[int, str]:
        """Return the exit status and the output."""
        command = [sys.executable, "-m", "tests.worker.deploy", "--project", str(self.project.root), *options]
        quiet = {"CI": "1", "NO_COLOR": "1", "WRANGLER_SEND_METRICS": "false"}
        known = {name: value for name, value in environment().items() if not name.startswith(("CLOUDFLARE", "TURSO"))}
        done = subprocess.run(
            command,
            cwd=tools.REPOSITORY,
            env={**known, **quiet, "PATH": str(self.programs), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "project"
    project = repository_project(root)
    shutil.copytree(tools.REPOSITORY / "specs", root / "specs")
    shutil.copy(tools.REPOSITORY / "pyproject.toml", root)
    return Machine(project, tmp_path)


def test_a_dry_run_does_all_that_needs_no_account(machine: Machine) -> None:
    status, said = machine.deploy("--dry-run")

    assert status == 0, said
    assert [line for line in said.splitlines() if " of 7: " in line][-1].startswith("7 of 7")
    assert "every generated file matches the specs" in said
    assert "Total Upload:" in said
    assert "env.DB (jobs)" in said
    assert "would run: npx wrangler d1 migrations apply DB --remote" in said
    assert "without the packages, which are collected and uploaded by: uv run pywrangler deploy" in said
    assert said.endswith("nothing was deployed, as this was a dry run\n")
    assert (machine.project.folder / "build/main.py").exists()


def test_code_that_cannot_work_there_stops_the_deployment_first(machine: Machine) -> None:
    machine.project.edit(SETTINGS, '"* * * * *"', '"0 9 * * 1"')

    status, said = machine.deploy("--dry-run")

    assert status == 1
    assert " fail wrangler-cron triggers.crons is " in said
    assert "2 of 7" not in said


@pytest.mark.parametrize(
    ("name", "script", "message"),
    [
        ("uv", None, "uv is missing, which collects the Worker's packages; run: pip install uv"),
        ("node", "echo v20.1.0", "Node 22 or newer is needed, and there is v20.1.0; install it anew"),
    ],
)
def test_a_tool_that_is_missing_or_too_old_is_named(
    machine: Machine, name: str, script: str | None, message: str
) -> None:
    if script is None:
        (machine.programs / name).unlink()
    else:
        machine.install(name, script)

    status, said = machine.deploy()

    assert (status, said.splitlines()[-1].strip()) == (1, message)


def test_without_an_account_it_says_how_to_log_in(machine: Machine) -> None:
    status, said = machine.deploy()

    assert status == 1
    assert "you are not; run: (cd " in said
    assert "npx wrangler login" in said
    assert "5 of 7" not in said


def test_a_database_without_an_id_is_to_be_made_first(machine: Machine) -> None:
    status, said = machine.deploy(CLOUDFLARE_API_TOKEN="none")

    assert status == 1
    assert "the database has no id yet; run: (cd " in said
    assert "npx wrangler d1 create jobs" in said


def test_with_an_account_all_steps_are_done_in_their_order(machine: Machine) -> None:
    machine.project.edit(SETTINGS, '"database_name"', '"database_id": "1", "database_name"')
    machine.install(
        "npx", """echo "npx $@"; [ "$2" != secret ] || echo '[{"name": "JOBS_TOKEN"}, {"name": "JOBS_KEY_SECRET"}]'"""
    )

    status, said = machine.deploy(CLOUDFLARE_API_TOKEN="none")

    assert status == 0, said
    assert [line for line in said.splitlines() if line.startswith(("npx", "uv"))] == [
        "npx wrangler d1 migrations apply DB --remote",
        "uv run pywrangler deploy",
    ]
    assert said.endswith("the Worker is deployed\n")


def test_without_its_token_it_says_that_no_route_answers(machine: Machine) -> None:
    machine.project.edit(SETTINGS, '"database_name"', '"database_id": "1", "database_name"')
    machine.install("npx", "echo []")

    status, said = machine.deploy(CLOUDFLARE_API_TOKEN="none")

    assert status == 1
    assert "JOBS_TOKEN is missing: jobs run, and no route answers" in said


def test_without_the_secret_of_hashes_it_says_which_jobs_cannot_be_enqueued(machine: Machine) -> None:
    machine.project.edit(SETTINGS, '"database_name"', '"database_id": "1", "database_name"')
    machine.install("npx", """[ "$2" != secret ] || echo '[{"name": "JOBS_TOKEN"}]'""")

    status, said = machine.deploy(CLOUDFLARE_API_TOKEN="none")

    assert status == 1
    assert "JOBS_KEY_SECRET is missing: SendEmail cannot be enqueued, as a key covers a redacted value; run:" in said
    assert "npx wrangler secret put JOBS_KEY_SECRET" in said


def test_a_turso_database_is_migrated_in_place_of_d1(machine: Machine) -> None:
    machine.project.edit(
        SETTINGS, '"limits"', '"vars": { "TURSO_DATABASE_URL": "libsql://jobs-ada.turso.io" }, "limits"'
    )

    stopped, why = machine.deploy(CLOUDFLARE_API_TOKEN="none")
    status, said = machine.deploy("--dry-run", **TURSO)

    assert (stopped, status) == (1, 0), said
    assert "the Turso database is migrated from here; set TURSO_DATABASE_URL and TURSO_AUTH_TOKEN" in why
    assert "would run: python -m server_jobs_cli migrate" in said
    assert TURSO["TURSO_AUTH_TOKEN"] not in said
