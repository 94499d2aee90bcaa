"""In any series of changes, the cache of earlier runs changes no file and no message."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from server_jobs_generator import generated_files

from tests.generator.projects import TemporaryProject, ask_for, job_spec, make_project

NUMBER: Mapping[str, object] = {"type": "integer"}
TEXT: Mapping[str, object] = {"type": "string"}


def spec_of(title: str, text: Mapping[str, object] = TEXT, **options: object) -> dict[str, object]:
    """Return a spec with one property."""
    closed = {"type": "object", "additionalProperties": False}
    parts = {"params": {**closed, "properties": {"text": text}}, "result": closed}
    return {**job_spec(title), **({"x-job": options} if options else {}), "properties": parts}


@dataclass(frozen=True)
class Step:
    """A user's change of a project, and the options of the run that follows."""

    name: str
    do: Callable[[TemporaryProject], object]
    options: tuple[str, ...] = ()


def write(name: str, spec: Mapping[str, object]) -> Callable[[TemporaryProject], object]:
    return lambda project: project.write_spec(name, spec)


def allow(project: TemporaryProject) -> None:
    text = project.read("pyproject.toml").replace("[tool.alembic]", 'allow = ["TYPE_MISSING"]\n[tool.alembic]', 1)
    project.path("pyproject.toml").write_text(text, encoding="utf-8")


def disallow(project: TemporaryProject) -> None:
    text = project.read("pyproject.toml").replace('allow = ["TYPE_MISSING"]\n', "")
    project.path("pyproject.toml").write_text(text, encoding="utf-8")


def merge_lock(project: TemporaryProject) -> None:
    """Merge the lock of a branch in which version 1 of `Mail` took a number."""
    path = project.path("generated/contracts.lock.json")
    lock = json.loads(path.read_text(encoding="utf-8"))
    versions = lock["jobs"]["Mail"]["versions"]
    versions["1"] = versions.pop("2")
    path.write_text(json.dumps(lock), encoding="utf-8")


def change_lock(project: TemporaryProject, before: str, after: str) -> None:
    """Edit the lock by hand."""
    path = project.path("generated/contracts.lock.json")
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def queue_and_hand(project: TemporaryProject) -> None:
    project.write_spec("mail", spec_of("Mail", TEXT, version=3, queue="slow"))
    change_lock(project, '"spec": "plain"', '"spec": "other"')


def wrong_hash(project: TemporaryProject) -> None:
    project.write_spec("mail", spec_of("Mail", TEXT, version=3, queue="mail"))
    change_lock(project, '"hash": "', '"hash": "0')


def without_text(title: str) -> dict[str, object]:
    """Return a spec without its property."""
    closed = {"type": "object", "additionalProperties": False}
    return {**spec_of(title, reserved=["text"]), "properties": {"params": closed, "result": closed}}


NAMED = {"$id": "urn:one", "$defs": {"Text": {"type": "string"}}}
STEPS = (
    Step("nothing", lambda project: None),
    Step("another queue", write("mail", spec_of("Mail", queue="mail"))),
    Step("a breach without a version", write("mail", spec_of("Mail", NUMBER))),
    Step("a new version", write("mail", spec_of("Mail", NUMBER, version=2))),
    Step("a third one", write("mail", spec_of("Mail", TEXT, version=3))),
    Step("a reserved name", write("plain", spec_of("Plain", reserved=["text"]))),
    Step("which is seen again while another job changes", write("mail", spec_of("Mail", TEXT, version=3, priority=4))),
    Step("and is taken back", write("plain", spec_of("Plain"))),
    Step("an entry of the lock, by hand, while another job changes", queue_and_hand),
    Step("an entry of a job that is known, with a hash that is wrong", wrong_hash),
    Step("and right again", lambda project: change_lock(project, '"hash": "0', '"hash": "')),
    Step("a version is forgotten", lambda project: None, ("--forget", "Mail:1")),
    Step("the lock of another branch", merge_lock),
    Step("a contract that counts no more", write("plain", spec_of("Plain", NUMBER)), ("--relock", "Plain")),
    Step("a retired job", write("plain", spec_of("Plain", NUMBER, status="retired"))),
    Step("an index", write("full", spec_of("Full", indexes=["/params/text"]))),
    Step("a secret", write("full", spec_of("Full", redact=["/text"]))),
    Step("that the spec loses", write("full", without_text("Full"))),
    Step("while nothing changes", lambda project: None),
    Step("and that counts no more", lambda project: None, ("--relock", "Full")),
    Step("an output", lambda project: ask_for(project, "cloudflare", "testing", "catalogue")),
    Step("a schema without a type", write("full", spec_of("Full", {"description": "Anything."}))),
    Step("which is allowed", allow, ("--relock", "Full")),
    Step("and no more", disallow),
    Step("a type again", write("full", spec_of("Full"))),
    Step("a job is gone", lambda project: project.path("specs/full.json").unlink(), ("--relock", "Full")),
)


# By default the look before each run is left out, because the run reports the same.
LOOKS = [("check",)] if os.environ.get("SERVER_JOBS_LONG_TESTS") else []


def forget_everything(project: TemporaryProject) -> None:
    shutil.rmtree(project.path(".server-jobs-cache"), ignore_errors=True)


def told(project: TemporaryProject, *command: str) -> tuple[int, str]:
    result = project.run(*command)
    return result.exit_code, result.output.replace(str(project.root), "")


@pytest.fixture
def twins(tmp_path: Path) -> tuple[TemporaryProject, TemporaryProject]:
    specs = {"mail": spec_of("Mail"), "plain": spec_of("Plain"), "full": spec_of("Full")}
    one = make_project(tmp_path / "one" / "project", specs)
    one.generate()
    shutil.copytree(one.root, tmp_path / "other" / "project")
    return one, TemporaryProject(tmp_path / "other" / "project")


@pytest.mark.slow
def test_a_run_with_a_cache_has_the_same_effect_and_output_as_one_without(
    twins: tuple[TemporaryProject, TemporaryProject],
) -> None:
    remembering, other = twins
    for step in STEPS:
        for project in twins:
            step.do(project)
        for command in (*LOOKS, ("generate", *step.options)):
            forget_everything(other)
            assert told(remembering, *command) == told(other, *command), (step.name, command)
        assert remembering.files() == other.files(), step.name


@pytest.mark.slow
def test_without_checking_earlier_versions_a_forgotten_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project", {"mail": spec_of("Mail")})
    project.generate()
    project.write_spec("mail", spec_of("Mail", NUMBER, version=2))
    project.generate()
    project.write_spec("mail", spec_of("Mail", TEXT, version=3))
    project.generate()
    monkeypatch.setattr(generated_files, "hashes_of", lambda jobs, steps, before: {})
    project.path(".server-jobs-cache/clean").unlink()
    project.generate()
    project.generate("--forget", "Mail:1")
    assert project.path("generated/models/mail_v1.py").exists()


def name_twice(project: TemporaryProject) -> None:
    project.path("specs/shared/two.json").write_text(json.dumps(NAMED), encoding="utf-8")


def test_a_name_that_a_second_file_takes_is_seen_by_those_that_use_it(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", {"mail": spec_of("Mail", {"$ref": "urn:one#/$defs/Text"})})
    project.path("specs/shared").mkdir()
    name_twice(project)
    project.path("specs/shared/two.json").rename(project.path("specs/shared/one.json"))
    project.path("specs/shared/two.json").write_text(json.dumps({"$defs": {"Other": TEXT}}), encoding="utf-8")
    project.generate()
    name_twice(project)
    remembered = told(project, "check")
    forget_everything(project)
    assert remembered == told(project, "check")
    assert remembered[0] == 1
