"""`server-jobs doctor` on PostgreSQL: dead rows, grown files, transactions that hold vacuum back, limits of rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from server_jobs.schema import ROW_LIMITS
from server_jobs_cli.doctor import vacuum_checks
from sqlalchemy import text

from tests.conformance.postgres_databases import new_database

from .shop import REGISTRY, run

Finding = Mapping[str, str]


@pytest.fixture
def url() -> Iterator[str]:
    with new_database() as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, application_name="report") as connection:
        yield connection


def examine(url: str) -> list[Finding]:
    result = run("doctor", "--registry", REGISTRY, "--database", url, "--json")
    assert result.exit_code in (0, 1), result.output
    return cast("list[Finding]", json.loads(result.stdout))


def found(findings: list[Finding], text: str) -> Finding:
    """Return the one finding with that text."""
    (finding,) = (finding for finding in findings if text in finding["message"])
    return finding


def test_a_table_that_is_vacuumed_is_fine_unless_autovacuum_is_off(url: str, connection: psycopg.Connection) -> None:
    connection.execute("VACUUM jobs")
    is_on = connection.execute("SHOW autovacuum").fetchone() == ("on",)
    findings = examine(url)
    if is_on:
        assert found(findings, "the table jobs has about 0 dead rows beside 0 others, vacuumed ")
    else:
        assert found(findings, "autovacuum is off on this server")["verdict"] == "warn"
    assert not [one for one in findings if "are not checked" in one["message"]]  # a superuser sees all sessions


def test_dead_rows_and_a_table_without_autovacuum_are_warnings(
    url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum_checks, "_MANY_DEAD", 500)
    connection.execute("ALTER TABLE job_starts SET (autovacuum_enabled = false)")
    connection.execute(
        "INSERT INTO job_starts SELECT i::text, 'Call', '', now(), now() FROM generate_series(1, 1000) AS i;"
        "DELETE FROM job_starts"
    )
    connection.execute("SELECT pg_stat_force_next_flush()")
    _wait_for_dead_rows(connection, 1000)

    findings = examine(url)
    dead = found(findings, "the table job_starts has about 1000 dead rows beside 0 others, vacuumed never")
    assert (dead["verdict"], dead["advice"].partition(".")[0]) == ("warn", "run `VACUUM job_starts`")
    is_off = found(findings, "autovacuum is off for the table job_starts")
    assert "ALTER TABLE job_starts RESET (autovacuum_enabled)" in is_off["advice"]

    connection.execute("VACUUM job_starts")
    connection.execute("ALTER TABLE job_starts RESET (autovacuum_enabled)")
    findings = examine(url)
    assert not [one for one in findings if "job_starts" in one["message"]]


def _wait_for_dead_rows(connection: psycopg.Connection, count: int) -> None:
    deadline = time.monotonic() + 30
    dead = "SELECT n_dead_tup >= %s FROM pg_stat_user_tables WHERE relname = 'job_starts'"
    while connection.execute(dead, [count]).fetchone() != (True,):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_grown_index_is_a_warning(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum_checks, "_LARGE_FILE", 1)
    finding = found(examine(url), "the index jobs_lease has 0 MB for about 0 entries")
    assert finding["verdict"] == "warn"
    assert "`REINDEX INDEX CONCURRENTLY jobs_lease`" in finding["advice"]


def test_a_long_transaction_is_named(url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum_checks, "_LONG_TRANSACTION", timedelta(0))
    assert not [one for one in examine(url) if "is open for" in one["message"]]
    with connection.transaction():
        connection.execute("CREATE TEMPORARY TABLE report (id text)")
        finding = found(examine(url), f"the transaction of process {connection.info.backend_pid} ")
    assert f"(role {connection.info.user}, application 'report', idle in transaction) is open for" in finding["message"]
    assert f"SELECT pg_terminate_backend({connection.info.backend_pid})" in finding["advice"]


def test_a_role_that_sees_only_its_own_sessions_is_told_so(url: str, connection: psycopg.Connection) -> None:
    role = f"doctor_{connection.info.backend_pid}"
    grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'; {grant}".encode())
    parts = urlsplit(url)
    try:
        place = f"{role}:secret@{parts.netloc.rpartition('@')[2]}"
        finding = found(examine(urlunsplit(parts._replace(netloc=place))), "long transactions of other roles are not")
        assert f"GRANT pg_read_all_stats TO {role}" in finding["advice"]
    finally:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_a_table_without_the_limits_of_rows_is_a_warning_until_they_are_added(
    url: str, connection: psycopg.Connection
) -> None:
    assert found(examine(url), "jobs_limits_check")["verdict"] == "ok"
    connection.execute("ALTER TABLE jobs DROP CONSTRAINT jobs_limits_check")
    missing = found(examine(url), "jobs_limits_check")
    assert missing["verdict"] == "warn"
    assert "op.execute(server_jobs.schema.ROW_LIMITS)" in missing["advice"]
    connection.execute(str(text(ROW_LIMITS)).encode())  # as `op.execute` does in a revision
    assert found(examine(url), "jobs_limits_check")["verdict"] == "ok"
