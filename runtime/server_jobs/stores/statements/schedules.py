"""Save, declare and fire schedules."""

from __future__ import annotations

from .. import schedule_changes, schedule_sets
from .common import CENTURY, SCHEDULE_COLUMNS
from .enqueue import HAS_FREE_KEY, NEW_JOBS

DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"


_SETS = """(SELECT value->>'job_name' AS job_name, value->>'fingerprint' AS fingerprint,
                   value->>'has_schedules' AS has_schedules FROM json_each(:sets)) AS sets"""
_SCHEDULES = """(SELECT value->>'id' AS id, value->>'job_name' AS job_name, value->>'name' AS name,
                   value->>'cron_expression' AS cron_expression, value->>'timezone' AS timezone,
                   value->>'misfire' AS misfire, value->>'misfire_limit' AS misfire_limit, value->>'params' AS params,
                   value->>'enabled' AS enabled, value->>'source' AS source,
                   value->>'spec_version' AS spec_version FROM json_each(:schedules)) AS new"""


def _of_sets(template: str) -> str:
    return template.format(
        sets=_SETS,
        schedules=_SCHEDULES,
        grace=":grace",
        far=f"{{now}} + {CENTURY}",
        columns=SCHEDULE_COLUMNS,
        now="{now}",
    )


SAVE_SCHEDULES = _of_sets(schedule_sets.SAVE_ANY)
TAKE_OVER_SCHEDULES = _of_sets(schedule_sets.TAKE_OVER)
UNAPPLIED_SCHEDULES = _of_sets(schedule_sets.UNAPPLIED)
APPLY_SCHEDULES = tuple(map(_of_sets, schedule_sets.APPLY))
FORGET_WITHDRAWAL = schedule_sets.FORGET_WITHDRAWAL

FIND_SCHEDULE = f"SELECT {SCHEDULE_COLUMNS} FROM cron_jobs WHERE id = :id"
LIST_SCHEDULES = f"SELECT {SCHEDULE_COLUMNS} FROM cron_jobs ORDER BY job_name, name"

ENABLE_SCHEDULE = schedule_changes.ENABLE
ADD_SCHEDULE = schedule_changes.ADD
CHANGE_SCHEDULE = schedule_changes.CHANGE
REMOVE_SCHEDULE = schedule_changes.REMOVE
AUDIT_ADD_SCHEDULE = schedule_changes.AUDIT_ADD
AUDIT_ENABLE_SCHEDULE = schedule_changes.AUDIT_ENABLE
AUDIT_CHANGE_SCHEDULE = schedule_changes.AUDIT_CHANGE

DUE_SCHEDULES = f"""
SELECT {SCHEDULE_COLUMNS} FROM cron_jobs
 WHERE {DUE_SCHEDULE} AND job_name IN (SELECT value FROM json_each(:job_names))
 ORDER BY job_name, name
"""

NOW = "SELECT {now} AS now"

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

FIRED = """
UPDATE cron_jobs
   SET next_run_at = CASE WHEN cron_expression = :cron_expression AND timezone = :timezone THEN :next_run_at
                     ELSE next_run_at END,
       last_job_id = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot THEN last_job_id
                     ELSE COALESCE((SELECT max(id) FROM jobs
                                     WHERE id IN (SELECT value->>'id' FROM json_each(:jobs)
                                                   WHERE last_run_at IS NULL
                                                      OR last_run_at < value->>'scheduled_for')), last_job_id) END,
       last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot THEN last_run_at ELSE :last_slot END,
       updated_at = {now}
 WHERE id = :schedule_id AND enabled
"""
