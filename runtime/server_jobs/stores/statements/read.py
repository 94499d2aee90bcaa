"""Look for work."""

from __future__ import annotations

from .claim import MISLABELLED, WAITING
from .common import OF_QUEUES
from .groups import LIMITED, UNLIMITED, any_due, awaited
from .maintenance import ENDED_BATCHES

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"


# The kinds of pending work, and whether the rows have the labels of the specs.
PENDING_WORK = f"""
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND worker_expires_at < {{now}})
         AS has_expired,
       EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_start_before
                WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}) AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs
                WHERE {DUE_SCHEDULE} AND job_name IN (SELECT value->>0 FROM json_each(:known))) AS has_due_schedule,
       EXISTS ({any_due(UNLIMITED)}) OR EXISTS ({any_due(LIMITED)}) AS has_due_job,
       EXISTS ({MISLABELLED}) AS has_mislabelled,
       EXISTS ({ENDED_BATCHES.replace(":batch_ids", "NULL")}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known AND last_seen_at > {{now}} - :tick_interval)
         AS has_due_report
"""

# Jobs with and without limits have separate indexes.
COUNT_DUE = f"""
SELECT sum(count) AS count
  FROM (SELECT count(*) AS count FROM jobs WHERE {WAITING} AND concurrency_key IS NULL
         UNION ALL SELECT count(*) FROM jobs WHERE {WAITING} AND concurrency_key IS NOT NULL)
"""

UPCOMING_WORK = f"""
SELECT min(due) - {{now}} AS until_due, min(later) - {{now}} AS until_later,
       (SELECT worker_expires_at FROM jobs INDEXED BY jobs_lease
         WHERE status = 'running' AND (:queues IS NULL OR {OF_QUEUES})
           AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
         ORDER BY worker_expires_at LIMIT 1) - {{now}} AS until_lease_end,
       (SELECT min(COALESCE(next_run_at, 0)) FROM cron_jobs
         WHERE enabled AND job_name IN (SELECT value->>0 FROM json_each(:known))) - {{now}} AS until_slot
  FROM (SELECT due, later FROM ({awaited(UNLIMITED)}) UNION ALL SELECT due, later FROM ({awaited(LIMITED)}))
"""
