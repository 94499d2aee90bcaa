-- Declare the schedules of the registries of workers.
--
-- Rows of `job_starts` record the current set of schedules of a job, like the cursor of the pruner. No job has these
-- names, and the rows are never deleted:
--
--   id                          job_name         rate_key
--   (schedules) JOB             (schedules)      the fingerprint of the current set; started_at: when a worker had it
--   (schedules) JOB FINGERPRINT (schedules) JOB  `applied` if the rows of cron_jobs match this known set
--   (schedule) ID               (schedule)       `declared`, or `withdrawn` if a worker has disabled the schedule

-- fragment: schedule_columns
-- parameters: none
-- The fields of `ScheduleRecord`.
id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled, last_run_at, next_run_at,
last_job_id, source, spec_version

-- fragment: current_sets
-- parameters: none
-- The sets in `sets` that are the current ones of their jobs.
{sets} JOIN job_starts AS current
    ON current.id = '(schedules) ' || sets.job_name AND current.rate_key = sets.fingerprint

-- fragment: ours
-- parameters: none
-- The jobs whose sets in `sets` are the current ones.
(SELECT sets.job_name FROM {current_sets})

-- fragment: undeclared
-- parameters: none
-- Enabled schedules that the current sets lack.
enabled AND source = 'declared' AND job_name IN {ours}
   AND id NOT IN (SELECT id FROM {schedules})

-- fragment: is_withdrawn
-- parameters: none
-- Whether a worker has disabled the schedule, because its set lacked it.
EXISTS (SELECT 1 FROM job_starts
               WHERE job_starts.id = '(schedule) ' || cron_jobs.id AND job_starts.rate_key = 'withdrawn')

-- name: TAKE_OVER_SCHEDULES
-- parameters: none
-- writes: yes, repeatable: no
-- Make sets current: an unknown set at once, a known one only if no worker has declared the current one lately. So
-- two releases that run side by side do not undo each other's schedules.
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(schedules) ' || job_name, '(schedules)', fingerprint, {now}, {now} + {century}
  FROM {sets} WHERE has_schedules = 1 OR job_name IN (SELECT job_name FROM cron_jobs)
 ORDER BY job_name
    ON CONFLICT (id) DO UPDATE SET rate_key = excluded.rate_key, started_at = excluded.started_at
 WHERE job_starts.rate_key = excluded.rate_key OR job_starts.started_at < excluded.started_at - {grace}
    OR NOT EXISTS (SELECT 1 FROM job_starts AS known WHERE known.id = excluded.id || ' ' || excluded.rate_key);

-- name: UNAPPLIED_SCHEDULES
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs whose current set is not applied yet.
SELECT sets.job_name FROM {current_sets}
 WHERE NOT EXISTS (SELECT 1 FROM job_starts AS known
                    WHERE known.id = current.id || ' ' || current.rate_key AND known.rate_key = 'applied');

-- name: MARK_WITHDRAWN
-- parameters: none
-- writes: yes, repeatable: no
-- First of the statements that apply the current sets, in this order: note which schedules they lack.
UPDATE job_starts SET rate_key = 'withdrawn'
 WHERE rate_key = 'declared' AND id IN (SELECT '(schedule) ' || id FROM cron_jobs WHERE {undeclared});

-- name: WITHDRAW
-- parameters: none
-- writes: yes, repeatable: no
-- Disable the schedules that the current sets lack, and return them.
UPDATE cron_jobs SET enabled = false, next_run_at = NULL, updated_at = {now}
 WHERE {undeclared} AND {is_withdrawn}
RETURNING {schedule_columns};

-- name: SAVE_DECLARED
-- parameters: none
-- writes: yes, repeatable: no
-- Store the schedules of the current sets. A schedule that a worker disabled before is enabled again; one that a
-- person paused stays paused.
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
                       source, spec_version, created_at, updated_at)
SELECT id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
       source, spec_version, {now}, {now}
  FROM {schedules} WHERE job_name IN {ours}
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET job_name = excluded.job_name, name = excluded.name, params = excluded.params,
       cron_expression = excluded.cron_expression, timezone = excluded.timezone, misfire = excluded.misfire,
       misfire_limit = excluded.misfire_limit, source = excluded.source, spec_version = excluded.spec_version,
       enabled = cron_jobs.enabled OR {is_withdrawn},
       next_run_at = CASE WHEN (cron_jobs.cron_expression, cron_jobs.timezone, cron_jobs.misfire)
                             = (excluded.cron_expression, excluded.timezone, excluded.misfire)
                           AND COALESCE(cron_jobs.misfire_limit, 0) = COALESCE(excluded.misfire_limit, 0)
                     THEN cron_jobs.next_run_at END,
       updated_at = {now};

-- name: MARK_DECLARED
-- parameters: none
-- writes: yes, repeatable: no
-- Note that the current sets declare these schedules.
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(schedule) ' || id, '(schedule)', 'declared', {now}, {now} + {century}
  FROM {schedules} WHERE job_name IN {ours}
 ORDER BY id
    ON CONFLICT (id) DO UPDATE SET rate_key = 'declared';

-- name: MARK_SUPERSEDED
-- parameters: none
-- writes: yes, repeatable: no
-- Note that earlier sets are no longer applied.
UPDATE job_starts SET rate_key = ''
 WHERE rate_key = 'applied' AND job_name IN (SELECT current.id FROM {current_sets})
   AND id NOT IN (SELECT current.id || ' ' || current.rate_key FROM {current_sets});

-- name: MARK_APPLIED
-- parameters: none
-- writes: yes, repeatable: no
-- Note that the current sets are applied.
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT current.id || ' ' || current.rate_key, current.id, 'applied', {now}, {now} + {century}
  FROM {current_sets} WHERE true
 ORDER BY current.id
    ON CONFLICT (id) DO UPDATE SET rate_key = 'applied';

-- name: FORGET_WITHDRAWAL
-- parameters: id
-- writes: yes, repeatable: yes
-- A person has paused or resumed the schedule: no worker enables it again.
DELETE FROM job_starts WHERE id = '(schedule) ' || :id AND rate_key = 'withdrawn';
