"""Save, declare and fire schedules."""

from __future__ import annotations

from .. import schedule_changes, schedule_sets
from ..statements.common import SCHEDULE_COLUMNS
from .common import moment
from .enqueue import BOUNDED, HAS_FREE_KEY, NEW, NEW_JOBS

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"


_SETS = """json_to_recordset(CAST(:sets AS json)) AS sets (
       job_name text, fingerprint text, has_schedules integer)"""
_SCHEDULES = """json_to_recordset(CAST(:schedules AS json)) AS new (
       id text, job_name text, name text, cron_expression text, timezone text, misfire text,
       misfire_limit integer, params text, enabled boolean, source text, spec_version integer)"""


def _of_sets(template: str) -> str:
    return template.format(
        sets=_SETS,
        schedules=_SCHEDULES,
        grace="CAST(:grace AS bigint) * interval '1 millisecond'",
        far="{now} + interval '100 years'",
        columns=SCHEDULE_COLUMNS,
        now="{now}",
    )


SAVE_SCHEDULES = _of_sets(schedule_sets.SAVE_ANY)
TAKE_OVER_SCHEDULES = _of_sets(schedule_sets.TAKE_OVER)
UNAPPLIED_SCHEDULES = _of_sets(schedule_sets.UNAPPLIED)
FORGET_WITHDRAWAL = schedule_sets.FORGET_WITHDRAWAL
APPLY_SCHEDULES = tuple(map(_of_sets, schedule_sets.APPLY))

ENABLE_SCHEDULE = schedule_changes.ENABLE
ADD_SCHEDULE = schedule_changes.ADD
CHANGE_SCHEDULE = schedule_changes.CHANGE
REMOVE_SCHEDULE = schedule_changes.REMOVE
AUDIT_ADD_SCHEDULE = schedule_changes.AUDIT_ADD
AUDIT_ENABLE_SCHEDULE = schedule_changes.AUDIT_ENABLE
AUDIT_CHANGE_SCHEDULE = schedule_changes.AUDIT_CHANGE

DUE_SCHEDULES = f"""
SELECT {SCHEDULE_COLUMNS} FROM cron_jobs
 WHERE {DUE_SCHEDULE} AND job_name = ANY(ARRAY(SELECT json_array_elements_text(CAST(:job_names AS json))))
 ORDER BY job_name, name
"""

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

_LAST_SLOT = moment("CAST(:last_slot AS bigint)")

FIRED = f"""
UPDATE cron_jobs
   SET next_run_at = CASE WHEN cron_expression = :cron_expression AND timezone = :timezone
                     THEN {moment("CAST(:next_run_at AS bigint)")} ELSE next_run_at END,
       last_job_id = CASE WHEN CAST(:last_slot AS bigint) IS NULL OR last_run_at >= {_LAST_SLOT} THEN last_job_id
                     ELSE COALESCE((SELECT max(jobs.id) FROM jobs
                                     WHERE id = ANY(ARRAY(SELECT new.id FROM {NEW}
                                                           WHERE last_run_at IS NULL
                                                              OR last_run_at < {moment("new.scheduled_for")}))),
                                   last_job_id) END,
       last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= {_LAST_SLOT} THEN last_run_at
                     ELSE {_LAST_SLOT} END,
       updated_at = {{now}}
 WHERE id = :schedule_id AND enabled
"""
