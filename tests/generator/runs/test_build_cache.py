"""A run with a build cache gives what a run in a fresh folder gives."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from server_jobs.domain.options import Misfire, Schedule
from server_jobs.project import Project, find_project
from server_jobs_generator import build_cache, generated_files, pipeline
from server_jobs_generator.build_cache import BuildCache, CachedSpec, read_build_cache
from server_jobs_generator.comparison import compare_files
from server_jobs_generator.files import cache_folder
from server_jobs_generator.files.cache_folder import is_clean
from server_jobs_generator.files.generated_file import KeptFile, Ownership
from server_jobs_generator.ir.spec import JobSpec, check_specs, read_specs
from server_jobs_generator.models.model_module import render_all_models
from server_jobs_generator.models.property_types import PropertyTypes
from server_jobs_generator.problems.problem import SpecProblem
from server_jobs_generator.python.custom_types import CustomTypes
from server_jobs_generator.read.library import SpecFile

from tests.generator.projects import TemporaryProject, generated_project, job_spec, make_project, schedule
from tests.generator.spec_projects import a_spec, an_object

CACHE = ".server-jobs-cache/build.json"
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
    """Record the checked and rendered specs from now on."""
    seen: list[str] = []

    def checked(found: Sequence[SpecFile], formats: Collection[str]) -> object:
        seen.extend(file.path for file in found)
        return check_specs(found, formats)

    def rendered(jobs: Sequence[JobSpec], types: PropertyTypes, custom: CustomTypes) -> object:
        seen.extend(job.class_name for job in jobs)
        return render_all_models(jobs, types, custom)

    monkeypatch.setattr(build_cache, "check_specs", checked)
    monkeypatch.setattr(generated_files, "render_all_models", rendered)
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


def add_one(project: TemporaryProject) -> None:
    project.write_spec("new", referring("New"))


CHANGES: Mapping[Callable[[TemporaryProject], None], list[str]] = {
    change_one: ["specs/plain.json", TEXTS, "Plain"],
    change_shared: ["specs/mail.json", TEXTS, "Mail"],
    refer_to_more: ["specs/plain.json", TEXTS, "Plain", "Plain"],  # with its earlier version
    swap_titles: ["specs/full.json", "specs/plain.json", TEXTS, "Full", "Plain"],
    add_one: ["specs/new.json", TEXTS, "New"],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_after_a_change_everything_is_as_in_a_fresh_folder(
    project: TemporaryProject, tmp_path: Path, looked_at: list[str], change: Callable[[TemporaryProject], None]
) -> None:
    fresh = without_cache(project, tmp_path / "fresh")
    change(project)
    project.generate()
    assert looked_at == CHANGES[change]
    change(fresh)
    fresh.generate()
    assert project.files() == fresh.files()


def test_an_unchanged_project_is_known_even_where_the_fingerprint_is_gone(
    project: TemporaryProject, looked_at: list[str]
) -> None:
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"
    assert looked_at == []


@pytest.mark.parametrize("path", ["generated/models/plain.py", "handlers/full.py"])
def test_changed_files_of_an_unchanged_spec_are_noticed(project: TemporaryProject, path: str) -> None:
    text = project.read(path)
    project.path(path).unlink()
    assert project.generate().output == f"  created {path}\n"
    assert project.read(path) == text
    if not path.startswith("handlers"):
        project.edit(path)
        assert f"EDITED {path}" in project.run("check").output


def test_problems_of_all_files_are_reported_together(project: TemporaryProject) -> None:
    project.write_spec("shared/texts", texts(-1))
    project.write_spec("plain", {**job_spec("Plain"), "x-job": {"queu": "mail"}})
    told = project.run("generate").output
    shutil.rmtree(project.path(".server-jobs-cache"))
    assert project.run("generate").output == told
    assert len(told.splitlines()) > 1


def test_two_jobs_of_one_name_are_refused_when_they_become_so(project: TemporaryProject) -> None:
    project.write_spec("plain", job_spec("Full"))
    assert "is taken by" in project.run("generate").output


def test_without_what_a_spec_refers_to_in_its_key_a_change_goes_unseen(
    project: TemporaryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = without_cache(project, tmp_path / "fresh")
    monkeypatch.setattr(build_cache, "_keys", lambda files, needs: {name: str(files[name].data) for name in files})
    project.path(".server-jobs-cache/build.json").unlink()
    project.path(".server-jobs-cache/clean").unlink()
    project.generate()
    for each in (project, fresh):
        each.write_spec("shared/texts", texts(20))
        each.generate()
    assert project.read("generated/models/mail.py") != fresh.read("generated/models/mail.py")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"class_name":"Plain"', '"class_name":"Plain = __import__(\'os\').abort()  #"'),
        ('"spec_name":"plain"', '"spec_name":"../../outside"'),
        ('"queue":"mail"', '"queue":"other"'),
        ("list[str]", "list[int]"),
        ('"rendered":{', '"rendered":{"Gone":["",[]],'),
    ],
)
def test_a_cache_that_was_changed_by_hand_counts_as_empty(project: TemporaryProject, before: str, after: str) -> None:
    files, cache = project.files(), project.read(CACHE)
    assert before in cache
    project.path(CACHE).write_text(cache.replace(before, after, 1), encoding="utf-8")
    project.path(".server-jobs-cache/clean").unlink()
    assert read_build_cache(find_project(project.root)) == BuildCache()
    assert project.generate().output == "nothing changed\n"
    assert project.files() == files


def test_a_cache_that_came_with_the_project_is_not_used(project: TemporaryProject, tmp_path: Path) -> None:
    cache = project.path(".server-jobs-cache")
    assert read_build_cache(find_project(project.root)) != BuildCache()
    cache.rename(tmp_path / "committed")
    shutil.copytree(tmp_path / "committed", cache)
    assert read_build_cache(find_project(project.root)) == BuildCache()
    assert not is_clean(find_project(project.root))


def test_the_byte_code_of_handlers_is_no_change(project: TemporaryProject) -> None:
    found = find_project(project.root)
    project.path("handlers/__pycache__").mkdir(exist_ok=True)
    assert is_clean(found)
    project.path("handlers/plain.py").unlink()
    assert not is_clean(found)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000])
def test_a_broken_cache_costs_only_time(project: TemporaryProject, content: bytes) -> None:
    head = project.path(CACHE).read_bytes().partition(b"\n")[0]
    project.path(CACHE).write_bytes(head + b"\n" + content)
    project.path(".server-jobs-cache/clean").unlink()
    assert project.generate().output == "nothing changed\n"


def test_a_sealed_cache_of_another_shape_counts_as_empty(project: TemporaryProject) -> None:
    found = find_project(project.root)
    for content in (b"{}", b"[]", b'{"specs": 1}', b"[" * 100_000):
        project.path(CACHE).write_bytes(build_cache._sealed(found, content))  # pyright: ignore[reportPrivateUsage]
        assert read_build_cache(found) == BuildCache()


def test_another_version_of_the_generator_or_a_library_starts_with_an_empty_cache(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_project(project.root)
    assert read_build_cache(found) != BuildCache()
    assert is_clean(found)
    monkeypatch.setattr(cache_folder, "_installed", lambda: ("another",))
    assert read_build_cache(found) == BuildCache()
    assert not is_clean(found)


def test_another_setting_of_the_project_starts_with_an_empty_cache(project: TemporaryProject) -> None:
    found = find_project(project.root)
    assert read_build_cache(replace(found, outputs=("openapi",))) == BuildCache()
    assert not is_clean(replace(found, outputs=("openapi",)))


def test_a_spec_that_is_saved_during_a_run_is_a_change(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved_meanwhile(*arguments: object) -> object:
        project.write_spec("plain", job_spec("Plain", queue="later"))
        return compare_files(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "compare_files", saved_meanwhile)
    project.write_spec("plain", job_spec("Plain", queue="now"))
    project.generate()
    monkeypatch.undo()
    assert "now" in project.read("generated/jobs/plain.py")
    assert not is_clean(find_project(project.root))
    project.generate()
    assert "later" in project.read("generated/jobs/plain.py")


TEXT = {"type": "string"}
OTHER = {"type": "string", "maxLength": 3}


def by_reference(reference: str, **more: object) -> object:
    return a_spec(an_object(text={"$ref": reference}), **more)


JOBS: Sequence[object] = (
    None,
    a_spec(),
    a_spec(**{"$defs": {"Text": TEXT}}),
    a_spec(title="Taken"),
    a_spec(title="TAKEN"),
    by_reference("shared/texts.json#/$defs/Text"),
    by_reference("shared/texts.json#/$defs/Far"),
    by_reference("shared/%74exts.json#/$defs/Text"),
    by_reference("two.json#/$defs/Text"),
    by_reference("urn:texts#/$defs/Text"),
    json.dumps(by_reference("shared/texts.json#/$defs/Text")).replace("$ref", "$re\\u0066").encode(),
    b"[",
)
SHARED: Sequence[object] = (
    None,
    {"$defs": {"Text": TEXT, "Far": {"$ref": "far.json#/$defs/Far"}}},
    {"$defs": {"Text": OTHER, "Far": TEXT}},
    {"$id": "urn:texts", "$defs": {"Text": TEXT}},
    {"$\u0069d": "urn:texts", "$defs": {"Text": OTHER}},
)
FAR: Sequence[object] = (None, {"$defs": {"Far": TEXT}}, {"$defs": {"Far": OTHER}}, {"$id": "urn:texts", "$defs": {}})
NAMES = ("one.json", "two.json", "three.json", "shared/texts.json", "shared/far.json", "shared/FAR.json")

State = Mapping[str, object]
states = st.fixed_dictionaries(
    {name: st.sampled_from(FAR if "far" in name.lower() else SHARED if "/" in name else JOBS) for name in NAMES}
)


def files_of(state: State) -> list[SpecFile | SpecProblem]:
    contents = {name: each if isinstance(each, bytes) else json.dumps(each).encode() for name, each in state.items()}
    return [SpecFile(name, f"specs/{name}", contents[name]) for name in sorted(state) if state[name] is not None]


def read_again_and_again(root: Path, series: Sequence[State]) -> None:
    """Read one state of the specs after the other, with the cache that the one before has left."""
    project = Project(root=root)
    for state in series:
        cache, found = read_build_cache(project), files_of(state)
        specs, expected = cache.read(project, found), check_specs(found)
        assert (specs.jobs, specs.problems) == (expected.jobs, expected.problems)
        if not specs.problems:
            needs = {name: set(each) for name, each in specs.needs.items() if each}
            assert needs == {name: set(each) for name, each in expected.needs.items() if each}
            cache.store(project, {}, [])


@given(st.lists(states, min_size=2, max_size=5))
def test_whatever_changes_the_cache_gives_what_is_read_without_it(series: Sequence[State]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read_again_and_again(Path(folder), series)


NAMED = {"$id": "urn:texts", "$defs": {"Text": TEXT}}
BY_NAME: State = {"one.json": by_reference("urn:texts#/$defs/Text"), "shared/texts.json": NAMED}
SABOTAGE: Mapping[str, tuple[object, Sequence[State]]] = {
    "_URI": (re.compile(b"(?!)"), [BY_NAME, {**BY_NAME, "shared/far.json": NAMED}]),
    "folded": (
        str,
        [
            {"one.json": a_spec(title="Taken"), "two.json": a_spec()},
            {"one.json": a_spec(title="Taken"), "two.json": a_spec(title="TAKEN")},
        ],
    ),
    "MAX_TOTAL_VALUES": (10**9, [{"one.json": a_spec()}, {"one.json": a_spec(), "two.json": a_spec()}]),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_without_a_look_at_all_specs_the_cache_gives_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    instead, series = SABOTAGE[name]
    most = sum(check_specs(files_of(series[0])).sizes.values())
    if name == "MAX_TOTAL_VALUES":
        monkeypatch.setattr("server_jobs_generator.ir.spec.MAX_TOTAL_VALUES", most)
        monkeypatch.setattr(build_cache, name, most)
    read_again_and_again(tmp_path, series)
    monkeypatch.setattr(build_cache, name, instead)
    shutil.rmtree(tmp_path / ".server-jobs-cache")
    with pytest.raises(AssertionError):
        read_again_and_again(tmp_path, series)


def a_warning() -> SpecProblem:
    return SpecProblem("specs/full.json", 1, 2, "/properties/params", "states no type", "TYPE_MISSING")


def test_no_field_of_a_job_gets_lost_in_the_cache(tmp_path: Path) -> None:
    job = a_job_with_everything(tmp_path)
    for one in (job, job.options):
        plain = [field.name for field in fields(one) if getattr(one, field.name) == default_of(field)]
        assert plain == [], "give it another value here, so that it is seen to come back"
    spec = CachedSpec(key="1", needs=("shared/texts.json",), size=3, jobs=(job,), warnings=(a_warning(),))
    file = KeptFile("generated/models/full.py", "2", Ownership.ONCE, "Full")
    cache = BuildCache(specs={"full.json": spec}, answers={"true": "Any"}, rendered={"Full": ("3", [file])})
    form = TypeAdapter(BuildCache)
    assert repr(form.validate_json(form.dump_json(cache))) == repr(cache)


def default_of(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def a_job_with_everything(tmp_path: Path) -> JobSpec:
    """A job in which no field has its default."""
    spec = job_spec(
        "Full",
        version=2,
        queue="mail",
        priority=3,
        maxAttempts=7,
        timeout="PT1.5S",
        runIn="kubernetes",
        image="registry.example.com/jobs:2",
        resources={"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
        retry={"backoff": "linear", "jitter": 0.5},
        expiresAfter="PT1H",
        unique={"by": ["/tenant"], "onConflict": "replace"},
        concurrency={"limit": 2, "by": ["/tenant"]},
        rate={"limit": 2, "per": "PT1H", "by": ["/tenant"]},
        shardBy="/tenant",
        retention={"completed": "P1D"},
        redact=["/text"],
        compat={"queue": "warning"},
        reserved=["old"],
        status="retired",
    )
    number = {"type": "number", "default": 1.0, "maximum": 10**20, "multipleOf": 0.1}
    params = {**an_object(text=number, tenant={"type": "string"}), "required": ["tenant"]}
    parts = {"params": params, "result": an_object()}
    project = make_project(tmp_path / "project", {"full": {**spec, "description": "Words.", "properties": parts}})
    found = read_specs(project.root, project.path("specs"))
    assert found.problems == ()
    schedules = (Schedule(name="nightly", cron="0 3 * * *", timezone="Europe/Berlin", misfire=Misfire.FIRE_ALL),)
    return replace(found.jobs[0], schedules=schedules, has_view=False, indexes=("/params/text",), is_earlier=True)
