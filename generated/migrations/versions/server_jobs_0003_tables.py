"""Change the tables.

Revision ID: server_jobs_0003
Revises: server_jobs_0002
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0003"
down_revision = "server_jobs_0002"
branch_labels = None
depends_on = None

# Milliseconds since the epoch on the SQLite family.
TIMESTAMP = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "job_starts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("rate_key", sa.Text(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("job_starts_pkey")),
    )
    with op.batch_alter_table("job_starts", schema=None) as batch_op:
        batch_op.create_index("job_starts_expiry", ["expires_at"], unique=False)
        batch_op.create_index("job_starts_rate", ["job_name", "rate_key", "started_at"], unique=False)

    op.create_table(
        "paused_queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("paused_queues_pkey")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("concurrency_key", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("rate_key", sa.Text(), nullable=True))
        batch_op.drop_index(batch_op.f("jobs_claim"), sqlite_where=sa.text("status = 'pending'"))
        batch_op.create_index(
            "jobs_limited_claim",
            [sa.literal_column("priority DESC"), "scheduled_for", "id"],
            unique=False,
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_limited_lane",
            ["job_name", "concurrency_key", "rate_key", sa.literal_column("priority DESC"), "scheduled_for", "id"],
            unique=False,
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_limited_running",
            ["job_name", "concurrency_key"],
            unique=False,
            sqlite_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_unlimited_claim",
            [sa.literal_column("priority DESC"), "scheduled_for", "id"],
            unique=False,
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
        )
    if op.get_context().dialect.name == "postgresql":
        # A queue turns its rows over all day long: it is to be vacuumed long before a fifth of them is dead.
        op.execute("ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000)")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE jobs RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(
            "jobs_unlimited_claim",
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
        )
        batch_op.drop_index(
            "jobs_limited_running",
            sqlite_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
        )
        batch_op.drop_index(
            "jobs_limited_lane",
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        )
        batch_op.drop_index(
            "jobs_limited_claim",
            sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
            postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        )
        batch_op.drop_column("rate_key")
        batch_op.drop_column("concurrency_key")

    op.create_index(
        "jobs_claim",
        "jobs",
        [sa.literal_column("priority DESC"), "scheduled_for", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_table("paused_queues")
    with op.batch_alter_table("job_starts", schema=None) as batch_op:
        batch_op.drop_index("job_starts_rate")
        batch_op.drop_index("job_starts_expiry")

    op.drop_table("job_starts")
