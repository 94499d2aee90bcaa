"""`server-jobs check --database`, and its advice to run `server-jobs generate --forget`."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs.project import Project
from server_jobs_cli.generator.queue_check import QueueFindings, QueueReport, State, VersionRows
from server_jobs_generator.contracts.contract import Contract, LockedOptions, Status
from server_jobs_generator.contracts.lock_file import Lock, LockedJob, read_lock

from tests.conformance.stores import create_sqlite_file
from tests.generator.contracts.test_earlier_versions import SPLIT, V1, V2, greet
from tests.generator.projects import TemporaryProject, make_project
from tests.prepared import prepared_program
from tests.stale_bytecode import compile_in_second, edit_in_second

_ROWS = [
    ("a", 1, "pending", '{"name":"Ada Lovelace"}'),
    ("b", 1, "pending", '{"name":7}'),
    ("c", 2, "pending", '{"first":"Alan","last":"Turing"}'),
]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return version 2 of a job, with the database of a release that had version 1."""
    project = make_project(tmp_path_factory.mktemp("released") / "project", {"greet": greet(1, V1)})
    project.generate()
    project.write_spec("greet", greet(2, V2))
    project.generate()
    project.path("handlers/greet_v1.py").write_text(SPLIT, encoding="utf-8")
    create_sqlite_file(project.path("jobs.sqlite3"))
    return project.root


@pytest.fixture
def project(released: Path, tmp_path: Path) -> TemporaryProject:
    """A copy of it."""
    shutil.copytree(released, tmp_path / "project")
    return TemporaryProject(tmp_path / "project")


def store(project: TemporaryProject, *rows: tuple[str, int, str, str]) -> None:
    connection = sqlite3.connect(project.path("jobs.sqlite3"))
    with connection:
        connection.executemany(
            "INSERT INTO jobs (id, job_name, spec_version, status, params, created_at, updated_at) "
            "VALUES (?, 'Greet', ?, ?, ?, 0, 0)",
            rows,
        )
    connection.close()


def check(project: TemporaryProject, *options: str) -> tuple[int, str]:
    """Run in a child process, because this process has imported the generated package of this repository."""
    database = f"sqlite:///{project.path('jobs.sqlite3')}"
    command = [prepared_program(), "check", "--database", database, *options]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_rows_that_new_code_could_not_read_are_named_and_fail_the_check(project: TemporaryProject) -> None:
    store(project, *_ROWS)
    before = project.path("jobs.sqlite3").read_bytes()
    status, printed = check(project)
    assert status == 1
    assert project.path("jobs.sqlite3").read_bytes() == before
    assert printed.splitlines()[1:] == [
        f"sqlite:///{project.path('jobs.sqlite3')}: 3 unfinished, 1 of them unreadable",
        "fail  Greet version 1: 2 jobs (2 pending), and 1 of them could not be read:",
        "      b  /name: Input should be a valid string, got 7",
        "ok    Greet version 2: 1 jobs (1 pending) can be read",
    ]


def test_rows_are_read_by_the_upcaster_as_it_is_now_whatever_its_bytecode_says(project: TemporaryProject) -> None:
    upcaster = project.path("handlers/greet_v1.py")
    upcaster.write_text(f'{SPLIT.partition("    first")[0]}    raise ValueError("one")\n', encoding="utf-8")
    compile_in_second(upcaster)
    edit_in_second(upcaster, '"one"', '"two"')
    store(project, _ROWS[0])
    status, printed = check(project)
    assert status == 1
    assert "ValueError: two" in printed


@pytest.mark.slow
def test_rows_are_read_by_the_specs_as_they_are_now_while_their_change_is_refused(project: TemporaryProject) -> None:
    """The numbers decide whether the change may be accepted, so the old generated code has no say."""
    store(project, _ROWS[0], _ROWS[2])
    before = project.files()
    project.write_spec("greet", greet(2, {**V2, "last": {"type": "string", "maxLength": 3}}))
    written = project.read("specs/greet.json")
    status, printed = check(project)
    assert status == 1
    assert "[CONSTRAINT_TIGHTENED]" in printed
    assert "2 unfinished, 2 of them unreadable by the specs as they are now, which are not generated yet" in printed
    assert "fail  Greet version 1: 1 jobs (1 pending), and 1 of them could not be read:" in printed
    assert "      c  /last: String should have at most 3 characters" in printed

    project.write_spec("greet", greet(3, {**V2, "last": {"type": "string", "maxLength": 3}}))
    assert "warn  Greet version 2: 1 jobs (1 pending) wait for a worker that knows them" in check(project)[1]
    project.path("specs/greet.json").unlink()
    printed = check(project)[1]
    assert "[JOB_DELETED]" in printed
    assert "warn  Greet version 2: 1 jobs (1 pending) wait for a worker that knows them: no such job" in printed
    project.path("specs/greet.json").write_text(written, encoding="utf-8")
    project.write_spec("greet", greet(2, V2))
    assert check(project)[0] == 0
    assert {path: digest for path, digest in project.files().items() if "specs/" not in path} == {
        path: digest for path, digest in before.items() if "specs/" not in path
    }


def test_a_version_that_no_row_is_of_can_be_forgotten_and_the_upcaster_stays(project: TemporaryProject) -> None:
    store(project, _ROWS[2])
    status, printed = check(project)
    assert status == 0
    assert "note: no job Greet of version 1 is left; `server-jobs generate --forget Greet:1` removes" in printed
    output = project.generate("--forget", "Greet:1").output
    assert "removed generated/models/greet_v1.py" in output
    assert "note: handlers/greet_v1.py is no longer used" in output
    assert project.read("handlers/greet_v1.py") == SPLIT
    assert "EarlierVersion" not in project.read("generated/registry.py")
    assert project.run("check").exit_code == 0


@pytest.mark.slow
def test_rows_that_may_be_retried_keep_their_version(project: TemporaryProject) -> None:
    store(project, ("a", 1, "failed", '{"name":"Ada Lovelace"}'))
    status, printed = check(project, "--json")
    assert status == 0
    found = json.loads(printed)["database"]
    assert found["no_longer_needed"] == []
    assert [(rows["version"], rows["count"], rows["retryable"]) for rows in found["versions"]] == [(1, 0, 1)]


def test_only_earlier_versions_are_forgotten(project: TemporaryProject) -> None:
    before = project.files()
    for given, reason in (
        ("Greet:2", "version 2 of Greet cannot be forgotten: it can forget 1"),
        ("Greet:7", "version 7 of Greet cannot be forgotten: it can forget 1"),
        ("greet:7", "version 7 of Greet cannot be forgotten: it can forget 1"),
        ("Gret:1", "there is no job 'Gret' in the lock (did you mean \"Greet\"?)"),
        ("Greet", "'Greet' is not a job and a version, such as SendEmail:1"),
    ):
        result = project.run("generate", "--forget", given)
        assert (result.exit_code, reason in result.output) == (2, True), result.output
    assert project.files() == before


@pytest.mark.slow
def test_a_version_between_two_that_are_kept_is_not_forgotten(project: TemporaryProject) -> None:
    """Rows of the older version are upcast through it, so the registry could not be imported without it."""
    project.write_spec("greet", greet(3, {**V2, "title": {"type": "string"}}))
    project.generate()
    before = project.files()
    result = project.run("generate", "--forget", "Greet:2")
    assert result.exit_code == 2
    assert "version 2 of Greet cannot be forgotten while version 1 is kept" in result.output
    assert "--forget Greet:1 --forget Greet:2" in result.output
    assert project.files() == before


@pytest.mark.slow
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_versions_are_forgotten_together_in_any_order(project: TemporaryProject, order: tuple[int, int]) -> None:
    project.write_spec("greet", greet(3, {**V2, "title": {"type": "string"}}))
    project.generate()
    project.generate(*(word for version in order for word in ("--forget", f"Greet:{version}")))
    assert list(read_lock(Project(root=project.root)).jobs["Greet"].versions) == [3]
    subprocess.run([sys.executable, "-c", "import generated.registry"], cwd=project.root, check=True, timeout=60)


def test_only_versions_older_than_all_that_have_rows_are_called_needless() -> None:
    contract = Contract(params={}, result={}, options=LockedOptions())
    lock = Lock(
        {"Greet": LockedJob(spec_name="greet", status=Status.ACTIVE, versions=dict.fromkeys((1, 2, 3, 4), (contract,)))}
    )

    def needless(*rows: VersionRows) -> object:
        return QueueFindings("sqlite:///jobs.sqlite3", QueueReport(rows, ()), lock).document()["no_longer_needed"]

    pending, retryable = VersionRows(job_name="Greet", version=2), VersionRows(job_name="Greet", version=3, retryable=1)
    pending.states[State.PENDING] = 1
    assert needless(pending) == needless(pending, retryable) == ["Greet:1"]
    assert needless(retryable) == ["Greet:1", "Greet:2"]
    assert needless(VersionRows(job_name="Other", version=1, retryable=1)) == ["Greet:1", "Greet:2", "Greet:3"]


def test_the_rows_of_a_retired_job_are_reported_until_none_is_left() -> None:
    contract = Contract(params={}, result={}, options=LockedOptions())
    retired = LockedJob(spec_name="gone", status=Status.RETIRED, versions={1: (contract,), 2: (contract,)})
    left = VersionRows(job_name="Gone", version=1, waits="no such job is registered here")
    left.states[State.PENDING] = 1200
    lock = Lock({"Gone": retired})

    some = QueueFindings("sqlite:///jobs.sqlite3", QueueReport((left,), ()), lock)
    waiting = "1,200 jobs (1,200 pending) wait for a worker that knows them: no such job is registered here"
    assert list(some.lines()) == [
        "sqlite:///jobs.sqlite3: 1,200 unfinished, 0 of them unreadable",
        f"warn  Gone version 1: {waiting}",
        "note: Gone is retired, and 1,200 jobs of it are left",
    ]
    none = QueueFindings("sqlite:///jobs.sqlite3", QueueReport((), ()), lock)
    assert "note: Gone is retired, and no job of it is left" in list(none.lines())
    assert (some.document()["retired"], none.document()["retired"]) == ({"Gone": 1200}, {"Gone": 0})
