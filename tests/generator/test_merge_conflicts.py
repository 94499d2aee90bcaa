"""What a merge leaves in generated files is refused, and the advice leads out of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from server_jobs_generator.manifest import hash_content
from server_jobs_generator.merge_conflicts import conflict_line

from tests.generator.projects import (
    TemporaryProject,
    commit_all,
    generated_project,
    git,
    job_spec,
    schedule,
    without_digests,
)
from tests.generator.spec_projects import an_object

CONFLICT = "<<<<<<< HEAD\none\n=======\nother\n>>>>>>> main\n"
LOCK = "generated/contracts.lock.json"
MANIFEST = "generated/manifest.json"
REVISION = "generated/migrations/versions/server_jobs_0001_tables.py"
WRANGLER = "generated/worker/wrangler.jsonc"


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def append(project: TemporaryProject, path: str, text: str = CONFLICT) -> int:
    """Put a text behind a file; the line where it begins."""
    before = project.read(path)
    project.path(path).write_text(before + text, encoding="utf-8")
    return before.count("\n") + 1


@pytest.mark.parametrize(
    "path",
    [
        *("generated/models/send_email.py", "generated/jobs/send_email.py", "generated/registry.py", REVISION),
        *("generated/migrations/sql/sqlite/0001_tables.sql", "generated/migrations/sql/postgresql/0001_tables.sql"),
        *("generated/worker/migrations/0001_tables.sql", "generated/worker/bundle.py", LOCK, MANIFEST),
        *(WRANGLER, "generated/worker/package.json", "generated/worker/pyproject.toml"),
    ],
)
@pytest.mark.parametrize("command", [("generate",), ("generate", "--force"), ("check",)], ids=" ".join)
def test_a_generated_file_with_a_conflict_is_refused(
    project: TemporaryProject, path: str, command: tuple[str, ...]
) -> None:
    line = append(project, path)
    before = project.files()
    result = project.run(*command)
    assert result.exit_code == 1
    assert without_digests(result.output).startswith(f"{path}:{line}:1 (whole file) a merge left a conflict here")
    assert "  git checkout --no-overlay main -- generated ':!generated/worker/*.json*'" in result.output
    assert project.files() == before


def test_a_conflict_that_somebody_took_for_a_change_of_a_revision_is_found_all_the_same(
    project: TemporaryProject,
) -> None:
    append(project, REVISION)
    manifest = json.loads(project.read(MANIFEST))
    path = f"{Path(REVISION).parent.as_posix()}/{project.path(REVISION).name}"
    manifest["appended"][path] = hash_content(project.path(REVISION).read_bytes())
    project.path(MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    for command in ("check", "generate"):
        assert f"{REVISION}:" in without_digests(project.run(command).output)


@pytest.mark.parametrize("form", ["json", "github", "sarif"])
@pytest.mark.parametrize("command", ["check", "generate"])
def test_programs_are_told_the_place_and_the_rule(project: TemporaryProject, command: str, form: str) -> None:
    append(project, WRANGLER)
    result = project.run(command, "--format", form)
    assert result.exit_code == 1
    assert WRANGLER in result.output
    assert "MERGE_CONFLICT" in result.output
    assert "the file is yours, solve it by hand" in result.output


def test_conflicts_in_specs_and_in_what_is_generated_are_told_together(project: TemporaryProject) -> None:
    append(project, MANIFEST)
    append(project, "specs/send_email.json")
    output = project.run("generate").output
    assert f"{MANIFEST}:" in output
    assert "specs/send_email.json:" in output


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


def test_conflicts_in_a_file_with_crlf_are_found(project: TemporaryProject) -> None:
    path = "generated/models/send_email.py"
    append(project, path)
    project.path(path).write_text(project.read(path), encoding="utf-8", newline="\r\n")
    assert f"{path}:" in project.run("check").output


def test_handlers_and_texts_of_specs_that_look_like_a_conflict_are_nobodys_business(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", description=CONFLICT))
    append(project, "handlers/send_email.py")
    project.generate()
    project.write_spec("send_email", job_spec("SendEmail", description=f"Again:\n{CONFLICT}"))
    project.generate()
    assert project.run("check").exit_code == 0


def test_handlers_in_the_output_folder_are_left_to_their_owner(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project", handlers="generated/handlers")
    append(project, "generated/handlers/send_email.py")
    append(project, "generated/registry.py")
    output = project.run("generate").output
    assert "generated/handlers/send_email.py" not in output
    assert "':!generated/handlers'" in output


# Merges, by git.


def mail(*properties: str, schedules: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    params = an_object(**{name: {"type": "string"} for name in properties})
    parts = {"params": params, "result": an_object()}
    return {**job_spec("SendEmail", schedules=schedules), "properties": parts}


def branch(project: TemporaryProject, name: str, spec: Mapping[str, object]) -> None:
    """A branch of main on which the spec is this one, and everything is generated."""
    git(project.root, "switch", "--quiet", "--create", name, "main")
    project.write_spec("send_email", spec)
    project.generate()
    commit_all(project.root)


def merge_main(project: TemporaryProject, spec: Mapping[str, object]) -> None:
    """A merge that stops at its conflicts; those of the spec are solved."""
    with pytest.raises(subprocess.CalledProcessError):
        git(project.root, "merge", "--quiet", "main")
    project.write_spec("send_email", spec)


def follow_the_advice(project: TemporaryProject) -> None:
    """Run what `generate` says, to the letter."""
    for options in ((), ("--force",)):
        said = project.run("generate", *options)
        assert said.exit_code == 1
    (command,) = (line for line in said.output.splitlines() if line.startswith("  git "))
    subprocess.run(command, shell=True, cwd=project.root, check=True, timeout=60)
    project.generate()


@pytest.fixture
def repository(project: TemporaryProject) -> TemporaryProject:
    project.path(".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    project.write_spec("send_email", mail("to"))
    project.generate("--relock", "SendEmail")
    commit_all(project.root)
    return project


def revisions(project: TemporaryProject) -> list[str]:
    return sorted(path.name for path in project.path("generated/migrations/versions").glob("server_jobs_*.py"))


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_two_branches_that_both_made_a_revision_are_merged_as_the_advice_says(
    repository: TemporaryProject, style: str
) -> None:
    git(repository.root, "config", "merge.conflictStyle", style)
    branch(repository, "mine", mail("to", "mine"))
    branch(repository, "theirs", mail("to", "theirs"))
    git(repository.root, "switch", "--quiet", "main")
    git(repository.root, "merge", "--quiet", "theirs")
    of_main = {name: repository.read(f"generated/migrations/versions/{name}") for name in revisions(repository)}
    git(repository.root, "switch", "--quiet", "mine")

    merge_main(repository, mail("to", "mine", "theirs"))
    follow_the_advice(repository)

    assert repository.run("check").exit_code == 0
    assert "mine:" in repository.read("generated/models/send_email.py")
    assert "theirs:" in repository.read("generated/models/send_email.py")
    of_both = {name: repository.read(f"generated/migrations/versions/{name}") for name in revisions(repository)}
    assert of_both.items() > of_main.items()
    assert len(of_both) == len(of_main) + 1
    assert not [path for path in repository.files() if conflict_line(repository.path(path).read_bytes())]


def test_a_revision_of_another_name_goes_with_its_branch_and_is_made_anew(repository: TemporaryProject) -> None:
    branch(repository, "mine", mail("to", schedules=[schedule()]))
    assert without_digests(revisions(repository)[-1]) == "server_jobs_0004_schedules.py"
    branch(repository, "theirs", mail("to", "theirs"))
    git(repository.root, "switch", "--quiet", "main")
    git(repository.root, "merge", "--quiet", "theirs")
    assert without_digests(revisions(repository)[-1]) == "server_jobs_0004_views.py"
    git(repository.root, "switch", "--quiet", "mine")

    merge_main(repository, mail("to", "theirs", schedules=[schedule()]))
    follow_the_advice(repository)

    assert repository.run("check").exit_code == 0
    newest = [without_digests(name) for name in revisions(repository)[-2:]]
    assert newest == ["server_jobs_0004_views.py", "server_jobs_0005_schedules.py"]


def test_what_a_branch_wrote_into_the_files_of_the_user_stays(repository: TemporaryProject) -> None:
    branch(repository, "mine", mail("to", "mine"))
    mine = repository.edit(WRANGLER)
    commit_all(repository.root)
    branch(repository, "theirs", mail("to", "theirs"))
    git(repository.root, "switch", "--quiet", "main")
    git(repository.root, "merge", "--quiet", "theirs")
    git(repository.root, "switch", "--quiet", "mine")

    merge_main(repository, mail("to", "mine", "theirs"))
    follow_the_advice(repository)

    assert repository.read(WRANGLER) == mine
