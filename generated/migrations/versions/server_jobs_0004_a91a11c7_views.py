"""Make the views of the jobs.

Revision ID: server_jobs_0004_a91a11c7
Revises: server_jobs_0003_6ea7d750
"""

import re
import warnings

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0004_a91a11c7"
down_revision = "server_jobs_0003_6ea7d750"
branch_labels = None
depends_on = None
leads_to = "a19d754dfc489073da7ade28aecd1ae1c404cad99c4b676a327245c7dd64dc20"

# The definition of a view, or "" for any other object of that name, and the table of an index.
FOUND = {
    "sqlite": {
        "VIEW": "SELECT iif(type = 'view', sql, '') FROM sqlite_master WHERE name = :name COLLATE NOCASE",
        "INDEX": "SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = :name COLLATE NOCASE",
    },
    "postgresql": {
        "VIEW": (
            "SELECT CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) ELSE '' END FROM pg_class "
            "WHERE relname = :name AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
        ),
        "INDEX": "SELECT tablename FROM pg_indexes WHERE indexname = :name AND schemaname = current_schema()",
        # A view of another branch still uses the function.
        "FUNCTION": (
            "SELECT min(pg_describe_object(classid, objid, objsubid)) FROM pg_depend "
            "JOIN pg_proc ON refclassid = 'pg_proc'::regclass AND refobjid = pg_proc.oid "
            "JOIN pg_namespace ON pg_namespace.oid = pronamespace "
            "WHERE proname = :name AND nspname = current_schema()"
        ),
    },
}
STATEMENT = r'(CREATE(?: OR REPLACE)?|DROP) (VIEW|INDEX|FUNCTION) (?:IF EXISTS )?("(?:[^"]|"")+"|\w+)'


def upgrade() -> None:
    execute(sqlite=UPGRADE_SQLITE, postgresql=UPGRADE_POSTGRESQL)


def downgrade() -> None:
    execute(sqlite=DOWNGRADE_SQLITE, postgresql=DOWNGRADE_POSTGRESQL)


def execute(**statements: list[str]) -> None:
    """Run the statements for this database unchanged: a colon in them never starts a parameter name."""
    for statement in statements[op.get_context().dialect.name]:
        if op.get_context().as_sql or can_be_done(statement):
            op.execute(sa.text(statement.replace(":", r"\:")))


def can_be_done(statement: str) -> bool:
    """Return whether to run a statement. The database may have run revisions of other branches too."""
    match = re.match(STATEMENT, statement)
    verb, kind, name = match.groups() if match else ("", "", "")
    name = name.strip('"').replace('""', '"')
    query = FOUND[op.get_context().dialect.name].get(kind)
    if query is None or verb == "CREATE OR REPLACE":
        return True
    found = op.get_bind().execute(sa.text(query), {"name": name}).scalar()
    if kind == "INDEX":
        return verb == "CREATE" or found == "jobs"
    if kind == "FUNCTION":
        return found is None
    is_ours = found is not None and re.search("params_json|server_jobs_json", found) is not None
    if verb == "DROP":
        return is_ours
    # Another object with the name of a view would stay, and the job would have no view.
    if found is None:
        return True
    message = f'{name} is there already and no view of server-jobs: it stays, and its job is as if it had "view": false'
    warnings.warn(message, stacklevel=1)
    return False


UPGRADE_SQLITE: list[str] = []


UPGRADE_POSTGRESQL = [
    "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check",
    """\
ALTER TABLE jobs ADD CONSTRAINT jobs_limits_check CHECK (
    octet_length(id) <= 100
    AND octet_length(worker_id) <= 100
    AND octet_length(batch_id) <= 100
    AND octet_length(replaced_by) <= 100
    AND octet_length(fencing_token) <= 132
    AND octet_length(unique_key) <= 2404
    AND octet_length(concurrency_key) <= 500
    AND octet_length(rate_key) <= 500
    AND octet_length(params) <= 1048576
    AND octet_length(result) <= 1048576
    AND octet_length(job_name) <= 400
    AND octet_length(queue) <= 400
    AND octet_length(correlation_id) <= 800
    AND octet_length(headers) <= 32768
    AND octet_length(error) <= 262144
    AND octet_length(error_class) <= 16384
    AND octet_length(progress_message) <= 16384
    AND id !~ '[^ 0-9A-Za-z._:,@+-]'
    AND max_attempts BETWEEN 1 AND 10000
    AND priority BETWEEN -100 AND 100
)""",
]


DOWNGRADE_SQLITE: list[str] = []


DOWNGRADE_POSTGRESQL = [
    "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check",
]
