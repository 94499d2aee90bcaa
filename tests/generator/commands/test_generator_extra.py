"""With only `server-jobs[generator]`, every command of the generator works and every output can be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.outputs import output_names

from tests.extras import modules_outside, run_with_extras


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("only") / "mailer"
    made = run_with_extras(["generator"], root.parent, "init", "mailer")
    assert made.returncode == 0, made.stderr
    return root


def test_drivers_and_servers_are_not_in_the_extra() -> None:
    assert modules_outside(("generator",)) >= {"asyncpg", "psycopg", "uvicorn", "hypothesis", "pytest"}
    assert modules_outside(("generator",)).isdisjoint({"alembic", "click", "pydantic", "sqlalchemy", "server_jobs"})


@pytest.mark.slow
def test_every_output_can_be_written(project: Path) -> None:
    settings = project / "pyproject.toml"
    lines = settings.read_text(encoding="utf-8").splitlines()
    changed = [f"outputs = {list(output_names())}" if line.startswith("outputs") else line for line in lines]
    settings.write_text("\n".join(changed), encoding="utf-8")

    for command in ("generate", "check"):
        done = run_with_extras(["generator"], project, command)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("check", "--target", "cloudflare"), ("explain",), ("migrate",), ("doctor",)])
def test_each_other_command_works(project: Path, arguments: tuple[str, ...]) -> None:
    done = run_with_extras(["generator"], project, *arguments)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr + done.stdout
