"""A claim on PostgreSQL locks no job that it does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

import psycopg
from server_jobs.domain.interfaces import Value
from server_jobs.domain.record import ClaimRequest
from server_jobs.stores.sql.dialect import statements_of
from server_jobs.stores.sql.parameters import request_parameters

from tests.conformance.claims.test_claim_groups import KNOWN
from tests.conformance.postgres_databases import empty_database, postgres_connection


def test_a_claim_locks_the_jobs_that_it_takes_and_no_others() -> None:
    with empty_database() as url, postgres_connection(url) as connection, postgres_connection(url) as other:
        connection.execute(
            "INSERT INTO jobs (id, job_name, params, queue, scheduled_for, created_at, updated_at) SELECT 'j' || i,"
            " 'SendEmail', '{}', 'q' || i % 7, now() - interval '1 s' * i, now(), now() FROM generate_series(1, 700) i"
        )
        asked = ClaimRequest(known=KNOWN, limit=50, lease=timedelta(minutes=1))
        parameters = request_parameters(asked) | {
            "limit": 50,
            "slots": None,
            "lease": 1000,
            "batch": "0" * 32,
            "worker_id": None,
        }
        with connection.transaction(force_rollback=True):
            assert _claim(connection, parameters) == 50
            free = other.execute("SELECT count(*) FROM (SELECT id FROM jobs FOR UPDATE SKIP LOCKED) AS free").fetchone()

    assert free == (650,)


def _claim(connection: psycopg.Connection, parameters: Mapping[str, Value]) -> int:
    text = statements_of("postgresql").CLAIM.sql.replace("{now}", "statement_timestamp()").replace("%", "%%")
    return len(connection.execute(re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", text).encode(), parameters).fetchall())
