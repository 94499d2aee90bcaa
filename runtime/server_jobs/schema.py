"""The tables as SQLAlchemy sees them: for migrations, for applications that share their database, for `later_in`.

Needs the extra `sqlalchemy`; the engine itself never imports this module.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.schema import conv
from sqlalchemy.types import TypeDecorator, TypeEngine

from .domain.record import JobStatus
from .domain.table_names import VERSION_TABLE
from .errors import InvalidOptionError

__all__ = [
    "JOB_STATUS",
    "JobStatus",
    "attach",
    "cron_jobs",
    "include_name",
    "job_audit",
    "job_starts",
    "jobs",
    "metadata",
    "paused_queues",
    "render_item",
]

JOB_STATUS = JobStatus
"""The name in the TypeScript package."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timestamp(TypeDecorator[datetime]):
    """An aware datetime: milliseconds since the epoch on the SQLite family, `timestamptz` on PostgreSQL."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        if value is None or dialect.name == "postgresql":
            return value
        return (value - _EPOCH) // timedelta(milliseconds=1)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's
        if isinstance(value, int):
            return _EPOCH + timedelta(milliseconds=value)
        return value if isinstance(value, datetime) else None


metadata = MetaData()

_STATUSES = ", ".join(f"'{status}'" for status in JobStatus)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("result", Text),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("progress", Integer, nullable=False, server_default=text("0")),
    Column("progress_message", Text),
    Column("error", Text),
    Column("worker_started_at", Timestamp),
    Column("worker_expires_at", Timestamp),
    Column("attempt_count", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False, server_default=text("3")),
    Column("scheduled_for", Timestamp),
    Column("correlation_id", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("completed_at", Timestamp),
    Column("queue", Text, nullable=False, server_default=text("'default'")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("spec_version", Integer, nullable=False, server_default=text("1")),
    Column("fencing_token", Text),
    Column("unique_key", Text),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("concurrency_key", Text),
    Column("rate_key", Text),
    # These names are final: the naming convention of an application's MetaData must not change them.
    PrimaryKeyConstraint("id", name=conv("jobs_pkey")),
    CheckConstraint(f"status IN ({_STATUSES})", name=conv("jobs_status_check")),
    # The schema keeps the invariants even against bugs: a running job always has a live claim, no other job has one.
    CheckConstraint("(status = 'running') = (fencing_token IS NOT NULL)", name=conv("jobs_fencing_token_check")),
    CheckConstraint("(status = 'running') = (worker_expires_at IS NOT NULL)", name=conv("jobs_lease_check")),
    CheckConstraint("attempt_count BETWEEN 0 AND max_attempts", name=conv("jobs_attempt_count_check")),
    CheckConstraint("progress BETWEEN 0 AND 100", name=conv("jobs_progress_check")),
    # Each job leaves dead rows behind. By PostgreSQL's default they stay until they are a fifth of the table, which
    # may hold millions of finished jobs. (A fillfactor would be in vain: every change of a job touches an index.)
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 2000},
)

# Jobs with limits have indexes of their own, so that others are not claimed past a backlog that nobody may run yet.
_UNLIMITED = text("status = 'pending' AND concurrency_key IS NULL")
_LIMITED = text("status = 'pending' AND concurrency_key IS NOT NULL")
_LIMITED_RUNNING = text("status = 'running' AND concurrency_key IS NOT NULL")

for _name, _kind in (("jobs_unlimited_group", _UNLIMITED), ("jobs_limited_group", _LIMITED)):
    # The jobs of one name, version, queue and priority stand together, so that a claim passes over all that it cannot
    # take with one look.
    Index(
        _name,
        jobs.c.job_name,
        jobs.c.spec_version,
        jobs.c.queue,
        jobs.c.priority.desc(),
        jobs.c.scheduled_for,
        jobs.c.id,
        sqlite_where=_kind,
        postgresql_where=_kind,
    )
Index(
    "jobs_limited_lane",
    jobs.c.job_name,
    jobs.c.concurrency_key,
    jobs.c.rate_key,
    jobs.c.priority.desc(),
    jobs.c.scheduled_for,
    jobs.c.id,
    sqlite_where=_LIMITED,
    postgresql_where=_LIMITED,
)
Index(
    "jobs_limited_running",
    jobs.c.job_name,
    jobs.c.concurrency_key,
    sqlite_where=_LIMITED_RUNNING,
    postgresql_where=_LIMITED_RUNNING,
)
Index(
    "jobs_lease",
    jobs.c.worker_expires_at,
    jobs.c.fencing_token,
    sqlite_where=text("status = 'running'"),
    postgresql_where=text("status = 'running'"),
)
Index(
    "jobs_unique_key",
    jobs.c.unique_key,
    unique=True,
    sqlite_where=text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
    postgresql_where=text("unique_key IS NOT NULL AND status IN ('pending', 'running')"),
)

cron_jobs = Table(
    "cron_jobs",
    metadata,
    Column("id", Text, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("'default'")),
    Column("cron_expression", Text, nullable=False),
    Column("timezone", Text, nullable=False, server_default=text("'UTC'")),
    Column("misfire", Text, nullable=False, server_default=text("'fire_once'")),
    Column("params", Text, nullable=False, server_default=text("'{}'")),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("last_run_at", Timestamp),
    Column("next_run_at", Timestamp),
    Column("last_job_id", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("misfire_limit", Integer),
    PrimaryKeyConstraint("id", name=conv("cron_jobs_pkey")),
    CheckConstraint("misfire IN ('skip', 'fire_once', 'fire_all')", name=conv("cron_jobs_misfire_check")),
)

Index("cron_jobs_job_name_name_key", cron_jobs.c.job_name, cron_jobs.c.name, unique=True)

# One row for each start of a job with a rate, for as long as the rate's period.
job_starts = Table(
    "job_starts",
    metadata,
    Column("id", Text, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("rate_key", Text, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("id", name=conv("job_starts_pkey")),
)

Index("job_starts_rate", job_starts.c.job_name, job_starts.c.rate_key, job_starts.c.started_at)
Index("job_starts_expiry", job_starts.c.expires_at)

paused_queues = Table(
    "paused_queues",
    metadata,
    Column("name", Text, nullable=False),
    Column("paused_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", name=conv("paused_queues_pkey")),
)

# Who changed jobs and queues by hand. Rows stay when their job is deleted.
job_audit = Table(
    "job_audit",
    metadata,
    Column("id", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("job_name", Text),
    Column("detail", Text),
    PrimaryKeyConstraint("id", name=conv("job_audit_pkey")),
)

Index("job_audit_at", job_audit.c.at)


def attach(target: MetaData) -> tuple[Table, Table]:
    """Copy our tables into an application's own `MetaData` and return the first two: (`jobs`, `cron_jobs`).

    Raises `InvalidOptionError` when the application has a table of one of these names.
    """
    for name in metadata.tables:
        if name in target.tables:
            raise InvalidOptionError(f"this MetaData has a table named {name!r} already; server-jobs needs that name")
    copies = {table.name: table.to_metadata(target) for table in metadata.sorted_tables}
    return copies["jobs"], copies["cron_jobs"]


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """For `context.configure(render_item=...)` in an application's Alembic.

    The revisions it generates then express our type of times by SQLAlchemy's own, and import nothing of server-jobs.
    """
    if kind == "type" and isinstance(item, Timestamp):
        return 'sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")'
    return False


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """For `context.configure(include_name=...)` where `target_metadata` has our tables beside those of an application.

    Alembic then leaves alone what revisions of server-jobs make without SQLAlchemy's knowledge: the indexes on the
    columns of views (`…_idx`), and the table that records these revisions.
    """
    if kind == "table":
        return name != VERSION_TABLE
    return kind != "index" or name is None or not name.endswith("_idx")


def exclude_ours(name: str | None, kind: str, _parents: object) -> bool:
    """For `context.configure(include_name=...)` where `target_metadata` has the tables of an application only.

    Alembic then leaves alone the tables of server-jobs, which `server-jobs migrate` makes.
    """
    return kind != "table" or (name != VERSION_TABLE and name not in metadata.tables)


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """For `context.configure(include_name=...)` where `target_metadata` has our tables only."""
    return include_name(name, kind, parents) and (kind != "table" or name in metadata.tables)
