"""Fire schedules."""

from __future__ import annotations

from .enqueue import HAS_FREE_KEY, NEW_JOBS

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"

# A slot makes a job only if it is newer than every fired slot (so it stays fired after its job is deleted) and if no
# job has its id, which is computed from schedule and slot (so two schedulers that fire at once make one job).
FIRE = f"""{NEW_JOBS}
 WHERE EXISTS (SELECT 1 FROM cron_jobs
                WHERE id = :schedule_id AND enabled
                  AND (last_run_at IS NULL OR last_run_at < value->>'scheduled_for'))
   AND {HAS_FREE_KEY}
    ON CONFLICT DO NOTHING
RETURNING id
"""
