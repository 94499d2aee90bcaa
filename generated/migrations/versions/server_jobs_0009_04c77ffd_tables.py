"""Change the tables.

Revision ID: server_jobs_0009_04c77ffd
Revises: server_jobs_0008
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0009_04c77ffd"
down_revision = "server_jobs_0008"
branch_labels = None
depends_on = None

# Milliseconds since the epoch on the SQLite family.
TIMESTAMP = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    if lacks_table("job_audit"):
        op.create_table(
            "job_audit",
            sa.Column("id", sa.Text(), nullable=False),
            sa.Column("at", TIMESTAMP, nullable=False),
            sa.Column("actor", sa.Text(), nullable=False),
            sa.Column("action", sa.Text(), nullable=False),
            sa.Column("target", sa.Text(), nullable=False),
            sa.Column("job_name", sa.Text(), nullable=True),
            sa.Column("detail", sa.Text(), nullable=True),
            sa.PrimaryKeyConstraint("id", name=op.f("job_audit_pkey")),
        )
    if lacks_index("job_audit", "job_audit_at"):
        with op.batch_alter_table("job_audit", schema=None) as batch_op:
            batch_op.create_index("job_audit_at", ["at"], unique=False)


def downgrade() -> None:
    if has_index("job_audit", "job_audit_at"):
        with op.batch_alter_table("job_audit", schema=None) as batch_op:
            batch_op.drop_index("job_audit_at")
    if has_table("job_audit"):
        op.drop_table("job_audit")


def has_table(table: str) -> bool:
    """Whether there is still such a table to drop."""
    return op.get_context().as_sql or sa.inspect(op.get_bind()).has_table(table)


def lacks_table(table: str) -> bool:
    """Whether no revision of another branch created the table."""
    return op.get_context().as_sql or not sa.inspect(op.get_bind()).has_table(table)


def has_index(table: str, index: str) -> bool:
    """Whether there is still such an index to drop."""
    return op.get_context().as_sql or sa.inspect(op.get_bind()).has_index(table, index)


def lacks_index(table: str, index: str) -> bool:
    """Whether no revision of another branch created the index."""
    return op.get_context().as_sql or not sa.inspect(op.get_bind()).has_index(table, index)
