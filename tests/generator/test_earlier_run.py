"""A run that looks only at what changed gives what a run in a fresh folder gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from server_jobs_generator import pipeline
from server_jobs_generator.caching import earlier_run, spec_portions
from server_jobs_generator.caching.earlier_run import EarlierRun
from server_jobs_generator.ir import spec
from server_jobs_generator.ir.spec import JobSpec
from server_jobs_generator.lint.spec_style import Style
from server_jobs_generator.models import model_pool
from server_jobs_generator.models.type_memory import TypeMemory
from server_jobs_generator.parallel.processes import Processes
from server_jobs_generator.read.spec_files import SpecFile

from tests.generator.projects import TemporaryProject, generated_project, job_spec, schedule

CACHE = ".server-jobs-cache/specs.json"
TEXTS = "specs/shared/texts.json"


def referring(title: str, schedules: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    """A spec whose text is the shared one."""
    params = {
        "text": {"$ref": "shared/texts.json#/$defs/Text"},
        "words": {"type": "array", "items": {"type": "string"}},
    }
    spec = job_spec(title, schedules=schedules)
    frame = {"type": "object", "additionalProperties": False}
    return {**spec, "properties": {"params": {**frame, "properties": params}, "result": {**frame, "properties": {}}}}


def texts(length: int) -> dict[str, object]:
    return {"$defs": {"Text": {"type": "string", "maxLength": length}}}


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    full = job_spec("Full", queue="mail", timeout="PT1.5S", retry={"jitter": 0.5}, unique={"by": ["/text"]})
    mail = referring("Mail", schedules=[schedule()])
    specs = {"plain": job_spec("Plain"), "mail": mail, "full": full, "shared/texts": texts(10)}
    project = generated_project(tmp_path / "project", specs)
    project.generate()  # which finds nothing to do, and keeps what it knows
    return project


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is checked and rendered from here on."""
    seen: list[str] = []

    def checked(found: Sequence[SpecFile], style: Style) -> object:
        seen.extend(file.path for file in found)
        return checking(found, style)

    def rendered(jobs: Sequence[JobSpec], memory: TypeMemory, processes: Processes) -> object:
        seen.extend(job.class_name for job in jobs)
        return rendering(jobs, memory, processes)

    checking, rendering = spec.check_specs, model_pool.render_models_of
    for module in (earlier_run, pipeline, spec_portions):
        monkeypatch.setattr(module, "check_specs", checked)
    monkeypatch.setattr(pipeline, "render_models_of", rendered)
    return seen


def without_cache(project: TemporaryProject, root: Path) -> TemporaryProject:
    """The same project where nothing is known."""
    shutil.copytree(project.root, root, ignore=shutil.ignore_patterns(".server-jobs-cache"))
    return TemporaryProject(root)


def change_one(project: TemporaryProject) -> None:
    project.write_spec("plain", job_spec("Plain", description="Changed.", version=2))


def change_shared(project: TemporaryProject) -> None:
    project.write_spec("shared/texts", texts(20))


def refer_to_more(project: TemporaryProject) -> None:
    project.write_spec("plain", {**referring("Plain"), "x-job": {"version": 2}})


def swap_titles(project: TemporaryProject) -> None:
    project.write_spec("plain", job_spec("Full"))
    project.write_spec("full", job_spec("Plain"))


CHANGES: Mapping[Callable[[TemporaryProject], None], list[str]] = {
    change_one: ["specs/plain.json", "Plain"],
    change_shared: ["specs/mail.json", TEXTS, "Mail"],
    refer_to_more: [],
    swap_titles: [],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_after_a_change_everything_is_as_in_a_fresh_folder(
    project: TemporaryProject, tmp_path: Path, looked_at: list[str], change: Callable[[TemporaryProject], None]
) -> None:
    fresh = without_cache(project, tmp_path / "fresh")
    change(project)
    project.generate()
    if CHANGES[change]:
        assert looked_at == CHANGES[change]
    change(fresh)
    fresh.generate()
    assert project.files() == fresh.files()


def test_an_unchanged_project_is_known_even_where_the_stamp_is_gone(
    project: TemporaryProject, looked_at: list[str]
) -> None:
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
    assert looked_at == []


@pytest.mark.parametrize("path", ["generated/models/plain.py", "handlers/full.py"])
def test_what_became_of_the_files_of_an_unchanged_spec_is_seen(project: TemporaryProject, path: str) -> None:
    text = project.read(path)
    project.path(path).unlink()
    assert project.generate().output == f"  created {path}\n"
    assert project.read(path) == text
    if not path.startswith("handlers"):
        project.edit(path)
        assert f"EDITED {path}" in project.run("check").output


def test_a_problem_is_told_together_with_those_of_all_other_files(project: TemporaryProject) -> None:
    project.write_spec("shared/texts", texts(-1))
    project.write_spec("plain", {**job_spec("Plain"), "x-job": {"queu": "mail"}})
    told = project.run("generate").output
    shutil.rmtree(project.path(".server-jobs-cache"))
    assert project.run("generate").output == told
    assert len(told.splitlines()) > 1


def test_two_jobs_of_one_name_are_refused_when_they_become_so(project: TemporaryProject) -> None:
    project.write_spec("plain", job_spec("Full"))
    assert "is taken by" in project.run("generate").output


def test_without_the_look_at_what_needs_what_the_comparison_fails(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EarlierRun, "_with_those_that_need", lambda self, names: set(names))
    fresh = without_cache(project, tmp_path / "fresh")
    for each in (project, fresh):
        each.write_spec("shared/texts", texts(20))
        each.generate()
    assert project.read("generated/models/mail.py") != fresh.read("generated/models/mail.py")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_name", "Plain = __import__('os').abort()  #"),
        ("spec_name", "../../outside"),
        ("options", {"queue": "mail", "version": "1; import os"}),
    ],
)
def test_a_cache_that_was_tampered_with_changes_nothing(project: TemporaryProject, key: str, value: object) -> None:
    before = project.files()
    head, *lines = project.read(CACHE).split("\n")
    known = [json.loads(line) for line in lines]
    for file in known:
        if file["name"] == "plain.json":
            file["job"][key] = value
            file["rendered"] = []
    project.path(CACHE).write_text("\n".join([head, *map(json.dumps, known)]), encoding="utf-8")
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
    assert project.files() == before


def test_a_cache_that_came_with_the_project_is_not_used(project: TemporaryProject, tmp_path: Path) -> None:
    edited = project.edit("generated/jobs/plain.py")
    cache = project.path(".server-jobs-cache")
    known = [json.loads(line) for line in project.read(CACHE).split("\n")[1:]]
    for file in known:
        for kept in file["rendered"]:
            if kept["path"] == "generated/jobs/plain.py":
                kept["hash"] = sha256(edited.encode()).hexdigest()
    head = project.read(CACHE).split("\n")[0]
    project.path(CACHE).write_text("\n".join([head, *map(json.dumps, known)]), encoding="utf-8")
    cache.rename(tmp_path / "committed")
    shutil.copytree(tmp_path / "committed", cache)
    assert "EDITED generated/jobs/plain.py" in project.run("check").output


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000])
def test_a_broken_cache_costs_only_time(project: TemporaryProject, content: bytes) -> None:
    head = project.path(CACHE).read_bytes().partition(b"\n")[0]
    project.path(CACHE).write_bytes(head + b"\n" + content)
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
