"""Projects in git repositories with merged branches, and databases that ran the revisions of some branches."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from _pytest.mark.structures import ParameterSet
from alembic import command
from alembic.config import Config
from server_jobs_generator.files.generated_file import conflict_line
from sqlalchemy import create_engine, inspect, text

from tests.generator.projects import TemporaryProject, commit_all, generated_project, git, job_spec
from tests.generator.spec_projects import an_object
from tests.slow import slow

IS_LONG = "SERVER_JOBS_LONG_TESTS" in os.environ


def databases_that_ran(*branches: str) -> list[tuple[str, str] | ParameterSet]:
    """Return pairs of a database and the branch it ran: every pair in the long form, else each at least once.

    All after the first two pairs are slow.
    """
    kinds = ("sqlite", "postgresql")
    if IS_LONG:
        return [(kind, branch) for kind in kinds for branch in branches]
    pairs = [(kinds[number % 2], branch) for number, branch in enumerate(branches)]
    return [*pairs[:2], *(slow(*pair) for pair in pairs[2:])]


def spec(
    title: str, *params: str, schedules: Sequence[Mapping[str, object]] = (), **options: object
) -> dict[str, object]:
    """Return a job whose params are optional texts."""
    properties = {"params": an_object(**{name: {"type": "string"} for name in params}), "result": an_object()}
    x_job = {**options, **({"schedules": [*schedules]} if schedules else {})}
    return {**job_spec(title), **({"x-job": x_job} if x_job else {}), "properties": properties}


@dataclass(frozen=True)
class Repository:
    """A project on `main`, and the actions of a user."""

    project: TemporaryProject

    def git(self, *arguments: str) -> str:
        return git(self.project.root, *arguments)

    def switch(self, branch: str, start: str = "main") -> None:
        """Switch to a branch. A new branch starts at `start`."""
        is_new = not self.git("branch", "--list", branch)
        self.git("switch", "--quiet", *(("--create", branch, start) if is_new else (branch,)))

    def commit(self, **specs: Mapping[str, object]) -> None:
        """Change these specs, generate, and commit."""
        for name, one in specs.items():
            self.project.write_spec(name, one)
        self.project.generate()
        commit_all(self.project.root)

    def merge(self, *branches: str) -> bool:
        """Merge with git. Return whether there was no conflict."""
        return self.tries("merge", "--quiet", "--no-edit", *branches)

    def tries(self, *arguments: str) -> bool:
        try:
            self.git("-c", "core.editor=true", *arguments)
        except subprocess.CalledProcessError:
            return False
        return True

    def settle(self, **specs: Mapping[str, object]) -> None:
        """Solve the conflicts of these specs, generate, and commit. A merge needs no more."""
        for name, one in specs.items():
            self.project.write_spec(name, one)
        self.project.generate()
        assert not [path for path in self.project.files() if conflict_line(self.project.path(path).read_bytes())]
        assert self.project.run("check").exit_code == 0, self.project.run("check").output
        self.git("add", "--all")
        if self.git("status", "--porcelain"):
            self.git("commit", "--quiet", "--message", "Merged")

    def migrate(self, url: str) -> None:
        """Migrate a database to the current revisions, and check it in every way."""
        done = self.project.run("migrate", "--database", url)
        assert done.exit_code == 0, done.output
        said = self.project.run("doctor", "--database", url).output
        assert "ok    the tables are at the newest revision" in said, said
        with patch.dict(os.environ, {"SERVER_JOBS_DATABASE_URL": url}):
            command.check(Config(toml_file=str(self.project.path("pyproject.toml"))))

    def contracts(self, job: str, version: int = 1) -> list[set[str]]:
        """Return the params' names of each locked contract."""
        from server_jobs_generator.contracts.lock_file import parse_lock

        lock = parse_lock("lock", self.project.path("generated/contracts.lock.json").read_bytes())
        found = lock.jobs[job].versions[version]
        properties = [contract.params.get("properties", {}) for contract in found]
        return [set(one) for one in properties if isinstance(one, dict)]


def columns(url: str, view: str) -> set[str]:
    """Return the columns of params in a view."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        names = (one["name"] for one in inspect(engine).get_columns(view))
        return {name.removeprefix("params_") for name in names if name.startswith("params_")}
    finally:
        engine.dispose()


def schedules(url: str) -> set[tuple[str, str, str]]:
    """Return job, name and cron expression of every stored schedule."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT job_name, name, cron_expression FROM cron_jobs"))
            return {(str(job), str(name), str(cron)) for job, name, cron in rows}
    finally:
        engine.dispose()


def repository(root: Path, **specs: Mapping[str, object]) -> Repository:
    """Return a generated project with these specs, committed on `main`."""
    project = generated_project(root, specs)
    project.path(".gitignore").write_text("__pycache__/\n.server-jobs-cache/\n*.sqlite3\n", encoding="utf-8")
    commit_all(project.root)
    return Repository(project)
