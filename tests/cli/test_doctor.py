"""`server-jobs doctor`."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from server_jobs import ConcurrencyLimit, JobOptions, JobRegistry, create_job_registry, define_job
from server_jobs.domain.ids import schedule_id
from server_jobs_cli.doctor import sqlite_checks
from server_jobs_cli.doctor.doctor import check_key_secret
from server_jobs_cli.doctor.findings import ok, print_findings, warn

from tests.generator.projects import TemporaryProject, job_spec, make_project, without_digests
from tests.prepared import prepared_program

from .shop import Shop, run
from .shop_jobs import NoteParams, NoteResult, hang

Finding = dict[str, str | None]


def examine(shop: Shop, *, status: int) -> list[Finding]:
    result = shop.run("doctor", "--json")
    assert result.exit_code == status, result.output
    return cast("list[Finding]", json.loads(result.stdout))


def found(findings: list[Finding], text: str) -> Finding:
    """Return the one finding with that text."""
    (finding,) = (finding for finding in findings if text in str(finding["message"]))
    return finding


@pytest.fixture
def well(shop: Shop) -> Shop:
    """Return a shop with its schedule stored, so that nothing fails."""
    shop.execute(
        "INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, params, created_at, updated_at) "
        """VALUES (:id, 'Shout', 'morning', '0 9 * * *', 'Europe/Berlin', '{ "text": "good morning" }', 0, 0)""",
        id=schedule_id("Shout", "morning"),
    )
    return shop


def test_nothing_fails_when_all_is_well(well: Shop) -> None:
    findings = examine(well, status=0)
    assert not [finding for finding in findings if finding["verdict"] == "fail"]
    assert found(findings, "6 jobs are registered: Shout, Nap, Hang, Block, Brief, Stub")["verdict"] == "ok"
    assert found(findings, "1 declared schedules are in the database")["verdict"] == "ok"


def test_lines_have_a_verdict_and_an_advice(shop: Shop) -> None:
    result = shop.run("doctor")
    assert result.exit_code == 1
    assert "\nwarn  the handler of Stub is still a stub: its jobs are not claimed\n      implement it" in result.stdout
    assert "\nfail  the schedule Shout/morning is not in the database\n      run `server-jobs migrate`" in result.stdout


def test_a_database_that_is_not_there_fails_and_is_not_made(tmp_path: Path) -> None:
    findings = examine(Shop(tmp_path / "nothing.sqlite3"), status=1)
    assert found(findings, "there is no SQLite database")["verdict"] == "fail"
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_fails(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite3"
    sqlite3.connect(path).close()
    assert found(examine(Shop(path), status=1), "run `server-jobs migrate`")["verdict"] == "fail"


@pytest.mark.parametrize(
    "change",
    [
        "cron_expression = '0 8 * * *'",
        "timezone = 'UTC'",
        "misfire = 'skip'",
        "misfire_limit = 3",
        "params = '{}'",
        "params = 'broken'",
    ],
)
def test_a_schedule_that_is_stored_otherwise_fails(well: Shop, change: str) -> None:
    well.execute(f"UPDATE cron_jobs SET {change}")
    assert found(examine(well, status=1), "is not the same in the database")["verdict"] == "fail"


def test_a_schedule_that_is_not_declared_any_more_is_a_warning(well: Shop) -> None:
    well.execute(
        "INSERT INTO cron_jobs (id, job_name, name, cron_expression, created_at, updated_at) "
        "VALUES ('old', 'Shout', 'evening', '0 20 * * *', 0, 0)"
    )
    assert found(examine(well, status=0), "Shout/evening is no longer declared")["verdict"] == "warn"
    well.execute("UPDATE cron_jobs SET enabled = false WHERE id = 'old'")  # as a worker does
    assert not [one for one in examine(well, status=0) if "no longer declared" in str(one["message"])]


def test_unfinished_unknown_jobs_are_warnings(well: Shop) -> None:
    for name, version in (("Gone", 1), ("Nap", 7)):
        job_id = well.enqueue("Nap")
        well.execute(
            "UPDATE jobs SET job_name = :name, spec_version = :version WHERE id = :id",
            name=name,
            version=version,
            id=job_id,
        )
    findings = examine(well, status=0)
    assert found(findings, "1 unfinished job is called 'Gone'")["verdict"] == "warn"
    assert found(findings, "1 unfinished job Nap is of version 7, and here is version 1")["verdict"] == "warn"


def test_however_many_names_of_jobs_are_unknown_the_report_stays_short(well: Shop) -> None:
    well.enqueue_many("Nap", 30)
    well.execute("UPDATE jobs SET job_name = 'A' || rowid")
    well.enqueue("Nap")
    well.execute("UPDATE jobs SET spec_version = 7")

    findings = examine(well, status=0)

    assert sum("unfinished job is called" in str(finding["message"]) for finding in findings) == 9
    assert found(findings, "1 unfinished job Nap is of version 7")["verdict"] == "warn"
    assert found(findings, "21 more names and versions of unfinished jobs")["verdict"] == "warn"


def test_jobs_that_no_worker_begins_are_a_warning(well: Shop) -> None:
    for _ in range(2):
        well.enqueue("Nap")
    well.enqueue("Shout", "--delay", "1h")
    assert not [one for one in examine(well, status=0) if "are due" in str(one["message"])]

    well.execute("UPDATE jobs SET scheduled_for = scheduled_for - 300000 WHERE job_name = 'Nap'")
    finding = found(examine(well, status=0), "2 jobs are due, the first of them for 5m 0s, and no job is running")
    assert (finding["verdict"], finding["advice"]) == ("warn", "start a worker: `server-jobs worker`")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO paused_queues (name, paused_at) SELECT queue, 0 FROM jobs",
        "UPDATE jobs SET job_name = 'Stub'",
        "UPDATE jobs SET spec_version = 7",
        (
            "INSERT INTO jobs (id, job_name, params, status, created_at, updated_at, worker_expires_at, fencing_token) "
            "VALUES ('r', 'Nap', '{}', 'running', 0, 0, 9000000000000, 't')"
        ),
    ],
)
def test_jobs_that_a_worker_would_not_start_are_not_reported_as_due(well: Shop, sql: str) -> None:
    well.enqueue("Nap")
    well.execute("UPDATE jobs SET scheduled_for = 0")
    well.execute(sql)
    assert not [one for one in examine(well, status=0) if "are due" in str(one["message"])]


def test_jobs_of_a_dead_worker_are_a_warning(well: Shop) -> None:
    well.enqueue("Nap")
    well.execute("UPDATE jobs SET status = 'running', fencing_token = 't', worker_expires_at = 1, attempt_count = 1")
    assert found(examine(well, status=0), "1 running jobs have an expired lease")["verdict"] == "warn"


def test_neighbours_with_the_same_advice_have_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([warn("one died", "wait"), warn("two died", "wait"), warn("late", "hurry"), ok("fine")])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["warn  one died", "warn  two died", "wait", "warn  late", "hurry", "ok    fine"]


@pytest.mark.parametrize(("version", "verdict"), [((3, 51, 2), "warn"), ((3, 51, 3), "ok")])
def test_an_sqlite_with_the_wal_reset_bug_is_a_warning(
    well: Shop, version: tuple[int, int, int], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    assert found(examine(well, status=0), "SQLite 3.")["verdict"] == verdict


@pytest.mark.parametrize(
    ("kind", "is_network"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True), ("ext4", False), ("fuseblk", False)],
)
def test_a_network_file_system_is_a_warning(
    well: Shop, kind: str, is_network: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = str(well.path.parent.resolve()).replace("_", r"\137")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 25 0:39 / {place} rw - tmpfs tmpfs rw\n"
        f"41 40 0:40 / {place} rw,nosuid shared:7 master:2 - {kind} server:/x rw\n"
        "42 25 0:41 / /elsewhere rw - nfs4 server:/y rw\n"
        "nonsense\n"
    )
    monkeypatch.setattr(sqlite_checks, "_MOUNTS", mounts)
    warnings = [finding for finding in examine(well, status=0) if "network file system" in str(finding["message"])]
    assert [finding["verdict"] for finding in warnings] == ["warn"] * is_network
    assert all(f"({kind})" in str(finding["message"]) for finding in warnings)


def test_unreadable_mounts_give_no_finding(well: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sqlite_checks, "_MOUNTS", tmp_path / "nothing")
    assert not [finding for finding in examine(well, status=0) if "file system" in str(finding["message"])]


def test_a_reader_that_keeps_the_wal_from_being_checkpointed_is_a_warning(well: Shop) -> None:
    with closing(sqlite3.connect(well.path, isolation_level=None)) as reader:
        assert found(examine(well, status=0), "can be checkpointed")["verdict"] == "ok"
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        with closing(sqlite3.connect(well.path)) as writer:
            writer.execute("CREATE TABLE large AS SELECT zeroblob(20000000) AS data")
            writer.commit()
            finding = found(examine(well, status=0), "cannot be checkpointed")
            assert finding["verdict"] == "warn"
            assert f"19 MB in {well.path}-wal" in str(finding["message"])
            assert "keeps a transaction or a query open" in str(finding["advice"])

            reader.execute("COMMIT")
            assert found(examine(well, status=0), "can be checkpointed")["verdict"] == "ok"


def test_a_wal_that_has_grown_large_is_a_warning(well: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_checks, "_LARGEST_WAL", 1_000_000)
    with closing(sqlite3.connect(well.path)) as writer:
        writer.execute("CREATE TABLE large AS SELECT zeroblob(2000000) AS data")
        writer.commit()
        finding = found(examine(well, status=0), "-wal has grown to 1 MB")
        assert finding["verdict"] == "warn"
        assert "look for a program" in str(finding["advice"])


def test_outside_of_a_project_it_says_so(tmp_path: Path) -> None:
    result = run("doctor", "--project", str(tmp_path), "--database", "sqlite:///nothing.sqlite3")
    assert result.exit_code == 1
    assert f"fail  {tmp_path} is not in a project\n      start one with `server-jobs init`" in result.stdout


def test_settings_that_cannot_be_used_fail_once(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.server-jobs]\nspecs = 3\n")
    result = run("doctor", "--project", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.count("fail") == 1


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (
            None,
            "warn a key of Call, Text covers a redacted value, so its hash needs a secret, and JOBS_KEY_SECRET is",
        ),
        ("abc", "JOBS_KEY_SECRET has 3 characters: such jobs cannot be enqueued here"),
        ("s" * 43, "ok JOBS_KEY_SECRET is set, for the keys of Call, Text"),
    ],
)
def test_the_secret_of_keys_is_looked_for_where_one_covers_a_redacted_value(
    monkeypatch: pytest.MonkeyPatch, secret: str | None, said: str
) -> None:
    jobs = {
        "Nap": JobOptions(unique_by=("/text",)),
        "Call": JobOptions(unique_by=("/text",), redact=("/text",)),
        "Text": JobOptions(concurrency=ConcurrencyLimit(limit=1, by=("/text",)), redact=("/text",)),
    }
    monkeypatch.setenv("JOBS_KEY_SECRET", secret or "")

    (finding,) = check_key_secret(registry_of(jobs))

    assert said in f"{finding.verdict} {finding.message}"
    if finding.advice is not None:
        assert "`server-jobs token`" in finding.advice


def test_no_secret_of_keys_is_asked_for_without_need() -> None:
    options = JobOptions(unique_by=("/seconds",), redact=("/text",))

    assert list(check_key_secret(registry_of({"Call": options}))) == []


def registry_of(jobs: Mapping[str, JobOptions]) -> JobRegistry:
    registry = create_job_registry()
    for name, options in jobs.items():
        registry.register(define_job(name=name, params=NoteParams, result=NoteResult, handler=hang, options=options))
    return registry


def test_names_in_rows_control_nothing(well: Shop) -> None:
    well.enqueue("Nap")
    well.execute("UPDATE jobs SET job_name = :name", name="\x1b[2J[red]x[/red]\nok    forged")
    output = well.run("doctor").stdout
    assert "[red]x[/red]" in output
    assert "\x1b" not in output
    assert "\nok    forged" not in output


class GeneratedProject:
    """A generated and migrated project, examined in a child process because it has its own modules."""

    def __init__(self, project: TemporaryProject) -> None:
        self.project = project
        self.url = f"sqlite:///{project.root}/shop.sqlite3"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SERVER_JOBS_DATABASE_URL": self.url}
        command = [prepared_program(), *arguments]
        return subprocess.run(
            command, cwd=self.project.root, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> GeneratedProject:
    """Return one project for the tests below, which do not change it."""
    schedule = {"name": "daily", "cron": "0 9 * * *", "params": {}}
    specs = {"send_email": job_spec("SendEmail", schedules=[schedule])}
    project = make_project(tmp_path_factory.mktemp("generated"), specs)
    project.generate()
    generated = GeneratedProject(project)
    assert generated.run("migrate").returncode == 0
    return generated


def test_a_fresh_project_has_only_a_stub_to_implement(generated: GeneratedProject) -> None:
    done = generated.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "ok    generated files are what the specs ask for",
        "ok    1 jobs are registered: SendEmail",
        "warn  the handler of SendEmail is still a stub: its jobs are not claimed",
        "      implement it in the module handlers.send_email",
        "ok    the tables are at the newest revision (server_jobs_000",
        "ok    1 declared schedules are in the database",
    ):
        assert line in done.stdout


def test_generated_files_that_are_not_as_the_specs_ask_fail(generated: GeneratedProject) -> None:
    path = generated.project.root / "generated/jobs/send_email.py"
    text = path.read_text()
    path.unlink()
    try:
        done = generated.run("doctor")
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert "fail  generated files differ from the specs: generated/jobs/send_email.py\n" in done.stdout
    assert (
        "fail  generated.registry cannot be imported: ModuleNotFoundError: No module named 'generated.jobs"
        in done.stdout
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_database_behind_the_newest_revision_fails(generated: GeneratedProject, tmp_path: Path) -> None:
    behind = GeneratedProject(generated.project)
    behind.url = f"sqlite:///{tmp_path}/behind.sqlite3"
    assert behind.run("migrate", "--revision", "server_jobs_0001").returncode == 0
    done = behind.run("doctor")
    assert done.returncode == 1
    said = without_digests(done.stdout)
    assert "fail  the tables are at server_jobs_0001, and the newest is server_jobs_0003\n" in said
    assert "fail  the schedule SendEmail/daily is not in the database\n" in done.stdout


def test_a_sqlite_that_is_too_old_fails(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.37.2")
    assert found(examine(shop, status=1), "SQLite 3.37.2 is too old: 3.38 or newer is needed")["verdict"] == "fail"
