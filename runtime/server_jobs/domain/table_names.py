"""The names of our tables, and how SQL finds them in a PostgreSQL schema of their own."""

from __future__ import annotations

import re

TABLES = ("jobs", "cron_jobs", "job_starts", "paused_queues", "job_audit")

VERSION_TABLE = "server_jobs_version"
"""The table in which `server-jobs migrate` records the revisions that ran."""

# Where SQL names a table. Its columns (`jobs.id`) need no schema, and FOR UPDATE OF takes none.
_NAMED = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|regclass)(\s+'?)({'|'.join(TABLES)})\b")


def in_schema(sql: str, schema: str | None) -> str:
    """Return the SQL with the schema before our tables, so that the search path of the connection does not matter.

    Poolers in transaction mode do not keep a search path.
    """
    return sql if schema is None else _NAMED.sub(rf'\1\2"{schema}".\3', sql)
