"""Look for work."""

from __future__ import annotations

from .claim import DUE, LIMITED, LIMITED_NAMES, UNLIMITED, WAITING
from .common import OF_QUEUES
from .groups import KNOWN_VALUES, any_due, awaited
from .maintenance import ended

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"


COUNT_DUE = f"""
SELECT sum(count) AS count
  FROM (SELECT count(*) AS count FROM jobs WHERE {WAITING} AND {UNLIMITED}
         UNION ALL SELECT count(*) FROM jobs WHERE {WAITING} AND {LIMITED}) AS due
"""

_EPOCH = "timestamptz 'epoch'"
_KNOWN_NAMES = "SELECT value->>0 FROM json_array_elements(CAST(:known AS json)) AS known (value)"

# The kinds of pending work, and whether the rows have the labels of the specs.
PENDING_WORK = f"""
SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND worker_expires_at < {{now}}) AS has_expired,
       EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}})
         AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs WHERE {DUE_SCHEDULE} AND job_name IN ({_KNOWN_NAMES})) AS has_due_schedule,
       EXISTS ({DUE}) OR EXISTS ({any_due(LIMITED)}) AS has_due_job,
       EXISTS (SELECT 1 FROM ({_KNOWN_NAMES} EXCEPT {LIMITED_NAMES}) AS name (job_name) CROSS JOIN LATERAL (
                 SELECT 1 FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
                    AND jobs.job_name = name.job_name LIMIT 1) AS former) AS has_mislabelled,
       EXISTS ({ended("CAST(NULL AS json)")}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known
                      AND last_seen_at > {{now}} - CAST(:tick_interval AS bigint) * interval '1 millisecond')
         AS has_due_report
"""


def _until(moment: str) -> str:
    """Return SQL for the milliseconds until then. Another program may have written `infinity`: it breaks arithmetic."""
    finite = f"LEAST(GREATEST({moment}, {_EPOCH}), timestamptz '9999-12-31 UTC')"
    wait = f"CASE WHEN {moment} IS NOT NULL THEN {finite} END - {{now}}"
    return f"CAST(ceil(extract(epoch FROM {wait}) * 1000) AS bigint)"


# An array, because the planner would join a query with all running jobs.
_KNOWN_JOBS = f"SELECT ROW(value->>0, CAST(value->>1 AS integer)) FROM {KNOWN_VALUES}"
UPCOMING_WORK = f"""
SELECT {_until("next_due")} AS until_due, {_until("later")} AS until_later,
       {_until("lease_end")} AS until_lease_end, {_until("slot")} AS until_slot
  FROM (SELECT min(due) AS next_due, min(later) AS later,
               (SELECT worker_expires_at FROM jobs
                 WHERE status = 'running' AND (CAST(:queues AS json) IS NULL OR {OF_QUEUES})
                   AND ROW(job_name, spec_version) = ANY(ARRAY({_KNOWN_JOBS}))
                 ORDER BY worker_expires_at LIMIT 1) AS lease_end,
               (SELECT min(COALESCE(next_run_at, {_EPOCH})) FROM cron_jobs
                 WHERE enabled AND job_name IN ({_KNOWN_NAMES})) AS slot
          FROM (SELECT due, later FROM ({awaited(UNLIMITED)}) AS unlimited
                UNION ALL
                SELECT due, later FROM ({awaited(LIMITED)}) AS limited) AS pending) AS upcoming
"""
