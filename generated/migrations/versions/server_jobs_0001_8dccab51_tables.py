"""Create the tables of server-jobs.

Revision ID: server_jobs_0001_8dccab51
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0001_8dccab51"
down_revision = None
branch_labels = ("server_jobs",)
depends_on = None

# Milliseconds since the epoch on SQLite, Turso and D1.
TIMESTAMP = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cron_jobs",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("cron_expression", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("misfire", sa.Text(), server_default=sa.text("'fire_once'"), nullable=False),
        sa.Column("params", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("last_run_at", TIMESTAMP, nullable=True),
        sa.Column("next_run_at", TIMESTAMP, nullable=True),
        sa.Column("last_job_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.Column("misfire_limit", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), server_default=sa.text("'declared'"), nullable=False),
        sa.Column("spec_version", sa.Integer(), nullable=True),
        sa.CheckConstraint("misfire IN ('skip', 'fire_once', 'fire_all')", name=op.f("cron_jobs_misfire_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("cron_jobs_pkey")),
        info={"doc": "One row per schedule."},
    )
    op.create_index("cron_jobs_job_name_name_key", "cron_jobs", ["job_name", "name"], unique=True)
    op.create_table(
        "job_attempts",
        sa.Column("job_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("ended_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "slot", name=op.f("job_attempts_pkey")),
        info={"doc": "One row per attempt that did not complete, the last 100 of each job. Deleted with the job."},
    )
    op.create_index(
        "job_attempts_expired",
        "job_attempts",
        ["worker_id"],
        unique=False,
        sqlite_where=sa.text("outcome = 'expired'"),
        postgresql_where=sa.text("outcome = 'expired'"),
    )
    op.create_table(
        "job_audit",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("job_audit_pkey")),
        info={"doc": "One row per manual change of a job, a queue or a schedule. Rows stay when their job is deleted."},
    )
    op.create_index("job_audit_at", "job_audit", ["at"], unique=False)
    op.create_table(
        "job_counts",
        sa.Column("minute", TIMESTAMP, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("retried", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "queue", "job_name", name=op.f("job_counts_pkey")),
        info={"doc": "Outcomes of attempts per minute, for a day, as workers report them every few seconds."},
    )
    op.create_table(
        "job_starts",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("rate_key", sa.Text(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("job_starts_pkey")),
        info={"doc": "One row per start of a job with a rate limit. Other rows hold the state of maintenance."},
    )
    op.create_index("job_starts_expiry", "job_starts", ["expires_at"], unique=False)
    op.create_index("job_starts_rate", "job_starts", ["job_name", "rate_key", "started_at"], unique=False)
    op.create_table(
        "job_workers",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("queues", sa.Text(), nullable=True),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("known", sa.Text(), nullable=False),
        sa.Column("started_at", TIMESTAMP, nullable=False),
        sa.Column("last_seen_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("job_workers_pkey")),
        info={"doc": "One row per worker, and one for all ticks with the same jobs. A dead one keeps it for a week."},
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
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
        sa.Column(
            "scheduled_for", TIMESTAMP, server_default=now(), nullable=False, sqlite_on_conflict_not_null="REPLACE"
        ),
        sa.Column("start_before", TIMESTAMP, nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.Column("completed_at", TIMESTAMP, nullable=True),
        sa.Column("queue", sa.Text(), server_default=sa.text("'default'"), nullable=False),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("spec_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("fencing_token", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("concurrency_key", sa.Text(), nullable=True),
        sa.Column("rate_key", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("replaced_by", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.CheckConstraint("(status = 'running') = (fencing_token IS NOT NULL)", name=op.f("jobs_fencing_token_check")),
        sa.CheckConstraint("(status = 'running') = (worker_expires_at IS NOT NULL)", name=op.f("jobs_lease_check")),
        sa.CheckConstraint("replaced_by IS NULL OR status <> 'pending'", name=op.f("jobs_replaced_by_check")),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed', 'cancelled')", name=op.f("jobs_status_check")
        ),
        sa.CheckConstraint("attempt_count BETWEEN 0 AND max_attempts", name=op.f("jobs_attempt_count_check")),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("jobs_progress_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
        info={"doc": "One row per job: a pending, running or finished run of a spec."},
        postgresql_using="heap WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000)",
    )
    op.create_index(
        "jobs_batch",
        "jobs",
        ["batch_id", "status"],
        unique=False,
        sqlite_where=sa.text("batch_id IS NOT NULL AND status <> 'running'"),
        postgresql_where=sa.text("batch_id IS NOT NULL AND status <> 'running'"),
    )
    op.create_index(
        "jobs_cancelled",
        "jobs",
        ["job_name", "queue", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'cancelled'"),
        postgresql_where=sa.text("status = 'cancelled'"),
    )
    op.create_index(
        "jobs_completion",
        "jobs",
        ["id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND id = batch_id"),
        postgresql_where=sa.text("status = 'pending' AND id = batch_id"),
    )
    op.create_index(
        "jobs_failed",
        "jobs",
        ["job_name", "queue", "error_class", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'failed'"),
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.create_index(
        "jobs_lease",
        "jobs",
        ["worker_expires_at", "fencing_token"],
        unique=False,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "jobs_limited_group",
        "jobs",
        ["job_name", "spec_version", "queue", sa.literal_column("priority DESC"), "scheduled_for", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
    )
    op.create_index(
        "jobs_limited_lane",
        "jobs",
        ["job_name", "concurrency_key", "rate_key", sa.literal_column("priority DESC"), "scheduled_for", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
    )
    op.create_index(
        "jobs_limited_running",
        "jobs",
        ["job_name", "concurrency_key"],
        unique=False,
        sqlite_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
    )
    op.create_index(
        "jobs_parked",
        "jobs",
        ["job_name", "queue", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '"),
        postgresql_where=sa.text("status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '"),
    )
    op.create_index(
        "jobs_replaced",
        "jobs",
        ["unique_key"],
        unique=False,
        sqlite_where=sa.text("status = 'running' AND replaced_by IS NOT NULL"),
        postgresql_where=sa.text("status = 'running' AND replaced_by IS NOT NULL"),
    )
    op.create_index(
        "jobs_start_before",
        "jobs",
        ["start_before"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND start_before IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND start_before IS NOT NULL"),
    )
    op.create_index(
        "jobs_unique_key",
        "jobs",
        ["unique_key"],
        unique=True,
        sqlite_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL"),
        postgresql_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL"),
    )
    op.create_index(
        "jobs_unlimited_group",
        "jobs",
        ["job_name", "spec_version", "queue", sa.literal_column("priority DESC"), "scheduled_for", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
    )
    op.create_table(
        "paused_queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("paused_queues_pkey")),
        info={"doc": "One row per paused queue."},
    )


def downgrade() -> None:
    op.drop_table("paused_queues")
    op.drop_index(
        "jobs_unlimited_group",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NULL"),
    )
    op.drop_index(
        "jobs_unique_key",
        table_name="jobs",
        sqlite_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL"),
        postgresql_where=sa.text("unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL"),
    )
    op.drop_index(
        "jobs_start_before",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending' AND start_before IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND start_before IS NOT NULL"),
    )
    op.drop_index(
        "jobs_replaced",
        table_name="jobs",
        sqlite_where=sa.text("status = 'running' AND replaced_by IS NOT NULL"),
        postgresql_where=sa.text("status = 'running' AND replaced_by IS NOT NULL"),
    )
    op.drop_index(
        "jobs_parked",
        table_name="jobs",
        sqlite_where=sa.text("status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '"),
        postgresql_where=sa.text("status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '"),
    )
    op.drop_index(
        "jobs_limited_running",
        table_name="jobs",
        sqlite_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'running' AND concurrency_key IS NOT NULL"),
    )
    op.drop_index(
        "jobs_limited_lane",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
    )
    op.drop_index(
        "jobs_limited_group",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND concurrency_key IS NOT NULL"),
    )
    op.drop_index(
        "jobs_lease",
        table_name="jobs",
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.drop_index(
        "jobs_failed",
        table_name="jobs",
        sqlite_where=sa.text("status = 'failed'"),
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.drop_index(
        "jobs_completion",
        table_name="jobs",
        sqlite_where=sa.text("status = 'pending' AND id = batch_id"),
        postgresql_where=sa.text("status = 'pending' AND id = batch_id"),
    )
    op.drop_index(
        "jobs_cancelled",
        table_name="jobs",
        sqlite_where=sa.text("status = 'cancelled'"),
        postgresql_where=sa.text("status = 'cancelled'"),
    )
    op.drop_index(
        "jobs_batch",
        table_name="jobs",
        sqlite_where=sa.text("batch_id IS NOT NULL AND status <> 'running'"),
        postgresql_where=sa.text("batch_id IS NOT NULL AND status <> 'running'"),
    )
    op.drop_table("jobs")
    op.drop_table("job_workers")
    op.drop_index("job_starts_rate", table_name="job_starts")
    op.drop_index("job_starts_expiry", table_name="job_starts")
    op.drop_table("job_starts")
    op.drop_table("job_counts")
    op.drop_index("job_audit_at", table_name="job_audit")
    op.drop_table("job_audit")
    op.drop_index(
        "job_attempts_expired",
        table_name="job_attempts",
        sqlite_where=sa.text("outcome = 'expired'"),
        postgresql_where=sa.text("outcome = 'expired'"),
    )
    op.drop_table("job_attempts")
    op.drop_index("cron_jobs_job_name_name_key", table_name="cron_jobs")
    op.drop_table("cron_jobs")


def now() -> sa.TextClause:
    """Return the default of a time: the database's clock, in milliseconds since the epoch on SQLite, Turso and D1."""
    is_postgresql = op.get_context().dialect.name == "postgresql"
    return sa.text("now()" if is_postgresql else "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER))")
