"""A run that is killed is reported and completed by the next one. Files that a user changes in between are kept."""

from __future__ import annotations

import errno
import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_jobs.errors import ProjectError
from server_jobs.project import Project, find_project
from server_jobs_generator import publication
from server_jobs_generator.files.cache_folder import CACHE
from server_jobs_generator.files.manifest import Manifest
from server_jobs_generator.files.run_lock import one_at_a_time
from server_jobs_generator.plan import Plan

from tests.generator.projects import TemporaryProject, generated_project, job_spec
from tests.generator.runs.killed_runs import HANDLERS, MINE, old_project
from tests.stale_bytecode import SECOND

REPOSITORY = Path(__file__).parents[3]
LONG = ["--all"] if os.environ.get("SERVER_JOBS_LONG_TESTS") else []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    return old_project(tmp_path_factory.mktemp("publication") / "template")


@pytest.fixture
def project(template: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    shutil.copytree(template.root, tmp_path / "project")
    return TemporaryProject(tmp_path / "project")


def kill_runs(folder: Path, *options: str) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.generator.runs.killed_runs", str(folder), *options, *LONG]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--first"]])
def test_check_reports_a_killed_run_and_the_next_run_completes_it(tmp_path: Path, options: list[str]) -> None:
    outcome = kill_runs(tmp_path, *options)
    killed = outcome.pop("killed")
    assert isinstance(killed, int)
    assert killed > 2
    assert outcome == {"unreported": [], "not_completed": [], "lost": []}


def test_without_the_journal_the_next_run_takes_files_of_a_killed_run_for_edited(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manifest, "begin", lambda self, new: self)
    replace, count = Path.replace, 0

    def replace_some(self: Path, target: Path) -> Path:
        nonlocal count
        count += CACHE not in self.parts
        if count == 6:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        assert project.run("generate").exit_code == 130
    project.write_spec("mail", job_spec("Mail", queue="other"))
    result = project.run("generate")
    assert result.exit_code == 1
    assert "changed by hand" in result.output


def during_the_run(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Make a change after the files were compared, before the first of them is replaced."""
    publish = publication.publish

    def change_first(project: Project, plan: Plan) -> None:
        change()
        publish(project, plan)

    monkeypatch.setattr(publication, "publish", change_first)


def test_files_that_a_person_saves_during_a_run_are_kept(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = {path: f"saved {path}\n" for path in (*MINE, f"{HANDLERS}/other.py", "generated/deep/er/file.txt")}

    def save() -> None:
        for path, text in saved.items():
            project.path(path).parent.mkdir(parents=True, exist_ok=True)
            project.path(path).write_text(text, encoding="utf-8")

    during_the_run(monkeypatch, save)
    project.generate()
    assert {path: project.read(path) for path in saved} == saved
    assert "queue=" in project.read("generated/jobs/mail.py")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_handler_that_a_person_creates_during_a_run_is_kept(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    handler = project.path(f"{HANDLERS}/new.py")
    during_the_run(monkeypatch, lambda: handler.write_text("mine = 1\n", encoding="utf-8"))
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    project.generate()
    assert handler.read_text(encoding="utf-8") == "mine = 1\n"


def test_a_stub_is_written_where_the_file_system_has_no_hard_links(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse)
    project.generate()
    assert "async def handle" in project.read(f"{HANDLERS}/new.py")


def refuse(*paths: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


def test_a_generated_file_that_a_person_edits_during_a_run_is_kept_and_reported(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = project.path("generated/jobs/mail.py")
    with monkeypatch.context() as patch:
        during_the_run(patch, lambda: job.write_text("edited = 1\n", encoding="utf-8"))
        result = project.run("generate")
    assert result.exit_code == 3
    assert "generated/jobs/mail.py was changed during this run" in result.output
    assert job.read_text(encoding="utf-8") == "edited = 1\n"

    assert "EDITED generated/jobs/mail.py" in project.run("check").output
    project.generate("--force")
    assert "queue=" in job.read_text(encoding="utf-8")
    assert project.run("check").exit_code == 0


def generate_in_second(project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, queue: str) -> None:
    """Generate for a queue. All files that are written have the same second."""
    write = Path.write_text

    def write_text(self: Path, *arguments: Any, **options: Any) -> int:
        written = write(self, *arguments, **options)
        os.utime(self, (SECOND, SECOND))
        return written

    project.write_spec("mail", job_spec("Mail", queue=queue))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_text)
        project.generate()


@pytest.mark.parametrize("between", ["longer", None])
def test_bytecode_of_an_earlier_text_is_outdated_though_all_were_written_in_one_second(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, between: str | None
) -> None:
    job = project.path("generated/jobs/mail.py")
    os.utime(job, (0, 0))
    generate_in_second(project, monkeypatch, "one")
    py_compile.compile(str(job), doraise=True)
    if between is None:
        job.unlink()
    else:
        generate_in_second(project, monkeypatch, between)
    generate_in_second(project, monkeypatch, "two")
    command = [sys.executable, "-c", "from generated.jobs import Mail; print(Mail.options.queue)"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True)
    assert done.stdout == "two\n"


def test_an_output_folder_that_is_a_link_stays_one(project: TemporaryProject) -> None:
    project.path("generated").rename(project.path("elsewhere"))
    project.path("generated").symlink_to("elsewhere")
    project.generate()
    assert project.path("generated").is_symlink()
    assert "queue=" in project.read("elsewhere/jobs/mail.py")
    assert project.run("check").exit_code == 0


def test_a_run_waits_for_another_one_and_says_so(project: TemporaryProject) -> None:
    settings = find_project(project.root)
    told: list[str] = []
    holder = one_at_a_time(settings, print)
    holder.__enter__()

    def let_go(line: str) -> None:
        told.append(line)
        holder.__exit__(None, None, None)

    with one_at_a_time(settings, let_go):
        pass
    assert told == ["waiting for another `server-jobs generate`, which is running here"]


def test_a_run_does_not_wait_forever(project: TemporaryProject) -> None:
    settings = find_project(project.root)
    told: list[str] = []
    with (
        one_at_a_time(settings, print),
        pytest.raises(
            ProjectError, match="another `server-jobs generate` has been running here for more than 0 seconds"
        ),
    ):
        one_at_a_time(settings, told.append, patience=0).__enter__()
    assert len(told) == 1


def test_a_run_that_finds_nothing_to_do_does_not_wait(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")
    project.generate()  # this run does nothing, and keeps its cache
    with one_at_a_time(find_project(project.root), print):
        assert project.generate().output == "nothing changed\n"
