"""`server-jobs check`, and the answers of `check` and `generate` to mistakes of users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from server_jobs.project import find_project
from server_jobs_generator.files.cache_folder import NO_PARTS, hash_of_specs, is_clean, remember_clean

from tests.generator.projects import (
    TemporaryProject,
    generated_project,
    job_spec,
    make_project,
    run_command,
    schedule,
    without_digests,
)
from tests.measuring import assert_cpu_seconds


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    project = generated_project(tmp_path / "project", {"a": job_spec("A"), "b": job_spec("B", schedules=[schedule()])})
    project.generate()  # this run does nothing, and keeps its cache
    return project


def remember(project: TemporaryProject) -> None:
    found = find_project(project.root)
    remember_clean(found, hash_of_specs(found), NO_PARTS)


def test_a_fresh_tree_is_in_order(project: TemporaryProject) -> None:
    result = project.run("check")
    assert (result.exit_code, result.output) == (0, "every generated file matches the specs\n")


def test_one_line_names_each_file_that_is_not_as_it_should_be(project: TemporaryProject) -> None:
    project.path("generated/registry.py").unlink()
    project.write_spec("a", job_spec("A", priority=5))
    project.edit("generated/models/b.py")
    project.path("generated/models/extra.py").touch()
    project.path("generated/jobs/data").mkdir()
    project.path("generated/jobs/data/extra.json").touch()
    before = project.files()
    result = project.run("check")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "STALE generated/jobs/a.py",
        "EXTRA generated/jobs/data/extra.json",
        "EDITED generated/models/b.py",
        "EXTRA generated/models/extra.py",
        "MISSING generated/registry.py",
        "STALE generated/manifest.json",
    ]
    assert project.files() == before


def test_a_removed_spec_makes_its_files_stale(project: TemporaryProject) -> None:
    project.path("specs/a.json").unlink()
    lines = project.run("check").output.splitlines()
    assert {"STALE generated/jobs/a.py", "STALE generated/models/a.py", "STALE generated/registry.py"} <= set(lines)
    assert lines[-1].startswith("note: handlers/a.py is no longer used")


def test_a_missing_and_an_edited_migration_are_named(project: TemporaryProject) -> None:
    project.path("generated/migrations/sql/sqlite/0001_tables.sql").unlink()
    project.edit("generated/migrations/versions/server_jobs_0002_schedules.py")
    assert without_digests(project.run("check").output).splitlines() == [
        "MISSING generated/migrations/sql/sqlite/0001_tables.sql",
        "EDITED generated/migrations/versions/server_jobs_0002_schedules.py",
        "STALE generated/manifest.json",
    ]


def test_problems_of_specs_fail_the_check(project: TemporaryProject) -> None:
    project.path("specs/a.json").write_text("[", encoding="utf-8")
    result = project.run("check")
    assert result.exit_code == 1
    assert result.output.startswith("specs/a.json:1:")


def test_json_has_the_same_findings(project: TemporaryProject) -> None:
    project.path("generated/registry.py").unlink()
    result = project.run("check", "--json")
    assert result.exit_code == 1
    document = json.loads(result.output)
    assert document["files"] == [{"path": "generated/registry.py", "state": "MISSING", "action": "create"}]
    assert document["written"] is False
    assert json.loads(make_project(project.root.parent / "x", {"c": {}}).run("check", "--json").output)["problems"]


def test_json_of_a_clean_tree_has_the_same_shape(project: TemporaryProject) -> None:
    assert json.loads(project.run("check", "--json").output) == {
        "problems": [],
        "warnings": [],
        "contracts": [],
        "files": [],
        "unused_handlers": [],
        "written": False,
    }


def test_each_run_repeats_a_warning_until_the_project_allows_its_rule(project: TemporaryProject) -> None:
    untyped = {"type": "object", "additionalProperties": False, "properties": {"x": {"minLength": 3}}}
    project.write_spec("untyped", {**job_spec("Untyped"), "properties": {"params": untyped, "result": untyped}})
    place = "warning: specs/untyped.json:1:"
    for _ in range(2):
        assert place in project.generate().output
    project.write_spec("other", job_spec("Other"))
    (first, second) = json.loads(project.generate("--json").output)["warnings"]
    assert (first["rule"], first["pointer"]) == ("TYPE_MISSING", "/properties/params/properties/x")
    assert second["pointer"] == "/properties/result/properties/x"
    assert project.run("check").exit_code == 0
    assert place in project.run("check").output
    assert "::warning file=specs/untyped.json" in project.run("check", "--format", "github").output
    settings = project.read("pyproject.toml").replace("[tool.alembic]", 'allow = ["TYPE_MISSING"]\n\n[tool.alembic]', 1)
    project.path("pyproject.toml").write_text(settings, encoding="utf-8")
    assert "warning" not in project.run("check").output


@pytest.mark.parametrize("command", ["generate", "check"])
def test_outside_a_project_one_line_says_so(tmp_path: Path, command: str) -> None:
    result = run_command(command, "--project", str(tmp_path))
    assert result.exit_code == 3
    assert "no pyproject.toml with a table [tool.server-jobs]" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_project_without_a_specs_folder_is_named(project: TemporaryProject) -> None:
    project.path("specs").rename(project.path("moved"))
    result = project.run("check")
    assert result.exit_code == 3
    assert "specs" in result.output


def test_a_manifest_that_cannot_be_read_is_named(project: TemporaryProject) -> None:
    project.path("generated/manifest.json").write_text("<<<<<<< ours", encoding="utf-8")
    result = project.run("check")
    assert result.exit_code == 3
    assert "manifest.json cannot be read" in result.output


def test_commands_work_from_a_folder_inside_the_project(project: TemporaryProject) -> None:
    assert run_command("check", "--project", str(project.path("specs"))).exit_code == 0


def test_errors_are_json_for_programs(tmp_path: Path) -> None:
    result = run_command("check", "--project", str(tmp_path), "--json")
    assert result.exit_code == 3
    assert "no pyproject.toml" in json.loads(result.output)["error"]["message"]


@pytest.mark.parametrize("command", ["generate", "check", "init"])
def test_help_names_the_exit_statuses(command: str) -> None:
    assert "Exit status: 0" in " ".join(run_command(command, "--help").output.split())
    assert run_command(command, "--no-such-option").exit_code == 2


def test_a_run_in_which_nothing_changed_loads_none_of_the_heavy_libraries(project: TemporaryProject) -> None:
    code = """
import sys
from server_jobs_cli.generator.generate import check
check(["--project", sys.argv[1]], standalone_mode=False)
heavy = {"datamodel_code_generator", "jinja2", "sqlalchemy", "alembic", "black"} & set(sys.modules)
print(sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code, str(project.root)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_who_reads_no_further_is_no_mistake(project: TemporaryProject) -> None:
    project.write_spec("a", job_spec("A", queue="other"))
    command = [sys.executable, "-m", "server_jobs_cli", "generate", "--diff", "--project", str(project.root)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_shortcut_notices_every_kind_of_change(project: TemporaryProject) -> None:
    assert project.run("check").exit_code == 0
    project.path("handlers/a.py").unlink()
    assert project.run("check").exit_code == 1
    project.generate()
    project.path("generated/jobs/extra").mkdir()
    project.path("generated/jobs/a.py").rename(project.path("generated/jobs/extra/a.py"))
    assert project.run("check").exit_code == 1


@pytest.mark.parametrize("folder", ["build", "node_modules", "python_modules"])
def test_the_shortcut_sees_into_folders_of_any_name(project: TemporaryProject, folder: str) -> None:
    shared = project.path(f"specs/shared/{folder}/texts.json")
    shared.parent.mkdir(parents=True)
    shared.write_text('{"$defs": {"Text": {"type": "string"}}}', encoding="utf-8")
    text = {"$ref": f"shared/{folder}/texts.json#/$defs/Text"}
    params = {"type": "object", "additionalProperties": False, "properties": {"text": text}}
    result = {"type": "object", "additionalProperties": False, "properties": {}}
    project.write_spec("a", {**job_spec("A"), "properties": {"params": params, "result": result}})
    project.generate()
    assert project.run("check").exit_code == 0
    shared.write_text('{"$defs": {"Text": {"type": "integer"}}}', encoding="utf-8")
    assert "STALE generated/models/a.py" in project.run("check").output
    project.generate("--relock", "A")
    project.path(f"generated/jobs/{folder}").mkdir()
    project.path(f"generated/jobs/{folder}/mine.py").touch()
    assert f"EXTRA generated/jobs/{folder}/mine.py" in project.run("check").output


def test_the_shortcut_ignores_files_of_the_workers_tools(project: TemporaryProject) -> None:
    for folder in ("build", "node_modules", ".wrangler"):
        project.path(f"generated/worker/{folder}").mkdir()
    os.mkfifo(project.path("generated/worker/build/pipe"))
    assert is_clean(find_project(project.root))


@pytest.mark.parametrize("place", ["specs/pipe.json", "specs/shared/pipe.json", "generated/jobs/pipe.py"])
def test_a_pipe_is_reported_and_never_opened(project: TemporaryProject, place: str) -> None:
    project.path(place).parent.mkdir(exist_ok=True)
    os.mkfifo(project.path(place))
    result = project.run("check")
    assert result.exit_code == 1
    assert place in result.output


def test_a_link_is_not_followed_by_the_shortcut(project: TemporaryProject, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text("{}", encoding="utf-8")
    project.path("specs/linked.json").symlink_to(outside)
    remember(project)
    assert not is_clean(find_project(project.root))
    assert "specs/linked.json:1:1" in project.run("check").output


def test_a_cache_that_is_a_link_is_left_alone(project: TemporaryProject, tmp_path: Path) -> None:
    cache, outside = project.path(".server-jobs-cache"), tmp_path / "outside"
    cache.rename(outside)
    cache.symlink_to(outside)
    before = (outside / "clean").read_text(encoding="utf-8")
    assert not is_clean(find_project(project.root))
    project.write_spec("a", job_spec("A", queue="q"))
    project.generate()
    assert (outside / "clean").read_text(encoding="utf-8") == before


@pytest.mark.parametrize("name", ["clean", ".gitignore"])
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_the_cache_is_never_written_through_a_link(
    project: TemporaryProject, tmp_path: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    outside, file = tmp_path / "outside", project.path(f".server-jobs-cache/{name}")
    file.rename(outside)
    outside.write_text("mine", encoding="utf-8")
    link(file, outside)
    project.write_spec("a", job_spec("A", queue="q"))
    project.generate()
    assert outside.read_text(encoding="utf-8") == "mine"


def test_a_read_only_tree_can_be_checked(project: TemporaryProject) -> None:
    cache = project.path(".server-jobs-cache")
    for path in cache.iterdir():
        path.unlink()
    cache.rmdir()
    cache.write_text("a file in the way of the cache", encoding="utf-8")
    assert project.run("check").exit_code == 0
    assert project.generate().output == "nothing changed\n"


def test_the_cache_keeps_itself_out_of_version_control(project: TemporaryProject) -> None:
    assert project.read(".server-jobs-cache/.gitignore") == "*\n"


def test_a_file_that_is_written_again_with_the_same_size_and_time_is_noticed(project: TemporaryProject) -> None:
    path = project.path("generated/jobs/a.py")
    text, times = path.read_text(encoding="utf-8"), path.stat()
    remember(project)
    path.write_text(text.replace("a", "b", 1), encoding="utf-8")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not is_clean(find_project(project.root))


def test_a_file_that_was_only_touched_is_as_it_was(project: TemporaryProject) -> None:
    os.utime(project.path("specs/a.json"))
    assert is_clean(find_project(project.root))


def test_a_thousand_unchanged_specs_are_checked_in_a_moment(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {f"job_{n}": {"n": n} for n in range(1000)})
    (project.root / "generated").mkdir()
    (project.root / "handlers").mkdir()
    remember(project)
    began = time.process_time()
    assert is_clean(find_project(project.root))
    assert_cpu_seconds(time.process_time() - began, 1)
