"""Names of the tables, also inside a PostgreSQL schema."""

from __future__ import annotations

import re

TABLES = ("jobs", "cron_jobs", "job_starts", "paused_queues", "job_audit", "job_attempts", "job_workers", "job_counts")

VERSION_TABLE = "server_jobs_version"
"""The table in which `server-jobs migrate` records the revisions that ran."""

NAME_TABLE = "server_jobs_database"
"""The table with the name of the database, in a project that names its databases. `server-jobs migrate` creates it."""

# The places where SQL names a table. Columns (`jobs.id`) and FOR UPDATE OF need no schema.
_NAMED = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|EXISTS|regclass)(\s+'?)({'|'.join((*TABLES, NAME_TABLE))})\b")


def in_schema(sql: str, schema: str | None) -> str:
    """Return the SQL with the schema before the table names, independent of the search path of the connection.

    Poolers in transaction mode do not keep a search path.
    """
    return sql if schema is None else _NAMED.sub(rf'\1\2"{schema}".\3', sql)
