"""The tables as SQLAlchemy sees them: for migrations, for applications that share their database, for `later_in`.

Needs the extra `sqlalchemy`; the engine itself never imports this module.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

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
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from .record import JobStatus

__all__ = ["JobStatus", "attach", "cron_jobs", "jobs", "metadata"]

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


NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "pk": "%(table_name)s_pkey",
}

metadata = MetaData(naming_convention=NAMING)

_STATUSES = ", ".join(f"'{status}'" for status in JobStatus)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
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
    CheckConstraint(f"status IN ({_STATUSES})", name="status"),
    # The schema keeps the invariants even against bugs: a running job always has a live claim, no other job has one.
    CheckConstraint("(status = 'running') = (fencing_token IS NOT NULL)", name="fencing_token"),
    CheckConstraint("(status = 'running') = (worker_expires_at IS NOT NULL)", name="lease"),
    CheckConstraint("attempt_count BETWEEN 0 AND max_attempts", name="attempt_count"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
)

Index(
    "jobs_claim",
    jobs.c.priority.desc(),
    jobs.c.scheduled_for,
    jobs.c.id,
    sqlite_where=text("status = 'pending'"),
    postgresql_where=text("status = 'pending'"),
)
Index(
    "jobs_lease",
    jobs.c.worker_expires_at,
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
    Column("id", Text, primary_key=True),
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
    CheckConstraint("misfire IN ('skip', 'fire_once', 'fire_all')", name="misfire"),
)

Index("cron_jobs_job_name_name_key", cron_jobs.c.job_name, cron_jobs.c.name, unique=True)


def attach(target: MetaData) -> tuple[Table, Table]:
    """Copy both tables into an application's own `MetaData` and return them: (`jobs`, `cron_jobs`)."""
    return jobs.to_metadata(target), cron_jobs.to_metadata(target)
