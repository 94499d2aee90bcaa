"""The generated code of a project with several databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.projects import TemporaryProject

DATABASES = """\
database-of = "shop_databases:choose"

[tool.server-jobs.databases]
us = "US_DATABASE_URL"
eu = "EU_DATABASE_URL"
"""
SPEC = {
    "title": "Greet",
    "x-job": {"shardBy": "/tenant", "schedules": [{"name": "daily", "cron": "0 3 * * *", "params": {"tenant": "t"}}]},
    "params": {
        "type": "object",
        "additionalProperties": False,
        "required": ["tenant"],
        "properties": {"tenant": {"type": "string"}},
    },
}
PROGRAM = """
from generated.jobs import Greet
from generated.registry import registry

assert registry.routing is not None
print(registry.routing.names, registry.routing.name_of("acme"), registry.routing.name_of(None))
print(Greet.place_of([Greet.new_job({"tenant": "acme"})])[0])
"""


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\n", encoding="utf-8")
    made = TemporaryProject(tmp_path)
    made.write_spec("greet", SPEC)
    (tmp_path / "shop_databases.py").write_text("def choose(key: str) -> str:\n    return 'eu'\n", encoding="utf-8")
    return made


def name_databases(project: TemporaryProject) -> None:
    path = project.root / "pyproject.toml"
    path.write_text(f"[tool.server-jobs]\n{DATABASES}", encoding="utf-8")


def test_the_registry_has_the_databases_and_the_function_of_the_project(project: TemporaryProject) -> None:
    name_databases(project)
    project.generate()
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert there.stdout.splitlines() == ["('us', 'eu') eu us", "eu"], there.stderr
    assert not (project.root / "generated/worker").exists()


def test_the_function_of_the_project_is_imported_when_it_is_called(project: TemporaryProject) -> None:
    name_databases(project)
    project.generate()
    (project.root / "shop_databases.py").unlink()
    program = "from generated.registry import registry; print(registry.routing.first)"
    there = subprocess.run(
        [sys.executable, "-c", program], cwd=project.root, capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == "us"


def test_migrations_have_no_schedules_when_workers_store_them(project: TemporaryProject) -> None:
    project.generate()
    versions = project.root / "generated/migrations/versions"
    before = {path.name for path in versions.glob("*schedules*")}
    assert len(before) == 1
    name_databases(project)
    project.generate()
    (added,) = {path.name for path in versions.glob("*schedules*")} - before
    text = (versions / added).read_text(encoding="utf-8")
    upgrade, _, downgrade = text.partition("def downgrade")
    assert "remove(" in upgrade
    assert "add(" in downgrade
    assert "SERVER_JOBS_DATABASE_URL" in (project.root / "generated/migrations/env.py").read_text(encoding="utf-8")
