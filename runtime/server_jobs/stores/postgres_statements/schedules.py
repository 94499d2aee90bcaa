"""Fire schedules."""

from __future__ import annotations

from .common import moment
from .enqueue import BOUNDED, HAS_FREE_KEY, NEW_JOBS

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"

# The schedule is locked first and then read again: if two schedulers fire at once, the second one sees the slots that
# the first one fired.
FIRE = f"""
WITH schedule AS MATERIALIZED (
  SELECT last_run_at FROM cron_jobs WHERE id = :schedule_id AND enabled FOR UPDATE)
{NEW_JOBS} CROSS JOIN schedule
 WHERE (schedule.last_run_at IS NULL OR schedule.last_run_at < {moment("new.scheduled_for")}) AND {BOUNDED}
   AND {HAS_FREE_KEY}
 ORDER BY new.unique_key, new.id
    ON CONFLICT DO NOTHING
RETURNING id
"""
