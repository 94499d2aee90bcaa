"""Secrets in stored rows stay hidden after any change of the spec."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from server_jobs_generator import generated_files
from server_jobs_generator.contracts.finding import Severity

from tests.conformance.stores import create_sqlite_file
from tests.generator.contracts.history import TEXT, History, kinds
from tests.generator.contracts.test_lock import LOCK
from tests.generator.projects import TemporaryProject, generated_project, make_project
from tests.generator.spec_projects import Schema, a_spec, an_object

HIDDEN: Schema = {"redact": ["/password"]}
BEFORE = an_object(user=TEXT, password=TEXT)
AFTER = an_object(user=TEXT)


def hidden_in(history: History) -> tuple[str, ...]:
    return history.released.jobs["Case"].redact


def test_a_secret_that_is_removed_stays_hidden_for_good(history: History) -> None:
    history.release(BEFORE, x_job=HIDDEN)
    history.release(AFTER, x_job={"reserved": ["password"]})
    history.release(an_object(user=TEXT, more=TEXT), x_job={"reserved": ["password"]})
    assert hidden_in(history) == ("/password",)


def test_a_new_version_without_redactions_hides_the_old_ones(history: History) -> None:
    history.release(BEFORE, x_job=HIDDEN)
    history.release(AFTER, x_job={"version": 2})
    assert hidden_in(history) == ("/password",)


def test_a_renamed_secret_is_hidden_under_both_names(history: History) -> None:
    history.release(BEFORE, x_job=HIDDEN)
    history.release(an_object(user=TEXT, secret=TEXT), x_job={"redact": ["/secret"], "version": 2})
    assert hidden_in(history) == ("/secret", "/password")


def test_values_below_a_redacted_one_are_hidden(history: History) -> None:
    history.release(an_object(user=an_object(password=TEXT, name=TEXT)), x_job={"redact": ["/user/password"]})
    history.release(an_object(user=an_object(name=TEXT)), x_job={"redact": ["/user"]})
    assert hidden_in(history) == ("/user",)
    history.release(an_object(user=an_object(name=TEXT)), x_job={"redact": [""]})
    assert hidden_in(history) == ("",)


def test_names_that_begin_alike_are_not_below_each_other(history: History) -> None:
    history.release(an_object(pass_=TEXT, pass_word=TEXT), x_job={"redact": ["/pass_word"]})
    history.release(an_object(pass_=TEXT), x_job={"redact": ["/pass_"]})
    assert hidden_in(history) == ("/pass_", "/pass_word")


@pytest.mark.parametrize("version", [1, 2])
def test_a_removed_redaction_is_reported_once(history: History, version: int) -> None:
    history.release(BEFORE, x_job=HIDDEN)
    (found,) = history.now(BEFORE, x_job={"version": version})
    assert (found.rule, found.severity) == ("REDACT_REMOVED", Severity.WARNING)
    assert found.message == '"/password" was redacted, and is shown now'
    history.release(BEFORE, x_job={"version": version})
    assert hidden_in(history) == ()
    assert history.now(BEFORE, x_job={"version": version}) == []


def test_a_part_of_a_redacted_object_is_shown_again(history: History) -> None:
    history.release(BEFORE, x_job={"redact": [""]})
    (found,) = history.now(BEFORE, x_job=HIDDEN)
    assert (found.rule, found.message) == ("REDACT_REMOVED", '"" was redacted, and is shown now')


def test_a_pointer_leads_somewhere_also_through_a_union(history: History) -> None:
    history.release(an_object(one=kinds("a", "b")), x_job={"redact": ["/one/kind"]})
    (found,) = history.now(an_object(one=kinds("a", "b")))
    assert found.rule == "REDACT_REMOVED"


# The generator keeps these redactions, and they hide values of rows.


@pytest.fixture
def project(tmp_path: Path) -> TemporaryProject:
    """Return a project whose spec no longer has its secret, with an older row in its database."""
    project = generated_project(tmp_path / "project", {"case": a_spec(BEFORE, **{"x-job": HIDDEN})})
    create_sqlite_file(project.path("jobs.sqlite3"))
    connection = sqlite3.connect(project.path("jobs.sqlite3"))
    with connection:
        connection.execute(
            "INSERT INTO jobs (id, job_name, spec_version, status, params, created_at, updated_at) "
            """VALUES ('a', 'Case', 1, 'pending', '{"user":"Ada","password":"hunter2"}', 0, 0)"""
        )
    connection.close()
    return project


def lose_the_secret(project: TemporaryProject, **options: object) -> None:
    project.write_spec("case", a_spec(AFTER, **{"x-job": {**options, "reserved": ["password"]}}))
    project.generate()


def shown(project: TemporaryProject) -> str:
    """Return the output of `server-jobs show` for the row, from a process because it imports the project's package."""
    command = [sys.executable, "-m", "server_jobs_cli", "show", "a"]
    database = f"sqlite:///{project.path('jobs.sqlite3')}"
    done = subprocess.run(
        [*command, "--database", database], cwd=project.root, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_stored_rows_do_not_show_a_secret_that_the_spec_has_lost(project: TemporaryProject) -> None:
    lose_the_secret(project)
    printed = shown(project)
    assert "Ada" in printed
    assert "hunter2" not in printed


def test_stored_rows_do_not_show_a_secret_of_an_earlier_version(project: TemporaryProject) -> None:
    lose_the_secret(project, version=2)
    assert "hunter2" not in shown(project)


def test_without_the_locks_redactions_they_would_show_it(
    project: TemporaryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated_files, "with_lasting_redactions", lambda job, lock: job)
    lose_the_secret(project)
    assert "hunter2" in shown(project)


def test_a_job_whose_contract_counts_no_more_is_generated_without_its_old_secrets(project: TemporaryProject) -> None:
    lose_the_secret(project)
    assert 'redact=("/password",)' in project.read("generated/jobs/case.py")
    project.generate("--relock", "Case")
    assert "redact" not in project.read("generated/jobs/case.py")
    assert project.run("check").exit_code == 0


def test_earlier_versions_are_generated_again_without_a_cache(project: TemporaryProject) -> None:
    lose_the_secret(project)
    before = project.files()
    project.generate()
    for file in project.path(".server-jobs-cache").iterdir():
        file.unlink()
    project.generate()
    assert project.files() == before


@pytest.mark.parametrize("value", ['"/password"', "[7]", '["password"]', '["/a~2"]'])
def test_an_invalid_list_of_pointers_is_refused_in_the_lock(project: TemporaryProject, value: str) -> None:
    text = project.read(LOCK)
    assert '"redact": ["/password"]' in text
    project.path(LOCK).write_text(text.replace('["/password"]', value), encoding="utf-8")
    result = project.run("generate")
    assert result.exit_code == 3
    assert "/jobs/Case/redact" in result.output
    assert "JSON pointer" in result.output


def test_a_view_leaves_out_a_column_that_had_something_secret_inside(tmp_path: Path) -> None:
    user = an_object(name=TEXT, password=TEXT)
    spec = a_spec(an_object(user=user, note=TEXT), **{"x-job": {"redact": ["/user/password"]}})
    project = make_project(tmp_path / "project", {"case": spec})
    project.generate()
    project.write_spec("case", a_spec(an_object(user=an_object(name=TEXT), note=TEXT)))
    project.generate()
    revisions = "".join(path.read_text() for path in sorted(project.path("generated/migrations/versions").glob("*.py")))
    assert "params_note" in revisions
    assert "params_user" not in revisions
