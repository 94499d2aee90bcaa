"""A job whose spec file is renamed keeps its handler."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.generator.projects import TemporaryProject, commit_all, generated_project, git, job_spec, make_project

NUMBER = {"type": "integer"}
HANDLER = """\
from generated.models.remind import RemindParams, RemindResult
from server_jobs import JobContext


async def handle(params: RemindParams, context: JobContext) -> RemindResult:
    return RemindResult()
"""


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """Return a job whose handler is written."""
    project = generated_project(tmp_path / "project", {"remind": job_spec("Remind"), "mail": job_spec("Mail")})
    project.path("handlers/remind.py").write_text(HANDLER, encoding="utf-8")
    return project


def move(project: TemporaryProject, old: str, new: str) -> None:
    project.path(old).rename(project.path(new))


def rename_spec(project: TemporaryProject) -> None:
    move(project, "specs/remind.json", "specs/recall.json")


@pytest.mark.parametrize(
    "command", [("generate",), ("generate", "--force"), ("generate", "--relock", "Remind"), ("check",)]
)
def test_a_renamed_spec_waits_for_its_handler(project: TemporaryProject, command: tuple[str, ...]) -> None:
    rename_spec(project)
    before = project.files()
    for _ in range(2):
        result = project.run(*command)
        assert result.exit_code == 1
        assert "specs/recall.json:1:1 (whole file) Remind was remind before" in result.output
        assert "git mv handlers/remind.py handlers/recall.py" in result.output
        assert "no longer used" not in result.output
    assert project.files() == before


def test_a_handler_that_moved_along_is_the_handler(project: TemporaryProject) -> None:
    rename_spec(project)
    move(project, "handlers/remind.py", "handlers/recall.py")
    output = project.generate().output
    assert "note: models changed: 1; run your type checker" in output
    assert "no longer used" not in output
    assert project.read("handlers/recall.py") == HANDLER
    assert not project.path("handlers/remind.py").exists()
    assert project.run("check").exit_code == 0


def test_upcasters_move_along(project: TemporaryProject) -> None:
    spec = job_spec("Remind", version=2)
    properties = json.loads(json.dumps(spec["properties"]))
    properties["params"]["properties"]["text"] = NUMBER
    project.write_spec("remind", {**spec, "properties": properties})
    project.generate()
    upcaster = project.read("handlers/remind_v1.py")
    rename_spec(project)
    moves = [(f"handlers/remind{end}.py", f"handlers/recall{end}.py") for end in ("", "_v1")]
    assert " && ".join(f"git mv {old} {new}" for old, new in moves) in project.run("generate").output
    move(project, *moves[0])
    output = project.run("generate").output
    assert "git mv handlers/remind_v1.py handlers/recall_v1.py" in output
    assert "handlers/recall.py" not in output
    move(project, *moves[1])
    project.generate()
    assert project.read("handlers/recall_v1.py") == upcaster


def test_who_deletes_the_old_handler_gets_a_new_stub(project: TemporaryProject) -> None:
    rename_spec(project)
    project.path("handlers/remind.py").unlink()
    assert "created handlers/recall.py" in project.generate().output


def test_a_handler_that_was_copied_has_moved(project: TemporaryProject) -> None:
    rename_spec(project)
    project.path("handlers/recall.py").write_text(HANDLER, encoding="utf-8")
    assert "note: handlers/remind.py is no longer used" in project.generate().output


def test_the_printed_git_commands_work(project: TemporaryProject) -> None:
    git(project.root, "init", "--quiet")
    git(project.root, "add", "--all")
    rename_spec(project)
    said = project.run("generate").output
    command = said[said.index("git mv") : said.index(", or delete")]
    subprocess.run(command, shell=True, cwd=project.root, check=True, timeout=60)
    project.generate()
    assert project.read("handlers/recall.py") == HANDLER


def test_a_job_that_was_never_released_has_moved_nowhere(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"recall": job_spec("Remind")})
    project.path("handlers").mkdir()
    project.path("handlers/remind.py").write_text(HANDLER, encoding="utf-8")
    assert "created handlers/recall.py" in project.generate().output


def test_a_spec_that_moves_to_another_form_is_the_same_job(project: TemporaryProject) -> None:
    commit_all(project.root)
    specs = {name: json.loads(project.read(f"specs/{name}.json")) for name in ("remind", "mail")}
    jobs = {spec.pop("title"): {key: spec[key] for key in spec if key != "$schema"} for spec in specs.values()}
    for name in specs:
        project.path(f"specs/{name}.json").unlink()
    project.path("specs/jobs.yaml").write_text(yaml.safe_dump({"jobs": jobs}), encoding="utf-8")
    project.generate()
    assert project.read("handlers/remind.py") == HANDLER
    assert project.run("check", "--against", "HEAD").exit_code == 0

    text = project.read("specs/jobs.yaml")
    before, after = text.split("  Remind:")
    changed = after.replace("text:\n            type: string", "text:\n            type: integer", 1)
    assert changed != after
    project.path("specs/jobs.yaml").write_text(f"{before}  Remind:{changed}", encoding="utf-8")
    output = project.run("check", "--against", "HEAD").output
    assert "/jobs/Remind/properties/params/properties/text" in output
