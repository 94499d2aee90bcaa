"""Merge conflicts: those in a user's files are reported, those in generated files are gone after a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from server_jobs_generator.files.generated_file import conflict_line, sides

from tests.generator.projects import TemporaryProject, generated_project, job_spec, without_digests
from tests.slow import slow

CONFLICT = "<<<<<<< HEAD\none\n=======\nother\n>>>>>>> main\n"
LOCK = "generated/contracts.lock.json"
MANIFEST = "generated/manifest.json"
REVISION = "generated/migrations/versions/server_jobs_0001_tables.py"
WRANGLER = "generated/worker/wrangler.jsonc"


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def append(project: TemporaryProject, path: str, text: str = CONFLICT) -> int:
    """Append a text to a file, and return its first line number."""
    before = project.read(path)
    before += "" if before.endswith("\n") else "\n"
    project.path(path).write_text(before + text, encoding="utf-8")
    return before.count("\n") + 1


@pytest.mark.parametrize("command", ["generate", slow("generate --force"), "check"])
@pytest.mark.parametrize("path", ["specs/send_email.json", WRANGLER, "generated/worker/package.json", REVISION])
def test_a_conflict_in_a_file_that_cannot_be_generated_is_reported(
    project: TemporaryProject, path: str, command: str
) -> None:
    line = append(project, path)
    before = project.files()
    result = project.run(*command.split())
    assert result.exit_code == 1
    assert without_digests(result.output).startswith(f"{path}:{line}:1 (whole file) a merge left a conflict here")
    assert "run `server-jobs generate`" in result.output
    assert len(result.output.splitlines()) == 1
    assert ("the file is yours" in result.output) == (path != REVISION)
    assert project.files() == before


@pytest.mark.parametrize("form", ["json", slow("github"), slow("sarif")])
@pytest.mark.parametrize("command", ["check", "generate"])
def test_json_output_has_the_place_and_the_rule(project: TemporaryProject, command: str, form: str) -> None:
    append(project, WRANGLER)
    result = project.run(command, "--format", form)
    assert result.exit_code == 1
    assert WRANGLER in result.output
    assert "MERGE_CONFLICT" in result.output


def test_conflicts_in_several_files_are_reported_together(project: TemporaryProject) -> None:
    append(project, WRANGLER)
    append(project, "specs/send_email.json")
    assert len(project.run("generate").output.splitlines()) == 2


@pytest.mark.parametrize(
    "path",
    [
        *("generated/models/send_email.py", MANIFEST, "generated/migrations/sql/sqlite/0001_tables.sql"),
        *map(slow, ("generated/jobs/send_email.py", "generated/registry.py", "generated/worker/bundle.py")),
        *map(
            slow, ("generated/migrations/sql/postgresql/0001_tables.sql", "generated/worker/migrations/0001_tables.sql")
        ),
    ],
)
def test_a_conflict_in_a_generated_file_is_gone_after_a_run(project: TemporaryProject, path: str) -> None:
    before = project.files()
    append(project, path)
    assert project.run("check").exit_code == 1
    project.generate()
    assert project.files() == before


def test_a_conflict_in_the_lock_is_gone_without_git(project: TemporaryProject) -> None:
    before = project.files()
    text = project.read(LOCK)
    head, entry, tail = text.partition('          {\n            "hash"')
    end = tail.index("\n          }\n") + len("\n          }\n")
    mine, theirs = f"{entry}{tail[:end]}", f"{entry}{tail[:end]}"
    conflict = f"<<<<<<< HEAD\n{mine}=======\n{theirs}>>>>>>> main\n"
    project.path(LOCK).write_text(f"{head}{conflict}{tail[end:]}", encoding="utf-8")
    project.generate()
    assert project.files() == before


@pytest.mark.parametrize("text", [CONFLICT, '<<<<<<< HEAD\n{"jobs": \n=======\n{\n>>>>>>> main\n'])
def test_a_lock_of_which_neither_side_can_be_read_is_refused(project: TemporaryProject, text: str) -> None:
    project.path(LOCK).write_text(text, encoding="utf-8")
    before = project.files()
    result = project.run("generate")
    assert result.exit_code == 3
    assert f"{LOCK}:" in result.output
    assert "put the jobs and versions of both branches into it" in result.output
    assert project.files() == before


def test_a_change_by_hand_is_found_in_a_file_without_conflicts(project: TemporaryProject) -> None:
    append(project, "generated/registry.py", "# mine\n")
    append(project, "generated/jobs/send_email.py")
    result = project.run("generate")
    assert result.exit_code == 1
    assert "generated/registry.py" in result.output
    assert "generated/jobs/send_email.py" not in result.output


@pytest.mark.parametrize("name", ["0002_views.sql", "server_jobs_0002_views.py"])
def test_a_change_by_hand_of_a_revision_is_found_though_the_manifest_does_not_list_it(
    project: TemporaryProject, name: str
) -> None:
    folder = "versions" if name.endswith(".py") else "sql/sqlite"
    path = project.path(f"generated/migrations/{folder}/{name}")
    assert path.name not in project.read(MANIFEST)
    path.write_text(path.read_text(encoding="utf-8").replace("SELECT", "SELECT DISTINCT", 1), encoding="utf-8")
    result = project.run("generate")
    assert result.exit_code == 1
    assert path.name in result.output


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (CONFLICT, 1),
        (f"a\n\n{CONFLICT}{CONFLICT}", 3),
        ("a\n<<<<<<< HEAD\none\n||||||| base\n=======\n>>>>>>> 1a2b3c (A change)\n", 2),
        ("<<<<<<< HEAD\n=======\n", None),
        ("=======\n>>>>>>> main\n<<<<<<< HEAD\n", None),
        ("# <<<<<<< HEAD\n=======\n>>>>>>> main\n", None),
        ("<<<<<<< HEAD\n======= \n>>>>>>> main\n", None),
        ("A title\n=======\n", None),
    ],
)
def test_a_conflict_has_three_marks_in_order(content: str, line: int | None) -> None:
    assert conflict_line(content.encode()) == line


def test_the_two_sides_of_a_text() -> None:
    merged = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\nd\n<<<<<<< HEAD\n||||||| base\ne\n=======\nf\n>>>>>>> x\n"
    assert sides(merged) == ("a\nb\nd\n", "a\nc\nd\nf\n")


def test_handlers_and_texts_of_specs_that_look_like_a_conflict_are_left_alone(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", description=CONFLICT))
    append(project, "handlers/send_email.py")
    project.generate()
    project.write_spec("send_email", job_spec("SendEmail", description=f"Again:\n{CONFLICT}"))
    project.generate()
    assert project.run("check").exit_code == 0
