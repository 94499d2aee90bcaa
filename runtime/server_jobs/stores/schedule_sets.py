"""The statements by which workers declare the schedules of their registries, as templates for both dialects.

Rows of `job_starts` record the current set of schedules of a job, like the cursor of the pruner. No job has these
names, and the rows are never deleted:

    id                          job_name         rate_key
    (schedules) JOB             (schedules)      the fingerprint of the current set; started_at: when a worker had it
    (schedules) JOB FINGERPRINT (schedules) JOB  `applied` if the rows of cron_jobs match this known set
    (schedule) ID               (schedule)       `declared`, or `withdrawn` if a worker has disabled the schedule

{sets}, {schedules}, {grace} and {far} stand for parts that differ between the dialects.
"""

from __future__ import annotations

_CURRENT = """{sets} JOIN job_starts AS current
    ON current.id = '(schedules) ' || sets.job_name AND current.rate_key = sets.fingerprint"""
_OURS = f"(SELECT sets.job_name FROM {_CURRENT})"
_UNDECLARED = f"enabled AND source = 'declared' AND job_name IN {_OURS} AND id NOT IN (SELECT id FROM {{schedules}})"
_IS_WITHDRAWN = """EXISTS (SELECT 1 FROM job_starts
               WHERE job_starts.id = '(schedule) ' || cron_jobs.id AND job_starts.rate_key = 'withdrawn')"""

# An unknown set becomes the current one. A known set does so only if no worker has declared the current one lately.
TAKE_OVER = """
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(schedules) ' || job_name, '(schedules)', fingerprint, {now}, {far}
  FROM {sets} WHERE has_schedules = 1 OR job_name IN (SELECT job_name FROM cron_jobs)
 ORDER BY job_name
    ON CONFLICT (id) DO UPDATE SET rate_key = excluded.rate_key, started_at = excluded.started_at
 WHERE job_starts.rate_key = excluded.rate_key OR job_starts.started_at < excluded.started_at - {grace}
    OR NOT EXISTS (SELECT 1 FROM job_starts AS known WHERE known.id = excluded.id || ' ' || excluded.rate_key)
"""
UNAPPLIED = f"""
SELECT sets.job_name FROM {_CURRENT}
 WHERE NOT EXISTS (SELECT 1 FROM job_starts AS known
                    WHERE known.id = current.id || ' ' || current.rate_key AND known.rate_key = 'applied')
"""
MARK_WITHDRAWN = f"""
UPDATE job_starts SET rate_key = 'withdrawn'
 WHERE rate_key = 'declared' AND id IN (SELECT '(schedule) ' || id FROM cron_jobs WHERE {_UNDECLARED})
"""
WITHDRAW = f"""
UPDATE cron_jobs SET enabled = false, next_run_at = NULL, updated_at = {{now}}
 WHERE {_UNDECLARED} AND {_IS_WITHDRAWN}
RETURNING {{columns}}
"""
SAVE = """
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
                       source, spec_version, created_at, updated_at)
SELECT id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
       source, spec_version, {now}, {now}
  FROM {schedules} WHERE %s
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET job_name = excluded.job_name, name = excluded.name, params = excluded.params,
       cron_expression = excluded.cron_expression, timezone = excluded.timezone, misfire = excluded.misfire,
       misfire_limit = excluded.misfire_limit, source = excluded.source, spec_version = excluded.spec_version,
       enabled = cron_jobs.enabled%s,
       next_run_at = CASE WHEN (cron_jobs.cron_expression, cron_jobs.timezone, cron_jobs.misfire)
                             = (excluded.cron_expression, excluded.timezone, excluded.misfire)
                           AND COALESCE(cron_jobs.misfire_limit, 0) = COALESCE(excluded.misfire_limit, 0)
                     THEN cron_jobs.next_run_at END,
       updated_at = {now}
"""
SAVE_ANY = SAVE % ("true", "")
SAVE_DECLARED = SAVE % (f"job_name IN {_OURS}", f" OR {_IS_WITHDRAWN}")
MARK_DECLARED = f"""
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(schedule) ' || id, '(schedule)', 'declared', {{now}}, {{far}} FROM {{schedules}} WHERE job_name IN {_OURS}
 ORDER BY id
    ON CONFLICT (id) DO UPDATE SET rate_key = 'declared'
"""
SUPERSEDE = f"""
UPDATE job_starts SET rate_key = ''
 WHERE rate_key = 'applied' AND job_name IN (SELECT current.id FROM {_CURRENT})
   AND id NOT IN (SELECT current.id || ' ' || current.rate_key FROM {_CURRENT})
"""
MARK_APPLIED = f"""
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT current.id || ' ' || current.rate_key, current.id, 'applied', {{now}}, {{far}} FROM {_CURRENT} WHERE true
 ORDER BY current.id
    ON CONFLICT (id) DO UPDATE SET rate_key = 'applied'
"""
FORGET_WITHDRAWAL = "DELETE FROM job_starts WHERE id = '(schedule) ' || :id AND rate_key = 'withdrawn'"

APPLY = (MARK_WITHDRAWN, WITHDRAW, SAVE_DECLARED, MARK_DECLARED, SUPERSEDE, MARK_APPLIED)
