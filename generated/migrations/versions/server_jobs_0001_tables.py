"""Create the tables.

Revision ID: server_jobs_0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0001"
down_revision = None
branch_labels = ("server_jobs",)
depends_on = None

# Milliseconds since the epoch on the SQLite family.
TIMESTAMP = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cron_jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("cron_expression", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("misfire", sa.Text(), server_default=sa.text("'fire_once'"), nullable=False),
        sa.Column("params", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("last_run_at", TIMESTAMP, nullable=True),
        sa.Column("next_run_at", TIMESTAMP, nullable=True),
        sa.Column("last_job_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.CheckConstraint("misfire IN ('skip', 'fire_once', 'fire_all')", name=op.f("cron_jobs_misfire_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("cron_jobs_pkey")),
    )
    op.create_index("cron_jobs_job_name_name_key", "cron_jobs", ["job_name", "name"], unique=True)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("progress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("progress_message", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("worker_started_at", TIMESTAMP, nullable=True),
        sa.Column("worker_expires_at", TIMESTAMP, nullable=True),
        sa.Column("attempt_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("scheduled_for", TIMESTAMP, nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.Column("completed_at", TIMESTAMP, nullable=True),
        sa.Column("queue", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("spec_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("fencing_token", sa.Text(), nullable=True),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("(status = 'running') = (fencing_token IS NOT NULL)", name=op.f("jobs_fencing_token_check")),
        sa.CheckConstraint("(status = 'running') = (worker_expires_at IS NOT NULL)", name=op.f("jobs_lease_check")),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'cancelled')", name=op.f("jobs_status_check")
        ),
        sa.CheckConstraint("attempt_count BETWEEN 0 AND max_attempts", name=op.f("jobs_attempt_count_check")),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("jobs_progress_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_index(
        "jobs_claim",
        "jobs",
        [sa.literal_column("priority DESC"), "scheduled_for", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "jobs_lease",
        "jobs",
        ["worker_expires_at"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "jobs_unique_key",
        "jobs",
        ["unique_key"],
        unique=True,
        sqlite_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
        postgresql_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
    )


def downgrade() -> None:
    op.drop_index(
        "jobs_unique_key",
        table_name="jobs",
        sqlite_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
        postgresql_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
    )
    op.drop_index(
        "jobs_lease",
        table_name="jobs",
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.drop_index(
        "jobs_claim",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_table("jobs")
    op.drop_index("cron_jobs_job_name_name_key", table_name="cron_jobs")
    op.drop_table("cron_jobs")
