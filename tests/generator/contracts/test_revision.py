"""`server-jobs check --against REVISION` compares the specs with a git revision, without a checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from server_jobs.errors import ProjectError
from server_jobs.project import Project
from server_jobs_generator.contracts.against_revision import SinceRevision, compare_with_revision, read_revision
from server_jobs_generator.contracts.finding import ContractFinding
from server_jobs_generator.contracts.lock_file import Lock, read_lock
from server_jobs_generator.files import git as module
from server_jobs_generator.ir.spec import read_specs
from server_jobs_generator.read.library import SpecFile

from tests.generator.projects import TemporaryProject, make_project
from tests.generator.spec_projects import Schema, a_spec, an_object, write

TEXT: Schema = {"type": "string"}


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def root(committed: Path, tmp_path: Path) -> Path:
    """Return a project in a folder of a repository, with one commit, tagged `v1`."""
    return shutil.copytree(committed, tmp_path / "repository") / "project"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("committed") / "repository/project"
    root.mkdir(parents=True)
    shared = {"$defs": {"Name": TEXT}}
    params = an_object(x={"$ref": "shared/names.json#/$defs/Name"}, y=TEXT)
    write(root, {"case.json": a_spec(params), "shared/names.json": shared, "README.md": b"", ".hidden.json": b"["})
    git(root.parent, "init", "--quiet", "--template=")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1")
    return root.parent


def against(root: Path, revision: str = "v1") -> list[ContractFinding]:
    jobs = read_specs(root, root / "specs").jobs
    return list(compare_with_revision(Project(root=root), revision, jobs, Lock()).findings)


def test_nothing_changed_is_nothing_found(root: Path) -> None:
    assert against(root) == against(root, "main") == against(root, "HEAD") == []


def test_changes_since_a_revision_are_judged_in_every_direction(root: Path) -> None:
    write(root, {"shared/names.json": {"$defs": {"Name": {"type": "integer"}}}})
    write(root, {"case.json": a_spec(an_object(x={"$ref": "shared/names.json#/$defs/Name"}))})
    changed, removed = sorted(against(root), key=lambda one: one.rule, reverse=True)
    assert (changed.rule, removed.rule) == ("TYPE_CHANGED", "PROP_REMOVED_OPTIONAL")
    assert str(changed.place) == "specs/shared/names.json:1:20"
    assert str(changed.old) == "v1:specs/shared/names.json:1:20"
    assert changed.stops
    assert not removed.stops


def test_a_deleted_spec_is_reported_at_its_old_place(root: Path) -> None:
    (root / "specs/case.json").unlink()
    (found,) = against(root)
    assert (found.rule, str(found.place), found.stops) == ("JOB_DELETED", "specs/case.json:1:1", True)
    assert str(found.old) == "v1:specs/case.json:1:1"


def test_a_spec_with_another_title_is_not_reported_as_deleted(root: Path) -> None:
    write(root, {"case.json": a_spec(title="Other")})
    (found,) = against(root)
    assert (found.rule, found.place.path, found.place.pointer) == ("JOB_DELETED", "specs/case.json", "/title")
    assert "its title is Other now, and nothing would run its queued jobs" in found.text
    assert 'keep a spec with the old title and set "status": "retired"' in found.text


def test_a_deleted_retired_job_is_reported_only_while_it_has_rows(root: Path) -> None:
    write(root, {"case.json": a_spec(**{"x-job": {"status": "retired"}})})
    git(root, "commit", "--quiet", "-am", "two")
    (root / "specs/case.json").unlink()
    (found,) = against(root, "HEAD")
    assert (found.rule, found.stops) == ("JOB_DELETED", False)
    assert "; restore the spec as long as rows of it are left; the earlier form is at" in found.text


def test_json_output_has_the_path_of_a_deleted_spec_without_the_revision(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    git(project.root, "init", "--quiet")
    git(project.root, "add", "-A")
    git(project.root, "commit", "--quiet", "-m", "one")
    project.path("specs/send_email.json").unlink()
    options = ("--against", "HEAD", "--format")
    (told,) = (line for line in project.run("check", *options, "github").stdout.splitlines() if "JOB_DELETED" in line)
    assert told.startswith("::error file=specs/send_email.json,line=1,col=1,")
    (run,) = json.loads(project.run("check", *options, "sarif").stdout)["runs"]
    (place,) = (one["locations"][0]["physicalLocation"] for one in run["results"] if one["ruleId"] == "JOB_DELETED")
    assert place["artifactLocation"]["uri"] == "specs/send_email.json"


def test_a_raised_version_needs_no_more_than_that_and_a_lowered_one_is_refused(root: Path) -> None:
    write(root, {"case.json": a_spec(an_object(z={"const": 1}), **{"x-job": {"version": 2}})})
    assert against(root) == []
    git(root, "commit", "--quiet", "-am", "two")
    write(root, {"case.json": a_spec(an_object(z={"const": 1}))})
    assert [finding.rule for finding in against(root, "HEAD")] == ["VERSION_LOWERED"]


@pytest.mark.parametrize("settings", ['specs = "specs"', ""])
def test_the_folder_of_then_is_read_where_the_project_had_it_then(root: Path, settings: str) -> None:
    (root / "pyproject.toml").write_text(f"[tool.server-jobs]\n{settings}\n", encoding="utf-8")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    (root / "specs").rename(root / "contracts")
    project = Project(root=root, specs="contracts")
    jobs = read_specs(root, root / "contracts").jobs
    assert compare_with_revision(project, "HEAD", jobs, Lock()) == SinceRevision()
    (root / "contracts/case.json").unlink()
    jobs = read_specs(root, root / "contracts").jobs
    assert [one.rule for one in compare_with_revision(project, "HEAD", jobs, Lock()).findings] == ["JOB_DELETED"]


def test_options_that_a_project_allowed_then_are_no_problem_today(root: Path) -> None:
    open_one: Schema = {"type": "object", "properties": {"x": {}}}
    write(root, {"case.json": a_spec(open_one)})
    git(root, "commit", "--quiet", "-am", "two")
    write(root, {"case.json": a_spec({**open_one, "additionalProperties": True, "properties": {"x": True}})})
    assert against(root, "HEAD") == []
    write(root, {"case.json": a_spec({**open_one, "additionalProperties": False, "properties": {"x": TEXT}})})
    assert {finding.rule for finding in against(root, "HEAD")} == {"EXTRA_CLOSED", "NULL_REMOVED", "TYPE_NARROWED"}


def test_a_link_is_the_file_that_it_leads_to(root: Path) -> None:
    (root / "specs/shared/link.json").symlink_to("../shared/names.json")
    (root / "specs/again.json").symlink_to("case.json")
    write(root, {"case.json": a_spec(an_object(x={"$ref": "shared/link.json#/$defs/Name"}, y=TEXT))})
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    assert against(root, "HEAD") == []
    (root / "specs/shared/link.json").unlink()
    write(root, {"shared/link.json": {"$defs": {"Name": {"type": "integer"}}}})
    (found,) = against(root, "HEAD")
    assert (found.rule, str(found.old)) == ("TYPE_CHANGED", "HEAD:specs/shared/link.json:1:20")


@pytest.mark.parametrize(
    ("target", "problem"),
    [("../../elsewhere.json", "leads out of the folder of specs"), ("nothing.json", "dangling"), ("shared", "tree")],
)
def test_a_link_that_leads_to_no_spec_is_a_problem_of_its_time(root: Path, target: str, problem: str) -> None:
    (root / "specs/link.json").symlink_to(target)
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    (root / "specs/link.json").unlink()
    with pytest.raises(ProjectError, match=rf"specs/link.json:1:1.*{problem}"):
        against(root, "HEAD")


def test_specs_in_a_linked_folder_are_found(root: Path) -> None:
    (root / "specs").rename(root / "real")
    (root / "specs").symlink_to("real")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    assert [file.path for file in read_revision(Project(root=root), "HEAD").specs] == [
        "specs/case.json",
        "specs/shared/names.json",
    ]


def test_only_specs_are_read_and_nothing_is_written(root: Path) -> None:
    before = git(root, "status", "--porcelain"), (root.parent / ".git/index").read_bytes()
    files = [file for file in read_revision(Project(root=root), "v1").specs if isinstance(file, SpecFile)]
    assert [(file.name, file.path) for file in files] == [
        ("case.json", "specs/case.json"),
        ("shared/names.json", "specs/shared/names.json"),
    ]
    assert all(file.data == (root / file.path).read_bytes() for file in files)
    assert (git(root, "status", "--porcelain"), (root.parent / ".git/index").read_bytes()) == before


def test_settings_of_then_that_cannot_be_read_are_taken_for_those_of_today(root: Path) -> None:
    for text in ("[", "tool = 1", "[tool]\nserver-jobs = 1", "[tool.server-jobs]\nspecs = 1"):
        (root / "pyproject.toml").write_text(text, encoding="utf-8")
        git(root, "add", "-A")
        git(root, "commit", "--quiet", "-m", "two")
        assert read_revision(Project(root=root), "HEAD").specs == read_revision(Project(root=root), "v1").specs


@pytest.mark.parametrize("revision", ["nothing", "--help", "-x", "v1:specs", "", "v1; touch x", "main..v1"])
def test_a_revision_that_is_none_is_named(root: Path, revision: str) -> None:
    with pytest.raises(ProjectError, match="git knows no revision") as caught:
        against(root, revision)
    assert repr(revision) in str(caught.value)


def test_nothing_breaks_since_a_revision_that_had_no_specs_yet(root: Path) -> None:
    git(root, "rm", "-r", "--quiet", "-f", "--cached", "specs")
    git(root, "commit", "--quiet", "-m", "two")
    jobs = read_specs(root, root / "specs").jobs
    since = compare_with_revision(Project(root=root), "HEAD", jobs, Lock())
    assert since == SinceRevision(remarks=("HEAD has no specs in project/specs, so there is nothing to compare with",))


def test_specs_that_were_no_folder_of_this_repository_are_not_taken_for_none(root: Path, tmp_path: Path) -> None:
    (root / "specs").rename(tmp_path / "elsewhere")
    (root / "specs").symlink_to(tmp_path / "elsewhere")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "two")
    with pytest.raises(ProjectError, match="project/specs is no folder of this repository at HEAD"):
        read_revision(Project(root=root), "HEAD")


def test_specs_that_had_problems_then_are_shown(root: Path) -> None:
    write(root, {"case.json": b"["})
    git(root, "commit", "--quiet", "-am", "two")
    write(root, {"case.json": a_spec()})
    with pytest.raises(ProjectError, match=r"the specs at HEAD have problems(?s:.*)specs/case.json:1:2(?s:.*)HEAD~1"):
        against(root, "HEAD")


def test_keywords_that_draft_7_ignores_were_no_problem_then(root: Path) -> None:
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"Name": TEXT}}
    reference = {"$ref": "#/definitions/Name"}
    write(root, {"case.json": a_spec(an_object(x={**reference, "minLength": 3}), **draft7)})
    git(root, "commit", "--quiet", "-am", "two")
    write(root, {"case.json": a_spec(an_object(x=reference), **draft7)})
    assert against(root, "HEAD") == []


def test_a_missing_git_or_repository_is_reported(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(ProjectError, match="is not in a repository of git"):
        read_revision(Project(root=tmp_path / "elsewhere"), "main")
    monkeypatch.setattr(module, "which", lambda _: None)
    with pytest.raises(ProjectError, match="git is not installed here"):
        against(root)


def test_a_hook_of_another_repository_says_nothing_about_this_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git's variables for hooks say that the current folder is the top of the work tree."""
    write(root, {"case.json": a_spec(an_object(x=TEXT))})
    found = against(root)
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    for folder in (root.parent, tmp_path / "other"):
        monkeypatch.setenv("GIT_DIR", str(folder / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(folder / ".git/index"))
        assert against(root) == found != []


def test_settings_of_git_in_the_environment_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may say that the folder is safe although another user owns it."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "x.y")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "z")
    assert module.Git(root).text("config", "x.y") == "z\n"


def test_the_command_fails_where_the_lock_knows_nothing_yet(tmp_path: Path) -> None:
    """The lock was created again, so only the revision knows the released contracts."""
    project = make_project(tmp_path / "project")
    git(project.root, "init", "--quiet")
    project.generate()
    git(project.root, "add", "-A")
    git(project.root, "commit", "--quiet", "-m", "one")
    spec = json.loads(project.read("specs/send_email.json"))
    spec["properties"]["params"]["required"] = ["text"]
    project.write_spec("send_email", spec)
    project.generate("--relock", "SendEmail")
    assert project.run("check").exit_code == 0
    result = project.run("check", "--against", "HEAD")
    assert result.exit_code == 1
    assert "the earlier form is at HEAD:specs/send_email.json:" in result.output
    assert project.run("check", "--against", "nothing").exit_code == 3
    found = json.loads(project.run("check", "--against", "HEAD", "--json").output)["contracts"]
    assert [(one["rule"], one["old"] and one["old"]["path"]) for one in found] == [
        ("CONTRACT_FORGOTTEN", "HEAD:generated/contracts.lock.json"),
        ("VERSION_NOT_BUMPED", None),
        ("REQUIRED_ADDED", "HEAD:specs/send_email.json"),
    ]
    (way_out,) = (one["advice"] for one in found if one["rule"] == "VERSION_NOT_BUMPED")
    assert "--relock" not in way_out, "which was done, and is what the finding is about"


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_the_request_that_adds_the_first_specs_passes_and_says_why(tmp_path: Path, form: str) -> None:
    project = make_project(tmp_path / "project")
    git(project.root, "init", "--quiet")
    git(project.root, "commit", "--quiet", "--allow-empty", "-m", "one")
    project.generate()
    result = project.run("check", "--against", "HEAD", "--format", form)
    assert result.exit_code == 0
    printed = result.stdout if form == "text" else result.stderr
    assert "note: HEAD has no specs in specs, so there is nothing to compare with\n" in printed


def version_of(number: int, *needed: str) -> Schema:
    params: Schema = {**an_object(**dict.fromkeys(needed, TEXT)), "required": list(needed)}
    return a_spec(params, title="SendEmail", **{"x-job": {"version": number}})


@pytest.fixture
def versions(released: TemporaryProject, tmp_path: Path) -> TemporaryProject:
    """Return a project released in versions 1 to 3, the last with two contracts, and a tag for each version."""
    shutil.copytree(released.root, tmp_path / "project", ignore=shutil.ignore_patterns(".server-jobs-cache"))
    return TemporaryProject(tmp_path / "project")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> TemporaryProject:
    project = make_project(tmp_path_factory.mktemp("released") / "project", {})
    git(project.root, "init", "--quiet")
    optional = version_of(3, "c")
    optional["properties"]["params"]["properties"]["d"] = TEXT  # type: ignore[index,call-overload]
    for tag, spec in (("one", version_of(1, "a")), ("two", version_of(2, "b")), ("three", version_of(3, "c"))):
        release_in(project, spec)
        git(project.root, "tag", tag)
    release_in(project, optional)
    return project


def release_in(project: TemporaryProject, spec: Schema, *options: str) -> None:
    project.write_spec("send_email", spec)
    project.generate(*options)
    git(project.root, "add", "-A")
    git(project.root, "commit", "--quiet", "-m", "one")


def forgotten(project: TemporaryProject, revision: str = "HEAD") -> list[tuple[str, str]]:
    """Return the pointers of lost contracts, with their severity."""
    found = json.loads(project.run("check", "--against", revision, "--json").stdout)["contracts"]
    return [(one["pointer"], one["severity"]) for one in found if one["rule"] == "CONTRACT_FORGOTTEN"]


def at(version: int) -> str:
    return f"/jobs/SendEmail/versions/{version}"


def test_a_lock_that_only_grew_has_lost_nothing(versions: TemporaryProject) -> None:
    assert [forgotten(versions, tag) for tag in ("one", "two", "three", "HEAD")] == [[], [], [], []]


def test_versions_that_went_with_forget_are_a_warning_that_names_it(versions: TemporaryProject) -> None:
    versions.generate("--forget", "SendEmail:1")
    assert forgotten(versions) == [(at(1), "warning")]
    result = versions.run("check", "--against", "HEAD")
    assert result.exit_code == 0
    assert "that is right if --forget SendEmail:1 removed it, as no row of it was left" in result.output
    assert "the earlier form is at HEAD:generated/contracts.lock.json:" in result.output
    versions.generate("--forget", "SendEmail:2")
    assert forgotten(versions) == [(at(1), "warning"), (at(2), "warning")]


def test_a_version_that_was_current_at_the_revision_is_not_to_be_forgotten_yet(versions: TemporaryProject) -> None:
    versions.generate("--forget", "SendEmail:1", "--forget", "SendEmail:2")
    assert forgotten(versions, "one") == [(at(1), "error")]
    assert forgotten(versions, "two") == [(at(1), "warning"), (at(2), "error")]
    result = versions.run("check", "--against", "one")
    assert result.exit_code == 1
    assert "version 1 was released, and the lock lacks it now" in result.output


def test_a_contract_that_a_version_has_lost_is_an_error(versions: TemporaryProject) -> None:
    """The relock dropped the first contract of version 3. The spec still fits it, but its next change may not."""
    versions.generate("--relock", "SendEmail:3")
    assert versions.run("check").exit_code == 0
    assert forgotten(versions) == [(at(3), "error")]
    assert forgotten(versions, "two") == []
    assert "version 3 was released with another contract" in versions.run("check", "--against", "HEAD").output


def test_restoring_the_old_lock_restores_the_contract(versions: TemporaryProject) -> None:
    versions.generate("--relock", "SendEmail:3", "--relock", "SendEmail:2", "--relock", "SendEmail:1")
    result = versions.run("check", "--against", "HEAD")
    assert "take generated/contracts.lock.json back from HEAD and run server-jobs generate --force" in result.output
    git(versions.root, "checkout", "HEAD", "--", "generated/contracts.lock.json")
    versions.generate("--force")
    assert versions.run("check", "--against", "HEAD").exit_code == 0
    assert forgotten(versions) == []


def test_a_version_that_was_lost_between_others_is_an_error(versions: TemporaryProject) -> None:
    lock = read_lock(Project(root=versions.root))
    job = lock.jobs["SendEmail"]
    left = replace(job, versions={version: job.versions[version] for version in (1, 3)})
    versions.path("generated/contracts.lock.json").write_text(Lock({"SendEmail": left}).dump(), encoding="utf-8")
    assert forgotten(versions) == [(at(2), "error")]


def third_version(*more: str, **x_job: object) -> Schema:
    params: Schema = {**an_object(**dict.fromkeys(("c", "d", *more), TEXT)), "required": ["c"]}
    return a_spec(params, title="SendEmail", **{"x-job": {"version": 3, **x_job}})


def lose_a_secret(versions: TemporaryProject) -> None:
    """Release the job with the secret, and without it."""
    release_in(versions, third_version("secret", redact=["/secret"]))
    release_in(versions, third_version(reserved=["secret"]))


def test_a_redaction_that_the_lock_lost_is_an_error(versions: TemporaryProject) -> None:
    lose_a_secret(versions)
    assert forgotten(versions) == []
    lock = read_lock(Project(root=versions.root))
    left = replace(lock.jobs["SendEmail"], redact=())
    versions.path("generated/contracts.lock.json").write_text(Lock({"SendEmail": left}).dump(), encoding="utf-8")
    assert forgotten(versions) == [(at(3), "error")]
    message = '"/secret" was redacted in older rows, and the lock lacks it now'
    assert message in versions.run("check", "--against", "HEAD").output


def test_a_secret_of_older_rows_that_is_shown_again_is_reported(versions: TemporaryProject) -> None:
    lose_a_secret(versions)
    versions.write_spec("send_email", third_version("secret"))
    versions.generate()
    output = versions.run("check", "--against", "HEAD").output
    assert '"/secret" was redacted, and is shown now' in output
    assert forgotten(versions) == []


def test_a_lowered_version_is_reported_once(versions: TemporaryProject) -> None:
    versions.write_spec("send_email", version_of(2, "b"))
    versions.generate("--relock", "SendEmail:3")
    assert forgotten(versions) == []
    assert "[VERSION_LOWERED]" in versions.run("check", "--against", "HEAD").output


def test_a_lost_contract_can_be_accepted(versions: TemporaryProject) -> None:
    versions.generate("--relock", "SendEmail:3")
    found = json.loads(versions.run("check", "--against", "HEAD", "--json").output)["contracts"]
    (change,) = (one["message"] for one in found if one["rule"] == "CONTRACT_FORGOTTEN")
    entry = {"rule": "CONTRACT_FORGOTTEN", "job": "SendEmail", "pointer": at(3), "change": change}
    entry |= {"reason": "x", "expires": "2999-01-01"}
    versions.path("specs/contracts.accepted.json").write_text(json.dumps({"accepted": [entry]}), encoding="utf-8")
    assert versions.run("check", "--against", "HEAD").exit_code == 0


def test_the_lock_of_then_is_read_where_the_project_had_it_then(versions: TemporaryProject) -> None:
    versions.path("generated").rename(versions.path("code"))
    settings = versions.read("pyproject.toml").replace("[tool.server-jobs]", '[tool.server-jobs]\noutput = "code"')
    versions.path("pyproject.toml").write_text(settings, encoding="utf-8")
    versions.path("code/manifest.json").unlink()
    versions.generate("--force", "--relock", "SendEmail:3")
    assert forgotten(versions) == [(at(3), "error")]


def test_a_lock_of_then_that_cannot_be_read_is_named_with_the_revision(versions: TemporaryProject) -> None:
    text = versions.read("generated/contracts.lock.json")
    versions.path("generated/contracts.lock.json").write_text("<<<<<<< ours", encoding="utf-8")
    git(versions.root, "commit", "--quiet", "-am", "two")
    versions.path("generated/contracts.lock.json").write_text(text, encoding="utf-8")
    result = versions.run("check", "--against", "HEAD")
    assert (result.exit_code, "HEAD:generated/contracts.lock.json:1:1 cannot be read" in result.output) == (3, True)
    assert result.output.endswith(
        "commits cannot be changed: compare with a revision before it, such as "
        "--against HEAD~1, and with HEAD again once the specs are fixed\n"
    )
    assert versions.run("check", "--against", "HEAD~1").exit_code == 0
