-- Add, change, enable, remove and read schedules.

-- fragment: is_added
-- parameters: id
-- A schedule that was added at run time. Declared ones belong to the code that declares them.
id = CAST(:id AS text) AND source = 'added'

-- name: ADD_SCHEDULE
-- parameters: id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, spec_version
-- writes: yes, repeatable: no
-- Add a schedule, unless one has its id.
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, spec_version,
                       source, enabled, created_at, updated_at)
VALUES (CAST(:id AS text), CAST(:job_name AS text), CAST(:name AS text), CAST(:cron_expression AS text),
        CAST(:timezone AS text), CAST(:misfire AS text), CAST(:misfire_limit AS integer), CAST(:params AS text),
        CAST(:spec_version AS integer), 'added', true, {now}, {now})
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: CHANGE_SCHEDULE
-- parameters: cron_expression, timezone, misfire, misfire_limit, params, spec_version
-- writes: yes, repeatable: no
-- Change only the given values: two callers that change different values do not undo each other. A changed rule
-- forgets the next slot.
UPDATE cron_jobs
   SET next_run_at = CASE WHEN COALESCE(CAST(:cron_expression AS text), cron_expression) = cron_expression
                           AND COALESCE(CAST(:timezone AS text), timezone) = timezone
                           AND (CAST(:misfire AS text) IS NULL OR (misfire = CAST(:misfire AS text)
                                AND COALESCE(misfire_limit, 0) = COALESCE(CAST(:misfire_limit AS integer), 0)))
                     THEN next_run_at END,
       cron_expression = COALESCE(CAST(:cron_expression AS text), cron_expression),
       timezone = COALESCE(CAST(:timezone AS text), timezone),
       misfire = COALESCE(CAST(:misfire AS text), misfire),
       misfire_limit = CASE WHEN CAST(:misfire AS text) IS NULL THEN misfire_limit
                       ELSE CAST(:misfire_limit AS integer) END,
       params = COALESCE(CAST(:params AS text), params),
       spec_version = COALESCE(CAST(:spec_version AS integer), spec_version),
       updated_at = {now}
 WHERE {is_added}
RETURNING id;

-- name: ENABLE_SCHEDULE
-- parameters: enabled, id
-- writes: yes, repeatable: no
-- Pause or resume any schedule. A resumed one starts with its next slot.
UPDATE cron_jobs
   SET enabled = CASE WHEN CAST(:enabled AS integer) = 1 THEN true ELSE false END,
       next_run_at = CASE WHEN CAST(:enabled AS integer) = 1 AND enabled THEN next_run_at END,
       updated_at = {now}
 WHERE id = CAST(:id AS text)
RETURNING id;

-- name: REMOVE_SCHEDULE
-- parameters: none
-- writes: yes, repeatable: no
-- Remove a schedule that was added at run time.
DELETE FROM cron_jobs WHERE {is_added} RETURNING id;

-- name: AUDIT_ADD_SCHEDULE
-- parameters: audit_id, actor, job_name, name, id
-- writes: yes, repeatable: no
-- Record the addition of a schedule, before it and under the same condition.
INSERT INTO job_audit (id, at, actor, action, target, job_name)
SELECT CAST(:audit_id AS text), {now}, CAST(:actor AS text), 'add',
       CAST(:job_name AS text) || '/' || CAST(:name AS text), CAST(:job_name AS text)
 WHERE NOT EXISTS (SELECT 1 FROM cron_jobs WHERE id = CAST(:id AS text));

-- name: AUDIT_CHANGE_SCHEDULE
-- parameters: audit_id, actor, action
-- writes: yes, repeatable: no
-- Record a change or a removal, before it and under the same condition.
INSERT INTO job_audit (id, at, actor, action, target, job_name)
SELECT CAST(:audit_id AS text), {now}, CAST(:actor AS text), CAST(:action AS text), job_name || '/' || name, job_name
  FROM cron_jobs WHERE {is_added};

-- name: AUDIT_ENABLE_SCHEDULE
-- parameters: audit_id, actor, action, id, enabled
-- writes: yes, repeatable: no
-- Record that a schedule is paused or resumed, before it and under the same condition.
INSERT INTO job_audit (id, at, actor, action, target, job_name)
SELECT CAST(:audit_id AS text), {now}, CAST(:actor AS text), CAST(:action AS text), job_name || '/' || name, job_name
  FROM cron_jobs WHERE id = CAST(:id AS text) AND enabled <> (CAST(:enabled AS integer) = 1);

-- name: SAVE_SCHEDULES
-- parameters: none
-- writes: yes, repeatable: yes
-- Store schedules as they are, and keep whether a stored one is enabled. A changed rule forgets the next slot.
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
                       source, spec_version, created_at, updated_at)
SELECT id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled,
       source, spec_version, {now}, {now}
  FROM {schedules} WHERE true
 ORDER BY id
    ON CONFLICT (id) DO UPDATE
   SET job_name = excluded.job_name, name = excluded.name, params = excluded.params,
       cron_expression = excluded.cron_expression, timezone = excluded.timezone, misfire = excluded.misfire,
       misfire_limit = excluded.misfire_limit, source = excluded.source, spec_version = excluded.spec_version,
       enabled = cron_jobs.enabled,
       next_run_at = CASE WHEN (cron_jobs.cron_expression, cron_jobs.timezone, cron_jobs.misfire)
                             = (excluded.cron_expression, excluded.timezone, excluded.misfire)
                           AND COALESCE(cron_jobs.misfire_limit, 0) = COALESCE(excluded.misfire_limit, 0)
                     THEN cron_jobs.next_run_at END,
       updated_at = {now};

-- name: FIND_SCHEDULE
-- parameters: id
-- writes: no, repeatable: yes
-- Return a schedule.
SELECT {schedule_columns} FROM cron_jobs WHERE id = :id;

-- name: LIST_SCHEDULES
-- parameters: none
-- writes: no, repeatable: yes
-- Return all schedules.
SELECT {schedule_columns} FROM cron_jobs ORDER BY job_name, name;
