"""The tables as SQLAlchemy sees them, for migrations and for applications that share their database.

Needs the extra `sqlalchemy`; the engine itself never imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    DefaultClause,
    Dialect,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import conv
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from .contract.row_limits import ROW_LIMITS
from .domain.clock import SQLITE_NOW
from .domain.record import JOB_COLUMNS, UNREADABLE, JobColumn, JobStatus, Outcome
from .domain.table_names import NAME_TABLE, VERSION_TABLE
from .errors import InvalidOptionError, ProjectNotFoundError
from .project import find_project

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

__all__ = [
    "JOB_STATUS",
    "ROW_LIMITS",
    "JobStatus",
    "attach",
    "cron_jobs",
    "include_name",
    "job_attempts",
    "job_audit",
    "job_counts",
    "job_starts",
    "job_workers",
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


class CurrentTime(FunctionElement[datetime]):
    """The time of the database, in the form of a `Timestamp`."""

    inherit_cache = True
    name = "current_time"


@compiles(CurrentTime)
def _current_time(*_: object, **__: object) -> str:
    return "now()"


@compiles(CurrentTime, "sqlite")
def _current_time_on_sqlite(*_: object, **__: object) -> str:
    return SQLITE_NOW


metadata = MetaData()

_STATUSES = ", ".join(f"'{status}'" for status in JobStatus)
_OUTCOMES = ", ".join(f"`{one}`" for one in Outcome if one not in (Outcome.COMPLETED, Outcome.LOST))

_ID = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids are compared byte by byte, as SQLite does: PostgreSQL's comparison by the rules of a language is slower."""

_TYPES: Mapping[str, type[TypeEngine[Any]]] = {
    "str": Text,
    "JobStatus": Text,
    "int": Integer,
    "bool": Boolean,
    "datetime": Timestamp,
}


def _job_column(of: JobColumn) -> Column[Any]:
    """Return a column of `jobs`, as `JobRecord` describes it."""
    kind: TypeEngine[Any] = _ID if of.is_id else _TYPES[of.type]()
    if of.name == "scheduled_for":
        return Column(
            of.name,
            kind,
            nullable=False,
            server_default=CurrentTime(),
            sqlite_on_conflict_not_null="REPLACE",  # the TypeScript package inserts NULL
            doc=of.about,
        )
    default = JobStatus.PENDING if of.name == "status" else of.default
    written = f"'{default}'" if isinstance(default, str) else str(default).lower()
    server_default = None if default is None else text(written)
    return Column(of.name, kind, nullable=of.is_nullable, server_default=server_default, doc=of.about)


jobs = Table(
    "jobs",
    metadata,
    *map(_job_column, JOB_COLUMNS.values()),
    # These names are final: the naming convention of an application's MetaData must not change them.
    PrimaryKeyConstraint("id", name=conv("jobs_pkey")),
    CheckConstraint(f"status IN ({_STATUSES})", name=conv("jobs_status_check")),
    # The schema keeps the invariants even against bugs: a running job always has a live claim, no other job has one.
    CheckConstraint("(status = 'running') = (fencing_token IS NOT NULL)", name=conv("jobs_fencing_token_check")),
    CheckConstraint("(status = 'running') = (worker_expires_at IS NOT NULL)", name=conv("jobs_lease_check")),
    CheckConstraint("attempt_count BETWEEN 0 AND max_attempts", name=conv("jobs_attempt_count_check")),
    CheckConstraint("progress BETWEEN 0 AND 100", name=conv("jobs_progress_check")),
    CheckConstraint("replaced_by IS NULL OR status <> 'pending'", name=conv("jobs_replaced_by_check")),
    # Each job leaves dead rows behind. By PostgreSQL's default they stay until they are a fifth of the table, which
    # may hold millions of finished jobs. (A fillfactor would be in vain: every change of a job touches an index.)
    # SQLAlchemy 2.0 has no `postgresql_with`. It writes this text unchanged behind USING.
    postgresql_using="heap WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000)",
    info={"doc": "One row per job: a pending, running or finished run of a spec."},
)

_LIMITS = DDL(ROW_LIMITS.replace("ALTER TABLE jobs", "ALTER TABLE %(fullname)s"))  # type: ignore[no-untyped-call]
event.listen(jobs, "after_create", _LIMITS.execute_if(dialect="postgresql"))

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
_LIMITED_START = text("status = 'pending' AND start_before IS NOT NULL")
Index("jobs_start_before", jobs.c.start_before, sqlite_where=_LIMITED_START, postgresql_where=_LIMITED_START)
_OWNS_KEY = text("unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL")
Index("jobs_unique_key", jobs.c.unique_key, unique=True, sqlite_where=_OWNS_KEY, postgresql_where=_OWNS_KEY)
_REPLACED = text("status = 'running' AND replaced_by IS NOT NULL")
Index("jobs_replaced", jobs.c.unique_key, sqlite_where=_REPLACED, postgresql_where=_REPLACED)

# The jobs of a batch by status, and pending completion jobs. Without those that run, a claim writes no entry: on
# PostgreSQL, each change of a job writes all of its entries again.
_OF_BATCH = text("batch_id IS NOT NULL AND status <> 'running'")
_COMPLETION = text("status = 'pending' AND id = batch_id")
Index("jobs_batch", jobs.c.batch_id, jobs.c.status, sqlite_where=_OF_BATCH, postgresql_where=_OF_BATCH)
Index("jobs_completion", jobs.c.id, sqlite_where=_COMPLETION, postgresql_where=_COMPLETION)

# Failed jobs by exception, parked jobs, and cancelled jobs.
Index(
    "jobs_failed",
    jobs.c.job_name,
    jobs.c.queue,
    jobs.c.error_class,
    jobs.c.id,
    sqlite_where=text("status = 'failed'"),
    postgresql_where=text("status = 'failed'"),
)
_PARKED = text(f"status = 'failed' AND substr(error, 1, {len(UNREADABLE)}) = '{UNREADABLE}'")
_CANCELLED = text("status = 'cancelled'")
Index("jobs_cancelled", jobs.c.job_name, jobs.c.queue, jobs.c.id, sqlite_where=_CANCELLED, postgresql_where=_CANCELLED)
Index("jobs_parked", jobs.c.job_name, jobs.c.queue, jobs.c.id, sqlite_where=_PARKED, postgresql_where=_PARKED)

cron_jobs = Table(
    "cron_jobs",
    metadata,
    Column("id", _ID, nullable=False, doc="A UUID made from the name of the job and the name of the schedule."),
    Column("job_name", Text, nullable=False, doc="The job that the schedule enqueues."),
    Column(
        "name",
        Text,
        nullable=False,
        server_default=text("'default'"),
        doc="The name of the schedule, unique within its job.",
    ),
    Column("cron_expression", Text, nullable=False, doc="Five fields: minute, hour, day of month, month, day of week."),
    Column(
        "timezone",
        Text,
        nullable=False,
        server_default=text("'UTC'"),
        doc="The IANA time zone in which the expression is read.",
    ),
    Column(
        "misfire",
        Text,
        nullable=False,
        server_default=text("'fire_once'"),
        doc="What happens to slots that passed while no worker ran: `skip`, `fire_once` or `fire_all`.",
    ),
    Column("params", Text, nullable=False, server_default=text("'{}'"), doc="The params of each job, as JSON text."),
    Column("enabled", Boolean, nullable=False, server_default=text("true"), doc="Whether the schedule fires."),
    Column("last_run_at", Timestamp, doc="The last slot that fired."),
    Column("next_run_at", Timestamp, doc="The next slot. NULL until a worker has computed it."),
    Column("last_job_id", _ID, doc="The id of the job of the last slot."),
    Column("created_at", Timestamp, nullable=False, doc="When the schedule was stored."),
    Column("updated_at", Timestamp, nullable=False, doc="When the row changed last."),
    Column("misfire_limit", Integer, doc="With `fire_all`, the number of passed slots that fire. NULL: all of them."),
    Column(
        "source",
        Text,
        nullable=False,
        server_default=text("'declared'"),
        doc="`declared` in code or a spec, or `added` at run time.",
    ),
    Column("spec_version", Integer, doc="The version of the spec that the params fit. NULL: the schedule is declared."),
    PrimaryKeyConstraint("id", name=conv("cron_jobs_pkey")),
    CheckConstraint("misfire IN ('skip', 'fire_once', 'fire_all')", name=conv("cron_jobs_misfire_check")),
    info={"doc": "One row per schedule."},
)

Index("cron_jobs_job_name_name_key", cron_jobs.c.job_name, cron_jobs.c.name, unique=True)

# One row for each start of a job with a rate, for as long as the rate's period.
job_starts = Table(
    "job_starts",
    metadata,
    Column("id", _ID, nullable=False, doc="The token of the claim."),
    Column("job_name", Text, nullable=False, doc="The job that started."),
    Column("rate_key", Text, nullable=False, doc="The key of its rate limit."),
    Column("started_at", Timestamp, nullable=False, doc="When the job was claimed."),
    Column("expires_at", Timestamp, nullable=False, doc="When the start no longer counts and may be deleted."),
    PrimaryKeyConstraint("id", name=conv("job_starts_pkey")),
    info={"doc": "One row per start of a job with a rate limit. Other rows hold the state of maintenance."},
)

Index("job_starts_rate", job_starts.c.job_name, job_starts.c.rate_key, job_starts.c.started_at)
Index("job_starts_expiry", job_starts.c.expires_at)

paused_queues = Table(
    "paused_queues",
    metadata,
    Column("name", Text, nullable=False, doc="The name of the queue."),
    Column("paused_at", Timestamp, nullable=False, doc="When the queue was paused."),
    PrimaryKeyConstraint("name", name=conv("paused_queues_pkey")),
    info={"doc": "One row per paused queue."},
)

# The log of manual changes to jobs and queues. Rows stay when their job is deleted.
job_audit = Table(
    "job_audit",
    metadata,
    Column("id", _ID, nullable=False, doc="UUIDv7 in lower case."),
    Column("at", Timestamp, nullable=False, doc="When the change happened."),
    Column(
        "actor",
        Text,
        nullable=False,
        doc="`token:NAME`, `user:NAME`, `application`, or a name that the application gave.",
    ),
    Column(
        "action",
        Text,
        nullable=False,
        doc="`cancel`, `retry`, `repair`, `delete`, `pause`, `resume`, `add`, `change` or `remove`.",
    ),
    Column(
        "target", Text, nullable=False, doc="The id of the job, the name of the queue, or JOB/NAME of the schedule."
    ),
    Column("job_name", Text, doc="The name of the job. NULL for a queue."),
    Column("detail", Text, doc="More about the change, without params."),
    PrimaryKeyConstraint("id", name=conv("job_audit_pkey")),
    info={"doc": "One row per manual change of a job, a queue or a schedule. Rows stay when their job is deleted."},
)

Index("job_audit_at", job_audit.c.at)

# Attempts go with their job. No foreign key: SQLite enforces it only where each connection asks for it.
job_attempts = Table(
    "job_attempts",
    metadata,
    Column("job_id", _ID, nullable=False, doc="The job."),
    Column(
        "slot", Integer, nullable=False, doc="`number` modulo 100: an attempt replaces the one 100 attempts before."
    ),
    Column("number", Integer, nullable=False, doc="Counts the rows of the job, from 1."),
    Column("attempt", Integer, nullable=False, doc="The number of the attempt, from 1. Released attempts repeat it."),
    Column("outcome", Text, nullable=False, doc=f"{_OUTCOMES}."),
    Column("error", Text, doc="The error, or the reason of a cancellation."),
    Column("error_class", Text, doc="The name of the exception."),
    Column("traceback", Text, doc="The traceback from the handler on, at most 16 KiB, without redacted params."),
    Column("worker_id", Text, doc="The long-lived worker of the claim; see `job_workers`."),
    Column("started_at", Timestamp, nullable=False, doc="When the job was claimed."),
    Column("ended_at", Timestamp, nullable=False, doc="When the outcome was stored."),
    PrimaryKeyConstraint("job_id", "slot", name=conv("job_attempts_pkey")),
    info={"doc": "One row per attempt that did not complete, the last 100 of each job. Deleted with the job."},
)

_EXPIRED_ATTEMPT = text(f"outcome = '{Outcome.EXPIRED}'")
Index(
    "job_attempts_expired", job_attempts.c.worker_id, sqlite_where=_EXPIRED_ATTEMPT, postgresql_where=_EXPIRED_ATTEMPT
)

job_workers = Table(
    "job_workers",
    metadata,
    Column("id", _ID, nullable=False, doc="UUIDv7, new for each start; UUIDv5 of the names of its jobs for a tick."),
    Column("host", Text, nullable=False, doc="The name of the machine."),
    Column("pid", Integer, doc="The id of the process. NULL: a tick, each round of which is another process."),
    Column("queues", Text, doc="The queues that it claims from, as a JSON array. NULL: all of them."),
    Column("concurrency", Integer, nullable=False, doc="How many jobs it runs at a time."),
    Column("version", Text, nullable=False, doc="The version of server-jobs."),
    Column("known", Text, nullable=False, doc="The jobs that it can run, as a JSON array of names and spec versions."),
    Column("started_at", Timestamp, nullable=False, doc="When it started."),
    Column("last_seen_at", Timestamp, nullable=False, doc="When it reported last."),
    Column("expires_at", Timestamp, nullable=False, doc="When it counts as dead, unless it reports before."),
    PrimaryKeyConstraint("id", name=conv("job_workers_pkey")),
    info={"doc": "One row per worker, and one for all ticks with the same jobs. A dead one keeps it for a week."},
)

job_counts = Table(
    "job_counts",
    metadata,
    Column("minute", Timestamp, nullable=False, doc="The minute of the report. 1970: all minutes together."),
    Column("queue", Text, nullable=False, doc="The queue of the jobs."),
    Column("job_name", Text, nullable=False, doc="The name of the jobs."),
    Column("completed", BigInteger, nullable=False, doc="Attempts that completed."),
    Column("failed", BigInteger, nullable=False, doc="Attempts after which the job failed."),
    Column("retried", BigInteger, nullable=False, doc="Failed attempts that were, or will be, followed by another."),
    PrimaryKeyConstraint("minute", "queue", "job_name", name=conv("job_counts_pkey")),
    info={"doc": "Outcomes of attempts per minute, for a day, as workers report them every few seconds."},
)


def attach(target: MetaData) -> tuple[Table, Table]:
    """Copy our tables into an application's own `MetaData` and return the first two: (`jobs`, `cron_jobs`).

    Raises `InvalidOptionError` when the application has a table of one of these names.

        jobs, schedules = attach(Base.metadata)
        with engine.connect() as connection:
            pending = connection.execute(select(jobs.c.id).where(jobs.c.status == "pending")).all()
    """
    for name in metadata.tables:
        if name in target.tables:
            raise InvalidOptionError(f"this MetaData has a table named {name!r} already; server-jobs needs that name")
    copies = {table.name: table.to_metadata(target) for table in metadata.sorted_tables}
    return copies["jobs"], copies["cron_jobs"]


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """For `context.configure(render_item=...)` in an application's Alembic.

    The revisions it generates then express our type of times, and the default of such a column, by SQLAlchemy's own,
    and import nothing of server-jobs.
    """
    if kind == "type" and isinstance(item, Timestamp):
        return 'sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")'
    if kind == "server_default" and is_current_time(item):
        is_postgresql = context.dialect is not None and context.dialect.name == "postgresql"
        return 'sa.text("now()")' if is_postgresql else f'sa.text("({SQLITE_NOW})")'
    return False


def is_current_time(default: object) -> bool:
    """Return whether the default of a column is the time of the database."""
    return isinstance(default, DefaultClause) and isinstance(default.arg, CurrentTime)


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """For `context.configure(include_name=...)`, if `target_metadata` has our tables and an application's tables.

    Alembic then ignores objects that revisions of server-jobs create without SQLAlchemy: the indexes on the columns of
    views (`…_idx`), and the tables with these revisions and with the name of the database.
    """
    if kind == "table":
        return name not in (VERSION_TABLE, NAME_TABLE)
    return kind != "index" or name is None or not name.endswith("_idx")


def exclude_ours(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """For `context.configure(include_name=...)` where `target_metadata` has the tables of an application only.

    Alembic then leaves alone the tables of server-jobs, which `server-jobs migrate` makes. On PostgreSQL they are in
    the `schema` of the project around the current folder, and an application may use their names in other schemas.
    """
    is_ours_by_name = kind == "table" and (name in (VERSION_TABLE, NAME_TABLE) or name in metadata.tables)
    return not is_ours_by_name or parents.get("schema_name") != _our_schema()


def _our_schema() -> str | None:
    """Return the schema of our tables in the database that Alembic compares. None is the default one."""
    from alembic import context  # most programs that import this module never migrate

    try:
        return find_project(Path.cwd()).schema if context.get_context().dialect.name == "postgresql" else None
    except ProjectNotFoundError:
        return None


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """For `context.configure(include_name=...)` where `target_metadata` has our tables only."""
    return include_name(name, kind, parents) and (kind != "table" or name in metadata.tables)
