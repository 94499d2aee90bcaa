"""The parts that several modules share, and the statements about the schema."""

from __future__ import annotations

from ...domain.record import UNREADABLE, WAITS
from ..columns import JOB_COLUMNS
from ..job_filters import matching
from ..rows import timestamp

SCHEDULE_COLUMNS = (
    "id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled, last_run_at, next_run_at, "
    "last_job_id, source, spec_version"
)

CLAIM_COLUMNS = (
    "id, job_name, spec_version, params, attempt_count, max_attempts, correlation_id, headers, batch_id, queue, "
    "scheduled_for"
)
ATTEMPT_COLUMNS = "job_id, attempt, outcome, error, error_class, traceback, worker_id, started_at, ended_at"

GIVEN_NOW = ":now"  # replaces `{now}` if a test sets the clock

NEEDED = {
    "cron_jobs": "spec_version",
    "job_starts": "id",
    "paused_queues": "name",
    "job_audit": "id",
    "job_attempts": "slot",
    "job_workers": "id",
    "job_counts": "minute",
}
"""The newest column of each table except `jobs`. A database with these columns is new enough."""

# Fails if a table or a column is missing.
PROBE = f"""
SELECT {JOB_COLUMNS}, {", ".join(f"(SELECT {column} FROM {table} LIMIT 1)" for table, column in NEEDED.items())}
  FROM jobs LIMIT 0
"""
PING = "SELECT 1"

# A failed job whose params could not be read.
PARKED = f"(status = 'failed' AND COALESCE(substr(error, 1, {len(UNREADABLE)}), '') = '{UNREADABLE}')"


def value(name: str, kind: str) -> str:
    """Return the SQL of a parameter. `kind` is its type, which only PostgreSQL needs."""
    del kind
    return f":{name}"


def elements(name: str) -> str:
    return f"SELECT value FROM json_each(:{name})"


def jobs_by(index: str) -> str:
    """Return the table of jobs, with the index to use."""
    return f"jobs INDEXED BY {index}"


OF_QUEUES = f"queue IN ({elements('queues')})"

# The condition of a filter.
MATCHES = f"{matching(value, elements, lambda name: f'{{now}} - :{name}')}\n   AND (:parked = 0 OR {PARKED})"

CENTURY = 100 * 365 * 86_400_000
"""Milliseconds until rows of `job_starts` expire that must never be deleted."""

WAITS_SQL = str(timestamp(WAITS))

# Executed before the jobs are deleted, in the same transaction.
ATTEMPTS_OF = "DELETE FROM job_attempts WHERE job_id IN (SELECT id FROM jobs WHERE %s)"
