"""Store the schedules of the specs.

Revision ID: server_jobs_0002_becde31e
Revises: server_jobs_0001_8dccab51
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql, sqlite

revision = "server_jobs_0002_becde31e"
down_revision = "server_jobs_0001_8dccab51"
branch_labels = None
depends_on = None

cron_jobs = sa.table(
    "cron_jobs",
    sa.column("id", sa.Text),
    sa.column("job_name", sa.Text),
    sa.column("name", sa.Text),
    sa.column("cron_expression", sa.Text),
    sa.column("timezone", sa.Text),
    sa.column("misfire", sa.Text),
    sa.column("misfire_limit", sa.Integer),
    sa.column("params", sa.Text),
    sa.column("next_run_at"),
    sa.column("created_at"),
    sa.column("updated_at"),
)


def upgrade() -> None:
    add(
        id="7f75cead-1b2f-5044-831d-45b8fd043722",
        job_name="DailyDigest",
        name="every-morning",
        cron_expression="30 7 * * *",
        timezone="Europe/Berlin",
        misfire="fire_once",
        misfire_limit=None,
        params='{"recipients":["operations@example.com"]}',
    )


def downgrade() -> None:
    remove("7f75cead-1b2f-5044-831d-45b8fd043722")


def add(**values: str | int | None) -> None:
    """Store a schedule, or change it if a revision of another branch stored it; the next scheduler plans it."""
    is_postgresql = op.get_context().dialect.name == "postgresql"
    dialect: type[postgresql.Insert] | type[sqlite.Insert] = postgresql.Insert if is_postgresql else sqlite.Insert
    row = dialect(cron_jobs).values(created_at=now(), updated_at=now(), **values)
    new = {name: row.excluded[name] for name in values if name != "id"}
    is_other = sa.or_(*(cron_jobs.c[name].is_distinct_from(value) for name, value in new.items()))
    changes = {**new, "next_run_at": sa.null(), "updated_at": now()}
    op.execute(row.on_conflict_do_update(index_elements=["id"], set_=changes, where=is_other))


def remove(schedule_id: str) -> None:
    """Delete a schedule. Its enqueued jobs stay."""
    op.execute(cron_jobs.delete().where(cron_jobs.c.id == schedule_id))


def now() -> sa.ClauseElement:
    """Return the time of the database's clock: milliseconds since the epoch on SQLite, Turso and D1."""
    if op.get_context().dialect.name == "postgresql":
        return sa.func.now()
    return sa.literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", sa.BigInteger)
