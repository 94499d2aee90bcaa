"""The parts that several modules share."""

from __future__ import annotations

from ...domain.record import UNREADABLE, WAITS
from ..rows import timestamp

CLAIM_COLUMNS = (
    "id, job_name, spec_version, params, attempt_count, max_attempts, correlation_id, headers, batch_id, queue, "
    "scheduled_for"
)

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

# A failed job whose params could not be read.
PARKED = f"(status = 'failed' AND COALESCE(substr(error, 1, {len(UNREADABLE)}), '') = '{UNREADABLE}')"


def elements(name: str) -> str:
    return f"SELECT value FROM json_each(:{name})"


def jobs_by(index: str) -> str:
    """Return the table of jobs, with the index to use."""
    return f"jobs INDEXED BY {index}"


OF_QUEUES = f"queue IN ({elements('queues')})"
WAITS_SQL = str(timestamp(WAITS))
