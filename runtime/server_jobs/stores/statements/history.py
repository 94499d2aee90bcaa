"""Statistics, earlier attempts, and workers."""

from __future__ import annotations

from ...domain.history import ATTEMPTS_KEPT, MOST_HELD, MOST_HOLDERS
from ...domain.record import LEASE_EXPIRED, Outcome
from ..statistics import StatisticsDialect, enqueued_counts, failure_groups, queue_states
from .common import ATTEMPT_COLUMNS, OF_QUEUES, jobs_by
from .groups import LIMITED, UNLIMITED
from .settle import LEASE_EXPIRED_ERROR, NOT_STALE, OVERDUE

_STATISTICS = StatisticsDialect(
    jobs=jobs_by,
    most="COALESCE(:most, -1)",
    most_failed="COALESCE(:most_failed, -1)",
    queues=f"(:queues IS NULL OR {OF_QUEUES})",
    ago=lambda milliseconds: f"({{now}} - {milliseconds})",
    first_id=lambda moment: f"printf('%08x-%04x', {moment} / 65536, {moment} % 65536)",
)
QUEUE_STATES = queue_states(_STATISTICS)
FAILURE_GROUPS = failure_groups(_STATISTICS)
ENQUEUED_COUNTS = enqueued_counts(_STATISTICS)

# A minute, and 0 for all minutes together.
ADD_COUNTS = """
INSERT INTO job_counts (minute, queue, job_name, completed, failed, retried)
SELECT moment.minute, value->>'queue', value->>'job_name', value->>'completed', value->>'failed', value->>'retried'
  FROM json_each(:counts) CROSS JOIN (SELECT {now} / 60000 * 60000 AS minute UNION ALL SELECT 0) AS moment
 WHERE true
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = completed + excluded.completed, failed = failed + excluded.failed,
       retried = retried + excluded.retried
"""
FINISHED_COUNTS = """
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= :since AND minute <= :until ORDER BY minute, queue, job_name
"""
FORGET_COUNTS = "DELETE FROM job_counts WHERE minute > 0 AND minute < {now} - :age RETURNING minute"


# Attempts that did not complete. Executed before the move that ends them, in the same transaction, under the same
# condition and, if this depends on the time, by the same time. The slot limits the rows of a job.
_NEXT_NUMBER = "COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = {job}), 0) + 1"
_REPLACED_COLUMNS = ("number", *ATTEMPT_COLUMNS.split(", ")[1:])
REPLACED = "    ON CONFLICT (job_id, slot) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _REPLACED_COLUMNS
)
_RECORD = f"""
INSERT INTO job_attempts (slot, number, {ATTEMPT_COLUMNS})
SELECT number %% {ATTEMPTS_KEPT}, number, {ATTEMPT_COLUMNS}
  FROM (SELECT {_NEXT_NUMBER.format(job="jobs.id")} AS number, jobs.id AS job_id, attempt_count AS attempt, %s,
               worker_id, COALESCE(worker_started_at, {{now}}) AS started_at, {{now}} AS ended_at
          FROM %s)
 WHERE true
{REPLACED}
"""
RECORD_ATTEMPTS: str | None = _RECORD % (
    """outcome.ended AS outcome, outcome.error AS error, outcome.error_class AS error_class,
               outcome.traceback AS traceback""",
    f"""(SELECT key AS id, value->>'token' AS token, value->>'ended' AS ended, value->>'error' AS error,
                       value->>'error_class' AS error_class, value->>'traceback' AS traceback
                  FROM json_each(:items)) AS outcome CROSS JOIN jobs
         WHERE outcome.ended IS NOT NULL AND {NOT_STALE.format("outcome")}""",
)
_AS_EXPIRED = f"'{Outcome.EXPIRED}' AS outcome, {LEASE_EXPIRED_ERROR} AS error, '{LEASE_EXPIRED}' AS error_class"
RECORD_EXPIRED: str | None = _RECORD % (f"{_AS_EXPIRED}, NULL AS traceback", f"jobs WHERE {OVERDUE}")

ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM job_attempts WHERE job_id = :id ORDER BY number"

# Due jobs of the queue of a pending job that are claimed before it: with a higher priority, or due before it.
_IS_AHEAD = (
    "jobs.priority > :priority AND scheduled_for <= {now}",
    "jobs.priority = :priority AND scheduled_for <= min({now}, :due) AND (scheduled_for, jobs.id) < (:due, :id)",
)


def _ahead(kind: str, index: str) -> str:
    found = "\n     UNION ALL\n    ".join(
        f"""SELECT 1 FROM (SELECT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)) AS known
     CROSS JOIN jobs INDEXED BY {index}
     WHERE status = 'pending' AND {kind} AND jobs.job_name = known.job_name
       AND jobs.spec_version = known.spec_version AND jobs.queue = :queue AND {condition}"""
        for condition in _IS_AHEAD
    )
    return f"SELECT 1 FROM ({found})"


AHEAD = f"""
SELECT {{now}} AS now, (
  SELECT count(*) FROM (
    {_ahead(UNLIMITED, "jobs_unlimited_group")}
     UNION ALL
    {_ahead(LIMITED, "jobs_limited_group")}
     LIMIT :most)) AS ahead
"""
# The running jobs with the same concurrency key, and the start that leaves the period of the rate next.
HOLDERS = f"""
SELECT id, count(*) OVER () AS count FROM jobs
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND job_name = :job_name
   AND concurrency_key = :concurrency_key
 ORDER BY id LIMIT {MOST_HOLDERS}
"""
RATE_FREE_AT = """
SELECT started_at + :period AS free_at FROM job_starts
 WHERE job_name = :job_name AND rate_key = :rate_key AND started_at >= {now} - :period
 ORDER BY started_at DESC LIMIT 1 OFFSET :limit - 1
"""

HELD_JOBS = f"""
SELECT id FROM jobs WHERE status = 'running' AND worker_expires_at IS NOT NULL AND worker_id = :id
 UNION
SELECT job_id FROM job_attempts WHERE worker_id = :id AND outcome = '{Outcome.EXPIRED}'
 ORDER BY id LIMIT {MOST_HELD}
"""

# A worker that was taken for dead comes back with its next report.
REPORT_WORKER = """
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at
"""
REPORT_TICK = """
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, concurrency = excluded.concurrency, version = excluded.version, known = excluded.known,
       last_seen_at = excluded.last_seen_at,
       expires_at = max(excluded.expires_at, excluded.last_seen_at + 2 * (excluded.last_seen_at - last_seen_at))
"""
REMOVE_WORKER = "DELETE FROM job_workers WHERE id = :id"
FORGET_WORKERS = "DELETE FROM job_workers WHERE expires_at < {now} - :age RETURNING id"
WORKERS = """
SELECT job_workers.id AS id, host, pid, queues, concurrency, version, known, started_at, last_seen_at,
       expires_at >= {now} AS is_alive, COALESCE(held.count, 0) AS running
  FROM job_workers LEFT JOIN (
       SELECT worker_id, count(*) AS count FROM jobs
        WHERE status = 'running' AND worker_expires_at IS NOT NULL GROUP BY worker_id) AS held
    ON held.worker_id = job_workers.id
 ORDER BY job_workers.id
"""
