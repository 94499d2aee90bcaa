"""Change the tables.

Revision ID: server_jobs_0010_418ad4a1
Revises: server_jobs_0009_04c77ffd
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0010_418ad4a1"
down_revision = "server_jobs_0009_04c77ffd"
branch_labels = None
depends_on = None
leads_to = "dd4dc0e86b6f3628b11b30a9828fa63be740e4f485fc00f702878a4e0f1480b7"


def upgrade() -> None:
    if has_index("jobs", "jobs_limited_claim"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.drop_index(
                batch_op.f("jobs_limited_claim"),
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            )
    if has_index("jobs", "jobs_unlimited_claim"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.drop_index(
                batch_op.f("jobs_unlimited_claim"),
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            )
    if lacks_index("jobs", "jobs_limited_group"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.create_index(
                "jobs_limited_group",
                ["job_name", "spec_version", "queue", sa.literal_column("priority DESC"), "scheduled_for", "id"],
                unique=False,
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
                postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            )
    if lacks_index("jobs", "jobs_unlimited_group"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.create_index(
                "jobs_unlimited_group",
                ["job_name", "spec_version", "queue", sa.literal_column("priority DESC"), "scheduled_for", "id"],
                unique=False,
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
                postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            )


def downgrade() -> None:
    if has_index("jobs", "jobs_unlimited_group"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.drop_index(
                "jobs_unlimited_group",
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
                postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            )
    if has_index("jobs", "jobs_limited_group"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.drop_index(
                "jobs_limited_group",
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
                postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            )
    if lacks_index("jobs", "jobs_unlimited_claim"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.create_index(
                batch_op.f("jobs_unlimited_claim"),
                ["priority", "scheduled_for", "id"],
                unique=False,
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            )
    if lacks_index("jobs", "jobs_limited_claim"):
        with op.batch_alter_table("jobs", schema=None) as batch_op:
            batch_op.create_index(
                batch_op.f("jobs_limited_claim"),
                ["priority", "scheduled_for", "id"],
                unique=False,
                sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            )


def has_index(table: str, index: str) -> bool:
    """Whether there is still such an index to drop."""
    return op.get_context().as_sql or sa.inspect(op.get_bind()).has_index(table, index)


def lacks_index(table: str, index: str) -> bool:
    """Whether no revision of another branch created the index."""
    return op.get_context().as_sql or not sa.inspect(op.get_bind()).has_index(table, index)
