-- Declare and fire schedules.

-- fragment: sets
-- parameters: sets
-- The declared sets of schedules: job, fingerprint, and whether the set has schedules.
(SELECT value->>'job_name' AS job_name, value->>'fingerprint' AS fingerprint,
                   value->>'has_schedules' AS has_schedules FROM json_each(:sets)) AS sets

-- fragment: schedules
-- parameters: schedules
-- The schedules of a call.
(SELECT value->>'id' AS id, value->>'job_name' AS job_name, value->>'name' AS name,
                   value->>'cron_expression' AS cron_expression, value->>'timezone' AS timezone,
                   value->>'misfire' AS misfire, value->>'misfire_limit' AS misfire_limit, value->>'params' AS params,
                   value->>'enabled' AS enabled, value->>'source' AS source,
                   value->>'spec_version' AS spec_version FROM json_each(:schedules)) AS new

-- fragment: grace
-- parameters: grace
-- The time for which the current set of another release stays, after a worker declared it last.
:grace

-- fragment: century
-- parameters: none
-- The time until rows of `job_starts` expire that must never be deleted.
3153600000000

-- fragment: due_schedule
-- parameters: none
-- A schedule with a due slot, or with an unknown next slot.
enabled AND (next_run_at IS NULL OR next_run_at <= {now})

-- name: DUE_SCHEDULES
-- parameters: job_names
-- writes: no, repeatable: yes
-- Return the due schedules of these jobs.
SELECT {schedule_columns} FROM cron_jobs
 WHERE {due_schedule} AND job_name IN (SELECT value FROM json_each(:job_names))
 ORDER BY job_name, name;

-- name: FIRED
-- parameters: cron_expression, timezone, next_run_at, last_slot, jobs, schedule_id
-- writes: yes, repeatable: no
-- Record that slots have fired. Follows FIRE in the same transaction.
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
 WHERE id = :schedule_id AND enabled;
