"""The lock: its content, its changes, and how strictly it is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from difflib import ndiff
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from server_jobs.errors import ProjectError
from server_jobs_generator.contracts.contract import Contract, LockedOptions, Status
from server_jobs_generator.contracts.lock_file import Lock, LockedJob, line_and_column, parse_lock

from tests.generator.projects import TemporaryProject, generated_project, job_spec
from tests.generator.spec_language import ANYTHING
from tests.generator.spec_projects import Schema

LOCK = "generated/contracts.lock.json"
TEXT: JsonValue = {"type": "string"}


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    return generated_project(tmp_path / "project")


def _revisions(project: TemporaryProject, version: str = "1") -> list[Schema]:
    revisions: list[Schema] = json.loads(project.read(LOCK))["jobs"]["SendEmail"]["versions"][version]
    return revisions


def test_the_lock_has_the_contract_without_documentation(project: TemporaryProject) -> None:
    spec = job_spec("SendEmail", description="Words.", queue="mail", timeout="PT1M30.5S", unique={"by": ["/text"]})
    project.write_spec("send_email", spec)
    project.generate()
    (revision,) = _revisions(project)
    assert revision["options"] == {
        "maxAttempts": 3,
        "queue": "mail",
        "timeout": "PT90.5S",
        "unique": {"by": ["/text"]},
    }
    assert revision["params"] == {
        "type": "object",
        "additionalProperties": False,
        "properties": {"text": {"type": "string"}, "words": {"type": "array", "items": {"type": "string"}}},
    }


def test_words_of_documentation_are_no_new_revision(project: TemporaryProject) -> None:
    before = project.read(LOCK)
    spec = job_spec("SendEmail", description="Something else.")
    spec["properties"]["params"]["properties"]["text"] |= {"description": "Words.", "examples": ["a"]}  # type: ignore[index]
    project.write_spec("send_email", spec)
    project.generate()
    assert project.read(LOCK) == before


def test_a_changed_shape_adds_a_revision_and_the_last_one_matches_the_spec(
    project: TemporaryProject,
) -> None:
    (old,) = _revisions(project)
    spec = job_spec("SendEmail")
    spec["properties"]["params"]["properties"]["more"] = {"type": "integer"}  # type: ignore[index]
    project.write_spec("send_email", spec)
    assert f"STALE {LOCK}" in project.run("check").output
    project.generate()
    first, second = _revisions(project)
    assert first == old
    assert second["params"] != old["params"]
    project.write_spec("send_email", job_spec("SendEmail"))
    project.generate()
    assert _revisions(project) == [second, first]


def test_a_raised_version_is_locked_with_the_old_one(project: TemporaryProject) -> None:
    old = _revisions(project)
    project.write_spec("send_email", job_spec("SendEmail", version=10))
    project.generate()
    assert _revisions(project) == old
    assert _revisions(project, "10") == old


def test_one_and_true_are_not_the_same_contract() -> None:
    contracts = [Contract(params={"const": value}, result={}, options=LockedOptions()) for value in (1, True)]
    assert not contracts[0].has_schemas_of(contracts[1])
    assert contracts[0].hash != contracts[1].hash


def test_each_property_has_its_own_line() -> None:
    money: JsonValue = {"properties": {"cents": {"type": "integer"}, "currency": {"type": "string", "maxLength": 3}}}
    properties: JsonValue = {"text": TEXT, "more": {"type": "array", "items": TEXT}}
    lines = _text_of({"$defs": {"Money": money}, "properties": properties}).splitlines()
    for line in (
        '"cents": {"type": "integer"},',
        '"currency": {"maxLength": 3, "type": "string"}',
        '"more": {"items": {"type": "string"}, "type": "array"},',
        '"text": {"type": "string"}',
    ):
        assert line in map(str.strip, lines)


def test_a_change_of_a_property_is_a_line_in_a_diff() -> None:
    before, after = (
        _text_of({"properties": {"a": TEXT, "b": {"enum": [value]}, "c": TEXT}}).splitlines() for value in ("x", "y")
    )
    changed = [line for line in ndiff(before, after) if line[0] == "+"]
    assert [line.split('"')[1] for line in changed] == ["hash", "b"]


def _text_of(params: dict[str, JsonValue]) -> str:
    contract = Contract(params=params, result={}, options=LockedOptions())
    return Lock({"Pay": LockedJob(spec_name="pay", status=Status.ACTIVE, versions={1: (contract,)})}).dump()


def test_the_lock_is_the_same_at_every_run(project: TemporaryProject) -> None:
    before = project.read(LOCK)
    project.path("generated/manifest.json").unlink()
    project.generate("--force")
    assert project.read(LOCK) == before


options = st.builds(
    LockedOptions,
    queue=st.sampled_from(("default", "mail")),
    max_attempts=st.integers(1, 10_000),
    timeout=st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(days=365)),
    unique_by=st.none() | st.lists(st.sampled_from(("", "/a", "/b/c")), unique=True).map(tuple),
    shard_by=st.none() | st.sampled_from(("/a", "/b/c")),
)
objects = st.dictionaries(st.text("ab/~é\u2028", max_size=3), ANYTHING, max_size=3)
contracts = st.builds(Contract, params=objects, result=objects, options=options)
locked_jobs = st.builds(
    LockedJob,
    spec_name=st.sampled_from(("send_email", "x")),
    status=st.sampled_from(Status),
    versions=st.dictionaries(
        st.integers(1, 12), st.lists(contracts, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3
    ),
)


@settings(max_examples=20)
@given(st.dictionaries(st.sampled_from(("SendEmail", "B")), locked_jobs))
def test_a_written_value_is_read_unchanged(jobs: dict[str, LockedJob]) -> None:
    text = Lock(jobs).dump()
    read = parse_lock(LOCK, text.encode())
    assert read.jobs == jobs
    assert Lock(read.jobs).dump() == read.dump() == text


@settings(max_examples=25)
@given(st.recursive(ANYTHING, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)), st.data())
def test_the_place_of_a_value_is_where_it_begins(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, indent=data.draw(st.sampled_from((None, 2))), ensure_ascii=False)
    pointer: list[str | int] = []
    while isinstance(value, list | dict) and value and data.draw(st.booleans()):
        token = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else list(range(len(value)))))
        value = value[token]
        pointer.append(token)
    line, column = line_and_column(text, pointer)
    rest = "\n".join([text.split("\n")[line - 1][column - 1 :], *text.split("\n")[line:]])
    assert json.JSONDecoder().raw_decode(rest)[0] == value


def _edited(change: Callable[[dict[str, object]], object]) -> str:
    contract = Contract(params={"type": "object"}, result={"type": "object"}, options=LockedOptions())
    job = LockedJob(spec_name="send_email", status=Status.ACTIVE, versions={1: (contract,)})
    document = json.loads(Lock({"SendEmail": job}).dump())
    change(document)
    return json.dumps(document, indent=2, sort_keys=True)


def _revision_of(document: object) -> dict[str, object]:
    revision: dict[str, object] = document["jobs"]["SendEmail"]["versions"]["1"][0]  # type: ignore[index]
    return revision


REFUSED: dict[str, tuple[Callable[[dict[str, object]], object], str]] = {
    "format": (lambda lock: lock.update(format=2), "contracts.lock.json:2:13 /format must be 1, not 2"),
    "key": (lambda lock: lock.update(job={}), '/job "job" is not known here (did you mean "jobs"?)'),
    "missing": (lambda lock: lock.pop("jobs"), '(whole file) lacks "jobs"'),
    "jobs": (lambda lock: lock.update(jobs=[]), "/jobs must be an object, not []"),
    "status": (
        lambda lock: lock["jobs"]["SendEmail"].update(status="gone"),  # type: ignore[index]
        '/jobs/SendEmail/status must be active or retired, not "gone"',
    ),
    "version": (
        lambda lock: lock["jobs"]["SendEmail"].update(versions={"one": []}),  # type: ignore[index]
        '/jobs/SendEmail/versions/one "one" is not the number of a version',
    ),
    "no versions": (
        lambda lock: lock["jobs"]["SendEmail"].update(versions={}),  # type: ignore[index]
        "/jobs/SendEmail/versions must have a version",
    ),
    "no revisions": (
        lambda lock: lock["jobs"]["SendEmail"].update(versions={"1": []}),  # type: ignore[index]
        "/jobs/SendEmail/versions/1 must be a list of revisions, at least one, not []",
    ),
    "schema": (
        lambda lock: _revision_of(lock).update(params={"type": "array"}),
        "/jobs/SendEmail/versions/1/0/hash does not belong to this revision: it was changed by hand",
    ),
    "options": (
        lambda lock: _revision_of(lock).update(options={"queue": "default", "maxAttempts": 3, "x": 1}),
        "/jobs/SendEmail/versions/1/0/options cannot be understood (has keys or values that no options have)",
    ),
    "few options": (
        lambda lock: _revision_of(lock).update(options={}),
        "/jobs/SendEmail/versions/1/0/options cannot be understood",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_lock_that_was_edited_is_refused_with_the_place(case: str) -> None:
    change, message = REFUSED[case]
    with pytest.raises(ProjectError) as caught:
        parse_lock(LOCK, _edited(change).encode())
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{LOCK}:")
    assert "restore it from version control" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<<<<<<< ours", f"{LOCK}:1:1 cannot be read"),
        (b'{\n  "note": NaN}', "NaN is not JSON"),
        (b'{"jobs": {}, "jobs": {}}', 'the key "jobs" is used twice'),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_a_lock_that_is_no_json_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ProjectError, match="restore it from version control") as caught:
        parse_lock(LOCK, content)
    assert message in str(caught.value)


@pytest.mark.parametrize("command", ["generate", "check"])
def test_nothing_is_written_if_the_lock_is_broken(project: TemporaryProject, command: str) -> None:
    project.path(LOCK).write_text("<<<<<<< ours", encoding="utf-8")
    project.write_spec("send_email", job_spec("SendEmail", queue="other"))
    before = project.files()
    result = project.run(command)
    assert result.exit_code == 3
    assert result.output.startswith(f"Error: {LOCK}:1:1 cannot be read")
    assert project.files() == before


def test_a_deleted_lock_is_not_recreated_from_todays_specs(tmp_path: Path) -> None:
    project = generated_project(tmp_path / "project")
    lock = project.read("generated/contracts.lock.json")
    project.path("generated/contracts.lock.json").unlink()
    for command in ("generate", "check"):
        result = project.run(command)
        assert result.exit_code == 3
        assert "generated/contracts.lock.json is gone" in result.output
        assert "delete generated/manifest.json and .server-jobs-cache as well" in result.output
    project.path("generated/manifest.json").unlink()
    shutil.rmtree(project.path(".server-jobs-cache"))
    project.generate()
    assert project.read("generated/contracts.lock.json") == lock
