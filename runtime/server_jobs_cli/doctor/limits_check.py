"""Check of `server-jobs doctor` for PostgreSQL: the constraint with the limits of rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from server_jobs.domain.interfaces import Statement
from server_jobs.errors import DatabaseError, SchemaMissingError
from server_jobs.stores.sql.store import SqlStore

from .findings import Finding, ok, warn

_CONSTRAINT = """
SELECT count(*) AS found FROM pg_constraint
 WHERE conrelid = CAST(regclass 'jobs' AS oid) AND conname = 'jobs_limits_check'
"""


async def check_limits(store: SqlStore) -> AsyncIterator[Finding]:
    """Report a missing constraint. Autogenerate in the Alembic of an application does not make it."""
    try:
        (((row,)),) = await store.database.run((Statement(_CONSTRAINT, writes=False), {}))
    except DatabaseError as error:
        yield warn(f"the limits of rows are not checked: {error}", "the system catalogs must be readable for that")
        return
    if row["found"]:
        yield ok("the constraint jobs_limits_check holds roles with SQL of their own to the limits of an enqueue")
    else:
        yield warn(
            "the table jobs lacks the constraint jobs_limits_check: a role that may insert stores rows of any size",
            f"run `{SchemaMissingError.command}`; where the Alembic of an application makes the tables, run "
            "`op.execute(server_jobs.schema.ROW_LIMITS)` in a revision of it",
        )
