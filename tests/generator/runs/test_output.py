"""Changes of files when specs change, and files that a user edited."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from server_jobs_generator.files.cache_folder import CACHE
from server_jobs_generator.files.manifest import hash_content

from tests.generator.projects import (
    TemporaryProject,
    generated_project,
    job_spec,
    make_project,
    schedule,
    without_digests,
)
from tests.slow import slow

JOB = "generated/jobs/send_email.py"
HANDLER = "handlers/send_email.py"
LOCK = "generated/contracts.lock.json"


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(
        tmp_path / "project", {"send_email": job_spec("SendEmail"), "import_csv": job_spec("ImportCsv")}
    )


def test_a_changed_spec_changes_only_the_files_that_follow_from_it(project: TemporaryProject) -> None:
    before = project.files()
    project.write_spec("send_email", job_spec("SendEmail", priority=5))
    result = project.generate()
    after = project.files()
    changed = {path for path in after if before[path] != after[path]}
    assert changed == {"specs/send_email.json", JOB, "generated/manifest.json"}
    assert result.output == f"  updated {JOB}\n  updated generated/manifest.json\n"


@pytest.mark.parametrize(
    ("command", "first"),
    [
        (("generate",), ""),
        (("generate", "--dry-run"), "generate, then "),
        (("generate", "--diff"), "generate, then "),
        (("check",), "generate, then "),
    ],
)
def test_after_a_changed_model_the_type_checker_has_to_run(
    project: TemporaryProject, command: tuple[str, ...], first: str
) -> None:
    project.write_spec("new", job_spec("New"))
    spec = project.read("specs/send_email.json").replace('"text": {', '"note": {"type": "string"}, "text": {')
    project.path("specs/send_email.json").write_text(spec, encoding="utf-8")
    assert project.run(*command).output.splitlines()[-1] == (
        f"note: models changed: 1; {first}run your type checker (mypy or pyright) to find handlers that need a change"
    )


def test_an_unchanged_model_asks_for_no_type_check(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    assert "type checker" not in project.generate().output
    project.write_spec("send_email", job_spec("SendEmail", priority=5))
    assert "type checker" not in project.run("check").output
    assert "type checker" not in project.generate().output
    assert project.generate().output == "nothing changed\n"


def test_the_jobs_of_a_removed_spec_go_and_its_handler_stays(project: TemporaryProject) -> None:
    handler = project.edit(HANDLER)
    project.path("specs/send_email.json").unlink()
    result = project.generate("--relock", "SendEmail")
    assert f"  removed {JOB}" in result.output
    assert f"note: {HANDLER} is no longer used" in result.output
    assert not project.path(JOB).exists()
    assert not project.path("generated/models/send_email.py").exists()
    assert project.read(HANDLER) == handler
    assert f"note: {HANDLER}" in project.generate().output
    project.path(HANDLER).unlink()
    project.generate()
    assert project.generate().output == "nothing changed\n"


def test_a_project_without_specs_gets_its_first_one(tmp_path: Path) -> None:
    project = generated_project(tmp_path, {})
    project.write_spec("send_email", job_spec("SendEmail"))

    assert f"  updated {LOCK}" in project.generate().output


def test_a_restored_spec_finds_its_handler(project: TemporaryProject) -> None:
    handler = project.edit(HANDLER)
    project.path("specs/send_email.json").unlink()
    project.generate("--relock", "SendEmail")
    project.write_spec("send_email", job_spec("SendEmail"))
    project.generate()
    assert project.read(HANDLER) == handler
    assert project.run("check").exit_code == 0


def test_files_written_once_are_never_touched_again(project: TemporaryProject) -> None:
    once = [HANDLER, "generated/worker/wrangler.jsonc", "generated/worker/pyproject.toml"]
    texts = [project.edit(path) for path in once]
    project.write_spec("send_email", job_spec("SendEmail", queue="mail", description="Something else."))
    project.generate("--force")
    assert [project.read(path) for path in once] == texts
    assert project.run("check").exit_code == 0


def test_a_missing_handler_is_written_again(project: TemporaryProject) -> None:
    stub = project.read(HANDLER)
    project.path(HANDLER).unlink()
    assert project.generate().output == f"  created {HANDLER}\n"
    assert project.read(HANDLER) == stub


def test_edited_files_are_refused_by_name_and_nothing_is_written(project: TemporaryProject) -> None:
    edited = [JOB, "generated/registry.py"]
    for path in edited:
        project.edit(path)
    project.write_spec("import_csv", job_spec("ImportCsv", queue="slow"))
    before = project.files()
    result = project.run("generate")
    assert result.exit_code == 1
    assert all(f"\n  {path}\n" in result.output for path in edited)
    assert "server-jobs generate --force" in result.output
    assert project.files() == before


def test_force_overwrites_edited_files(project: TemporaryProject) -> None:
    before = project.files()
    project.edit(JOB)
    assert project.generate("--force").output == f"overwrote {JOB}\n"
    assert project.files() == before


def test_an_edited_file_of_a_removed_spec_is_refused_too(project: TemporaryProject) -> None:
    text = project.edit(JOB)
    project.path("specs/send_email.json").unlink()
    assert project.run("generate", "--relock", "SendEmail").exit_code == 1
    assert project.read(JOB) == text
    project.generate("--force", "--relock", "SendEmail")
    assert not project.path(JOB).exists()


def test_a_file_of_a_person_in_the_place_of_a_generated_one_is_refused(project: TemporaryProject) -> None:
    mine = project.path("generated/jobs/new_job.py")
    mine.write_text("mine = 1\n", encoding="utf-8")
    project.write_spec("new_job", job_spec("NewJob"))
    result = project.run("generate")
    assert result.exit_code == 1
    assert "generated/jobs/new_job.py" in result.output
    assert mine.read_text(encoding="utf-8") == "mine = 1\n"


def test_unknown_files_in_the_output_are_kept(project: TemporaryProject) -> None:
    extra = project.path("generated/models/mine.py")
    extra.write_text("mine = 1\n", encoding="utf-8")
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    project.generate()
    assert extra.read_text(encoding="utf-8") == "mine = 1\n"


def test_other_line_endings_are_not_an_edit(project: TemporaryProject) -> None:
    path = project.path(JOB)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert project.run("check").exit_code == 0
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    project.generate()


def test_bytes_that_are_not_text_are_an_edit(project: TemporaryProject) -> None:
    project.path(JOB).write_bytes(b"\xff\xfe")
    assert project.run("generate").exit_code == 1
    project.generate("--force")
    assert project.run("check").exit_code == 0


def test_without_a_manifest_only_differing_files_count_as_edited(project: TemporaryProject) -> None:
    project.path("generated/manifest.json").unlink()
    assert project.generate().output == "  created generated/manifest.json\n"
    project.path("generated/manifest.json").unlink()
    project.edit(JOB)
    assert project.run("generate").exit_code == 1


def test_programs_get_each_diff_with_its_file(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    before = project.files()
    files = json.loads(project.generate("--diff", "--json").output)["files"]
    (job,) = (file for file in files if file["path"] == JOB)
    assert job["state"] == "STALE"
    assert job["diff"].startswith(f"--- {JOB}\n+++ {JOB}\n@@ ")
    assert '\n+    options = JobOptions(queue="mail")' in job["diff"]
    assert all("diff" not in file for file in json.loads(project.generate("--dry-run", "--json").output)["files"])
    assert project.files() == before


def test_dry_run_and_diff_write_nothing(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    before = project.files()
    assert f"would update {JOB}" in project.generate("--dry-run").output
    diff = project.generate("--diff").output
    assert '+    options = JobOptions(queue="mail")' in diff
    assert f"would update {JOB}" in diff
    assert project.files() == before


def test_json_reports_the_deleted_jobs(project: TemporaryProject) -> None:
    project.write_spec("send_email", job_spec("SendEmail", priority=5))
    document = json.loads(project.generate("--json").output)
    assert document == {
        "problems": [],
        "warnings": [],
        "contracts": [],
        "files": [
            {"path": JOB, "state": "STALE", "action": "update"},
            {"path": "generated/manifest.json", "state": "STALE", "action": "update"},
        ],
        "unused_handlers": [],
        "written": True,
    }


def test_a_run_that_was_cut_off_is_completed_by_the_next(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TemporaryProject(shutil.copytree(project.root, project.root.parent / "whole"))
    for each in (whole, project):
        for name, spec in _changed().items():
            each.write_spec(name, spec)
    whole.generate()
    assert cut_off(project, monkeypatch, 2).exit_code == 130
    assert project.run("check").exit_code == 1
    project.generate()
    assert project.files() == whole.files()


def _changed() -> dict[str, dict[str, object]]:
    return {
        "send_email": job_spec("SendEmail", queue="mail"),
        "import_csv": job_spec("ImportCsv", queue="slow", schedules=[schedule()]),
        "new_job": job_spec("NewJob"),
    }


def test_a_full_disk_leaves_every_file_as_it_was(project: TemporaryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write_spec("new_job", job_spec("NewJob"))
    before = project.files()
    write_text = Path.write_text

    def write(self: Path, data: str, **options: str) -> int:
        if self.parent.name.startswith(".staging-") and self.name == "2":
            raise OSError(28, "No space left on device")
        return write_text(self, data, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write)
        result = project.run("generate")
    assert result.exit_code == 3
    assert "No space left on device" in result.output
    assert project.files() == before


@pytest.mark.parametrize("replacements", [5, 21, *map(slow, (1, 9, 13, 17, 25, 29))])
def test_a_run_that_was_cut_off_may_be_followed_by_a_changed_spec(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, replacements: int
) -> None:
    for name, spec in _changed().items():
        project.write_spec(name, spec)
    cut_off(project, monkeypatch, replacements)
    project.write_spec("send_email", job_spec("SendEmail", queue="other", description="Other words."))
    project.write_spec("import_csv", job_spec("ImportCsv", schedules=[schedule(cron="0 4 * * *")]))
    project.path("specs/new_job.json").unlink()
    is_locked = "NewJob" in project.read("generated/contracts.lock.json")
    project.generate(*(("--relock", "NewJob") if is_locked else ()))
    assert project.run("check").exit_code == 0
    assert not project.path("generated/jobs/new_job.py").exists()
    assert "unfinished" not in json.loads(project.read("generated/manifest.json"))


def test_a_file_that_was_changed_after_a_run_was_cut_off_is_refused(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write_spec("new_job", job_spec("NewJob"))
    cut_off(project, monkeypatch, 8)
    text = project.edit("generated/jobs/new_job.py")
    assert project.run("generate").exit_code == 1
    assert project.read("generated/jobs/new_job.py") == text


def cut_off(project: TemporaryProject, monkeypatch: pytest.MonkeyPatch, replacements: int) -> Result:
    """Run `generate` and stop it after this number of replacements; those in the cache do not count."""
    replace, count = Path.replace, 0

    def replace_until_then(self: Path, target: Path) -> Path:
        nonlocal count
        count += CACHE not in self.parts
        if count > replacements:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_until_then)
        return project.run("generate")


def test_staged_files_of_a_killed_run_are_removed_by_the_next(project: TemporaryProject) -> None:
    staging = project.path("generated/.staging-k1ll3d")
    staging.mkdir()
    (staging / "0").write_text("half a fi", encoding="utf-8")
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    project.generate()
    assert not staging.exists()


@pytest.mark.parametrize("link", ["generated/models", "handlers"])
def test_a_folder_that_links_out_of_the_project_is_refused(tmp_path: Path, link: str) -> None:
    project = make_project(tmp_path / "project")
    outside = tmp_path / "outside"
    outside.mkdir()
    project.path(link).parent.mkdir(exist_ok=True)
    project.path(link).symlink_to(outside)
    result = project.run("generate")
    assert result.exit_code == 3
    assert f"{link} leads out of the project" in result.output
    assert list(outside.iterdir()) == []


def test_a_file_that_links_out_of_the_project_is_refused(project: TemporaryProject, tmp_path: Path) -> None:
    target = tmp_path / "target.py"
    target.write_text("outside = 1\n", encoding="utf-8")
    project.path(JOB).unlink()
    project.path(JOB).symlink_to(target)
    assert project.run("generate", "--force").exit_code == 3
    assert target.read_text(encoding="utf-8") == "outside = 1\n"


def test_a_folder_in_the_place_of_a_file_is_named(project: TemporaryProject) -> None:
    project.path(JOB).unlink()
    project.path(JOB).mkdir()
    result = project.run("generate")
    assert result.exit_code == 3
    assert f"{JOB} is in the way" in result.output


def test_a_file_in_the_place_of_a_folder_is_named(project: TemporaryProject) -> None:
    shutil.rmtree(project.path("handlers"))
    project.path("handlers").touch()
    result = project.run("generate")
    assert result.exit_code == 3
    assert result.output == f"Error: {project.path('handlers')} is in the way: it has to be a folder\n"


def test_a_read_only_folder_is_reported_without_the_file_to_move_there(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(source), None, str(target))

    monkeypatch.setattr(os, "link", link)
    project.path(HANDLER).unlink()
    result = project.run("generate")
    assert result.exit_code == 3
    advice = "the user who runs the generator needs write access"
    assert (
        result.output == f"Error: {project.path(HANDLER)} cannot be read or written: Read-only file system; {advice}\n"
    )


@pytest.mark.parametrize("path", ["../victim.py", "handlers/mine.py", "generated/../handlers/mine.py", "/victim.py"])
def test_a_manifest_that_names_other_files_makes_none_of_them_the_generators(
    project: TemporaryProject, path: str
) -> None:
    manifest = json.loads(project.read("generated/manifest.json"))
    victim = project.root / path
    if path != "/victim.py":
        victim.write_text("mine = 1\n", encoding="utf-8")
    manifest["rewritten"][path] = hash_content(b"mine = 1\n")
    project.path("generated/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert "removed" not in project.generate().output
    assert victim.exists() or path == "/victim.py"


@pytest.mark.parametrize("key", ["rewritten", "unfinished"])
@pytest.mark.parametrize(
    "path",
    [
        "generated/handlers/mine.py",
        "generated/Handlers/mine.py",
        "generated//handlers/mine.py",
        "generated/./handlers/mine.py",
        "generated/jobs/../handlers/mine.py",
        "generated//mine.py",
        "generated/worker/wrangler.jsonc",
    ],
)
def test_a_manifest_that_names_handlers_in_the_output_makes_none_of_them_the_generators(
    tmp_path: Path, path: str, key: str
) -> None:
    project = generated_project(tmp_path / "project", handlers="generated/handlers")
    victim = project.path(path)
    victim.parent.mkdir(exist_ok=True)
    victim.write_text("mine = 1\n", encoding="utf-8")
    manifest = json.loads(project.read("generated/manifest.json"))
    digest = hash_content(b"mine = 1\n")
    manifest.setdefault(key, {})[path] = [digest] if key == "unfinished" else digest
    project.path("generated/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    project.generate("--force")
    assert victim.read_text(encoding="utf-8") == "mine = 1\n"


@pytest.mark.parametrize("path", [JOB, "generated/manifest.json", "generated/migrations/sql/sqlite/0001_tables.sql"])
def test_a_pipe_in_the_place_of_a_file_is_named(project: TemporaryProject, path: str) -> None:
    file = project.path(path)
    file.unlink()
    os.mkfifo(file)
    result = project.run("check")
    assert result.exit_code == 3
    assert f"{path} is in the way" in without_digests(result.output)


def test_hidden_files_are_ignored(project: TemporaryProject) -> None:
    project.path("generated/models/.DS_Store").touch()
    assert project.run("check").exit_code == 0


def test_publishing_ignores_extra_files(project: TemporaryProject) -> None:
    project.path("generated/models/mine.txt").write_text("mine", encoding="utf-8")
    project.write_spec("send_email", job_spec("SendEmail", queue="mail"))
    project.generate()
    assert project.read("generated/models/mine.txt") == "mine"
    assert "queue=" in project.read("generated/jobs/send_email.py")
