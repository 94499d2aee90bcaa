"""Change the tables.

Revision ID: server_jobs_0004
Revises: server_jobs_0003
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0004"
down_revision = "server_jobs_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("cron_jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("misfire_limit", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("cron_jobs", schema=None) as batch_op:
        batch_op.drop_column("misfire_limit")
