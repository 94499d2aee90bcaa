"""`server-jobs doctor` on PostgreSQL: whether the table has the limits of rows."""

from __future__ import annotations

import json

import psycopg
from server_jobs.schema import ROW_LIMITS
from sqlalchemy import text

from tests.conformance.postgres_databases import new_database

from .shop import REGISTRY, run


def test_a_table_without_the_limits_of_rows_is_a_warning_until_they_are_added() -> None:
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        assert _verdict(url) == "ok"
        connection.execute("ALTER TABLE jobs DROP CONSTRAINT jobs_limits_check")
        assert _verdict(url) == "warn"
        connection.execute(str(text(ROW_LIMITS)).encode())  # as `op.execute` does in a revision
        assert _verdict(url) == "ok"


def _verdict(url: str) -> str:
    result = run("doctor", "--registry", REGISTRY, "--database", url, "--json")
    (finding,) = (one for one in json.loads(result.stdout) if "jobs_limits_check" in one["message"])
    assert finding["verdict"] == "ok" or "server_jobs.schema.ROW_LIMITS" in finding["advice"]
    return str(finding["verdict"])
