"""A run that is killed leaves the old output folder or the new one, and whatever a person does meanwhile is kept."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs.errors import ProjectError
from server_jobs.project import find_project
from server_jobs_generator.files import publication
from server_jobs_generator.files.exchange import exchange
from server_jobs_generator.files.run_lock import one_at_a_time

from tests.generator.killed_runs import HANDLERS, MINE, old_project
from tests.generator.projects import TemporaryProject, generated_project
from tests.generator.test_output import refuse

REPOSITORY = Path(__file__).parents[2]
LONG = ["--all"] if os.environ.get("SERVER_JOBS_LONG_TESTS") else []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    return old_project(tmp_path_factory.mktemp("publication") / "template")


@pytest.fixture
def project(template: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    shutil.copytree(template.root, tmp_path / "project")
    return TemporaryProject(tmp_path / "project")


def kill_runs(folder: Path, *options: str) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.generator.killed_runs", str(folder), *options, *LONG]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("options", [[], ["--first"]])
def test_a_killed_run_leaves_the_old_output_or_the_new_one(tmp_path: Path, options: list[str]) -> None:
    outcome = kill_runs(tmp_path, *options)
    killed = outcome.pop("killed")
    assert isinstance(killed, int)
    assert killed > 2
    assert outcome == {"mixed": [], "not_completed": [], "lost": []}


def test_files_that_are_replaced_one_by_one_are_seen_half_done_but_are_completed(tmp_path: Path) -> None:
    outcome = kill_runs(tmp_path, "--one-by-one")
    assert outcome["mixed"]
    assert (outcome["not_completed"], outcome["lost"]) == ([], [])


def save_as_editors_do(project: TemporaryProject, mark: str) -> dict[str, str]:
    """Change the user's files in the ways that editors have: in their place, and by another file in their place."""
    expected = dict(MINE)
    for path in (path for path in MINE if "node_modules" not in path):
        expected[path] = f"{mark} of {path}\n"
        if path.endswith(".py"):
            project.path(f"{path}.new").write_text(expected[path], encoding="utf-8")
            project.path(f"{path}.new").replace(project.path(path))
        else:
            project.path(path).write_text(expected[path], encoding="utf-8")
    for path in (f"{HANDLERS}/{mark}.py", f"generated/{mark}.txt", f"generated/{mark}/deep/file.txt"):
        expected[path] = f"new in {path}\n"
        project.path(path).parent.mkdir(parents=True, exist_ok=True)
        project.path(path).write_text(expected[path], encoding="utf-8")
    return expected


@pytest.mark.parametrize("is_late", [False, True])
def test_what_a_person_saves_during_a_run_is_kept(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    expected: dict[str, str] = {}

    def exchange_meanwhile(one: str, other: str) -> None:
        is_it = other == str(project.path("generated"))
        if is_it and not is_late:
            expected.update(save_as_editors_do(project, "before"))
        exchange(one, other)
        if is_it and is_late:
            expected.update(save_as_editors_do(project, "behind"))

    monkeypatch.setattr(publication, "exchange", exchange_meanwhile)
    project.generate()
    assert {path: project.read(path) for path in expected} == expected
    assert "queue=" in project.read("generated/jobs/mail.py")


@pytest.mark.parametrize("does_change_places", [False, True])
def test_what_a_person_saved_while_a_run_was_interrupted_is_kept(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, does_change_places: bool
) -> None:
    expected: dict[str, str] = {}

    def be_interrupted(one: str, other: str) -> None:
        if other != str(project.path("generated")):
            exchange(one, other)
            return
        expected.update(save_as_editors_do(project, "before"))
        if does_change_places:
            exchange(one, other)
        raise KeyboardInterrupt

    monkeypatch.setattr(publication, "exchange", be_interrupted)
    assert project.run("generate").exit_code == 130
    assert {path: project.read(path) for path in expected} == expected
    assert not list(project.path(".server-jobs-cache").glob("publication-*"))


def test_without_the_look_at_the_old_folder_a_saved_file_is_lost(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "_bring_over", lambda *arguments: None)
    with pytest.raises((AssertionError, FileNotFoundError)):
        test_what_a_person_saves_during_a_run_is_kept(project, monkeypatch, False)


def test_folders_without_a_change_stay_the_same_folders(project: TemporaryProject) -> None:
    """Programs that were started in one are still in it, and those that watch one still do."""
    folders = [HANDLERS, "generated/worker/node_modules", f"{HANDLERS}/parts"]
    before = [project.path(folder).stat().st_ino for folder in folders]
    project.generate()
    assert [project.path(folder).stat().st_ino for folder in folders] == before


def test_the_modes_of_folders_stay_as_they_were(project: TemporaryProject) -> None:
    project.path("generated/models").chmod(0o700)
    project.generate()
    assert project.path("generated/models").stat().st_mode & 0o777 == 0o700


def test_an_output_folder_that_is_a_link_is_written_file_by_file(project: TemporaryProject) -> None:
    project.path("generated").rename(project.path("elsewhere"))
    project.path("generated").symlink_to("elsewhere")
    project.generate()
    assert project.path("generated").is_symlink()
    assert "queue=" in project.read("elsewhere/jobs/mail.py")
    assert project.run("check").exit_code == 0


def test_both_ways_give_the_same_files(project: TemporaryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project.root, project.root.parent / "other")
    other = TemporaryProject(project.root.parent / "other")
    project.generate()
    monkeypatch.setattr(publication, "exchange", refuse)
    other.generate()
    assert project.files() == other.files()


def test_a_full_disk_leaves_everything_as_it_was(project: TemporaryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write(path: str, text: str) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        real(path, text)

    real, before = publication._write, project.files()
    monkeypatch.setattr(publication, "_write", write)
    result = project.run("generate")
    assert result.exit_code == 3
    assert "No space left on device" in result.output
    after = project.files()
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) <= {f"{HANDLERS}/new.py"}
    assert not list(project.path(".server-jobs-cache").glob("publication-*"))


def test_a_run_waits_for_another_one_and_says_for_whom(project: TemporaryProject) -> None:
    settings = find_project(project.root)
    told: list[str] = []
    holder = one_at_a_time(settings, print)
    holder.__enter__()

    def let_go(line: str) -> None:
        told.append(line)
        holder.__exit__(None, None, None)

    with one_at_a_time(settings, let_go):
        pass
    assert told == [f"waiting for process {os.getpid()}, which is generating here"]


def test_a_run_does_not_wait_for_ever(project: TemporaryProject) -> None:
    settings = find_project(project.root)
    told: list[str] = []
    with (
        one_at_a_time(settings, print),
        pytest.raises(ProjectError, match=f"process {os.getpid()} has been generating"),
    ):
        one_at_a_time(settings, told.append, patience=0).__enter__()
    assert len(told) == 1


def test_a_run_that_finds_nothing_to_do_does_not_wait(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")
    project.generate()  # which finds nothing to do, and keeps what it knows
    with one_at_a_time(find_project(project.root), print):
        assert project.generate().output == "nothing changed\n"
