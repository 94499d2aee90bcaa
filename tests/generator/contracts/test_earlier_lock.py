"""A lock that was deleted with its whole folder is missed, if git or the cache knows of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from server_jobs.project import find_project
from server_jobs_generator.last_run import stages_of_lock

from tests.generator.projects import (
    TemporaryProject,
    commit_all,
    generated_project,
    git,
    job_spec,
    make_project,
    schedule,
    without_digests,
)

LOCK = "generated/contracts.lock.json"
MANIFEST = "generated/manifest.json"


SPECS = {"send_email": job_spec("SendEmail", schedules=[schedule()])}


def new_project(root: Path) -> TemporaryProject:
    return make_project(root, SPECS)


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """Return a project with an earlier revision of its spec, outside a repository."""
    project = generated_project(tmp_path / "project", SPECS)
    project.write_spec("send_email", job_spec("SendEmail", schedules=[schedule(cron="0 4 * * *")]))
    project.generate()
    return project


@pytest.fixture
def repository(project: TemporaryProject) -> TemporaryProject:
    project.path(".gitignore").write_text(".server-jobs-cache/\n", encoding="utf-8")
    commit_all(project.root)
    return project


def forget(project: TemporaryProject) -> None:
    shutil.rmtree(project.path(".server-jobs-cache"))


def advice(project: TemporaryProject) -> str:
    """Return the message of both commands, which write nothing."""
    before = project.files()
    said = {project.run(*command).output for command in (["generate"], ["generate", "--force"], ["check"])}
    assert project.run("generate").exit_code == 3
    assert project.files() == before
    (text,) = said
    assert f"{LOCK} is gone, and nothing else knows the contracts of jobs that may be queued" in text
    return text


def follow(project: TemporaryProject, said: str) -> None:
    """Run the first command of the message."""
    command = re.findall(r"`([^`]+)`", said)[0]
    subprocess.run(command, shell=True, cwd=project.root, check=True, timeout=60)


@pytest.mark.parametrize("is_remembered", [True, False], ids=["cache", "no cache"])
def test_a_folder_tracked_by_git_is_not_created_again(repository: TemporaryProject, is_remembered: bool) -> None:
    shutil.rmtree(repository.path("generated"))
    if not is_remembered:
        forget(repository)
    follow(repository, advice(repository))
    assert repository.generate().output == "nothing changed\n"
    assert git(repository.root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "paths",
    [(LOCK,), (LOCK, MANIFEST), (LOCK, MANIFEST, "generated/migrations"), (LOCK, "generated/worker/migrations")],
    ids=", ".join,
)
def test_only_lost_claims_are_released(repository: TemporaryProject, paths: tuple[str, ...]) -> None:
    mine = repository.edit("generated/worker/wrangler.jsonc")
    for path in paths:
        gone = repository.path(path)
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    said = advice(repository)
    assert f"`git checkout -- {' '.join(paths)}`" in said
    follow(repository, said)
    repository.generate()
    assert repository.read("generated/worker/wrangler.jsonc") == mine
    assert repository.run("check").exit_code == 0


def test_a_project_can_start_over_on_purpose(repository: TemporaryProject) -> None:
    shutil.rmtree(repository.path("generated"))
    said = advice(repository)
    assert said.endswith(f"run `git rm --cached {LOCK}`, delete .server-jobs-cache as well\n")
    git(repository.root, "rm", "--cached", LOCK)
    forget(repository)
    repository.generate()
    versions = sorted(
        without_digests(path.name) for path in repository.path("generated/migrations/versions").glob("server_jobs_*")
    )
    assert versions == [
        "server_jobs_0001_tables.py",
        "server_jobs_0002_schedules.py",
        "server_jobs_0003_views.py",
    ]


def test_a_project_without_git_is_remembered_by_its_cache(project: TemporaryProject) -> None:
    project.path(LOCK).unlink()
    way_out = "restore it from version control; or, if nothing was ever queued, delete"
    assert advice(project).endswith(f"{way_out} {MANIFEST} and .server-jobs-cache as well\n")
    shutil.rmtree(project.path("generated"))
    assert advice(project).endswith(f"{way_out} .server-jobs-cache as well\n")


def test_a_lock_that_an_older_run_wrote_is_remembered_as_well(project: TemporaryProject) -> None:
    forget(project)
    project.run("check")
    shutil.rmtree(project.path("generated"))
    advice(project)


def test_without_git_and_cache_a_deleted_lock_is_not_noticed(project: TemporaryProject) -> None:
    shutil.rmtree(project.path("generated"))
    forget(project)
    project.generate()


@pytest.mark.parametrize("command", [("check",), ("generate", "--dry-run"), ("generate", "--diff")], ids=" ".join)
def test_a_look_at_a_new_project_is_no_lock(tmp_path: Path, command: tuple[str, ...]) -> None:
    project = new_project(tmp_path / "project")
    commit_all(project.root)
    project.run(*command)
    project.generate()


def test_a_cache_that_was_copied_says_nothing_of_another_folder(project: TemporaryProject, tmp_path: Path) -> None:
    copy = new_project(tmp_path / "copy")
    shutil.copytree(project.path(".server-jobs-cache"), copy.path(".server-jobs-cache"))
    copy.generate()


def test_git_is_not_run_while_the_lock_exists(repository: TemporaryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_git: object, *_arguments: str, given: bytes = b"") -> object:
        raise AssertionError("git was asked")

    monkeypatch.setattr("server_jobs_generator.files.git.Git.run", run)
    repository.write_spec("send_email", job_spec("SendEmail", queue="other"))
    repository.generate()
    assert repository.run("check").exit_code == 0


# git's index in all its forms.


def is_kept(root: Path) -> bool:
    return bool(stages_of_lock(find_project(root)))


@pytest.mark.parametrize("options", [(), ("--object-format=sha256",)], ids=["sha1", "sha256"])
@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("folder", ["", "services/mail"])
def test_the_index_names_the_lock(tmp_path: Path, options: tuple[str, ...], version: str, folder: str) -> None:
    root = new_project(tmp_path / "repository" / folder).root
    top = tmp_path / "repository"
    git(top, "init", "--quiet", *options)
    assert not is_kept(root)
    (root / LOCK).parent.mkdir()
    (root / LOCK).write_text("{}", encoding="utf-8")
    (root / "other" / LOCK).parent.mkdir(parents=True)
    (root / "other" / LOCK).write_text("{}", encoding="utf-8")
    (root / f"{LOCK}.old").write_text("{}", encoding="utf-8")
    git(top, "add", f"{root}/other", f"{root}/{LOCK}.old")
    git(top, "update-index", "--index-version", version)
    assert not is_kept(root)
    # A file added with the intent to add only has an extended entry.
    git(top, "add", *(["--intent-to-add"] if version == "3" else []), f"{root}/{LOCK}")
    assert is_kept(root)
    git(top, "rm", "--quiet", "--cached", f"{root}/{LOCK}")
    assert not is_kept(root)


def test_a_separate_work_tree_has_its_own_index(repository: TemporaryProject, tmp_path: Path) -> None:
    git(repository.root, "worktree", "add", "--quiet", str(tmp_path / "beside"))
    assert is_kept(tmp_path / "beside")
    git(tmp_path / "beside", "rm", "--quiet", LOCK)
    assert not is_kept(tmp_path / "beside")
    assert is_kept(repository.root)


@pytest.mark.parametrize("content", [b"", b"DIRC", b"\0" * 100, LOCK.encode() + b"\0", b"\xff" * 1000])
def test_an_index_that_is_none_names_nothing(repository: TemporaryProject, content: bytes) -> None:
    repository.path(".git/index").write_bytes(content)
    assert not is_kept(repository.root)


def test_a_broken_pointer_to_a_repository_is_passed_over(project: TemporaryProject) -> None:
    project.path(".git").write_bytes(b"gitdir: /nowhere\n")
    assert not is_kept(project.root)
    project.path(".git").write_bytes(b"\xff\xfe")
    assert not is_kept(project.root)
