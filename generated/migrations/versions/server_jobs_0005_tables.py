"""Change the tables.

Revision ID: server_jobs_0005
Revises: server_jobs_0004
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0005"
down_revision = "server_jobs_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("jobs_lease"), sqlite_where=sa.text("status = 'running'"))
        batch_op.create_index(
            "jobs_lease",
            ["worker_expires_at", "fencing_token"],
            unique=False,
            sqlite_where=sa.text("status = 'running'"),
            postgresql_where=sa.text("status = 'running'"),
        )


def downgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(
            "jobs_lease", sqlite_where=sa.text("status = 'running'"), postgresql_where=sa.text("status = 'running'")
        )
        batch_op.create_index(
            batch_op.f("jobs_lease"),
            ["worker_expires_at"],
            unique=False,
            sqlite_where=sa.text("status = 'running'"),
            postgresql_where=sa.text("status = 'running'"),
        )
