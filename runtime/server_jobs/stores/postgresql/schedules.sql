-- Declare and fire schedules.

-- fragment: sets
-- parameters: sets
-- The declared sets of schedules: job, fingerprint, and whether the set has schedules.
json_to_recordset(CAST(:sets AS json)) AS sets (
       job_name text, fingerprint text, has_schedules integer)

-- fragment: schedules
-- parameters: schedules
-- The schedules of a call.
json_to_recordset(CAST(:schedules AS json)) AS new (
       id text, job_name text, name text, cron_expression text, timezone text, misfire text,
       misfire_limit integer, params text, enabled boolean, source text, spec_version integer)

-- fragment: grace
-- parameters: grace
-- The time for which the current set of another release stays, after a worker declared it last.
CAST(:grace AS bigint) * interval '1 millisecond'

-- fragment: century
-- parameters: none
-- The time until rows of `job_starts` expire that must never be deleted.
interval '100 years'

-- fragment: due_schedule
-- parameters: none
-- A schedule with a due slot, or with an unknown next slot.
enabled AND (next_run_at IS NULL OR next_run_at <= {now})

-- name: DUE_SCHEDULES
-- parameters: job_names
-- writes: no, repeatable: yes
-- Return the due schedules of these jobs.
SELECT {schedule_columns} FROM cron_jobs
 WHERE {due_schedule} AND job_name = ANY(ARRAY(SELECT json_array_elements_text(CAST(:job_names AS json))))
 ORDER BY job_name, name;

-- each: slot_columns
-- columns: given
-- The columns of the job of a slot, except for its times.
{column} {type}

-- fragment: slots
-- parameters: jobs
-- The jobs of slots.
json_to_recordset(CAST(:jobs AS json)) AS new (
       {slot_columns},
       scheduled_for bigint, delay bigint, expires_after bigint, gives_way integer)

-- fragment: slot
-- parameters: none
-- The time of the slot of a job.
timestamptz 'epoch' + new.scheduled_for / 1000 * interval '1 second'
 + new.scheduled_for % 1000 * interval '1 millisecond'

-- fragment: last_slot
-- parameters: last_slot
-- The last slot that has fired.
timestamptz 'epoch' + CAST(:last_slot AS bigint) / 1000 * interval '1 second'
 + CAST(:last_slot AS bigint) % 1000 * interval '1 millisecond'

-- name: FIRED
-- parameters: schedule_id, cron_expression, timezone, next_run_at, last_slot
-- writes: yes, repeatable: no
-- Record that slots have fired. Follows FIRE in the same transaction.
UPDATE cron_jobs
   SET next_run_at = CASE WHEN cron_expression = :cron_expression AND timezone = :timezone
                     THEN timestamptz 'epoch' + CAST(:next_run_at AS bigint) / 1000 * interval '1 second'
                          + CAST(:next_run_at AS bigint) % 1000 * interval '1 millisecond'
                     ELSE next_run_at END,
       last_job_id = CASE WHEN CAST(:last_slot AS bigint) IS NULL OR last_run_at >= {last_slot} THEN last_job_id
                     ELSE COALESCE((SELECT max(jobs.id) FROM jobs
                                     WHERE id = ANY(ARRAY(SELECT new.id FROM {slots}
                                                           WHERE last_run_at IS NULL
                                                              OR last_run_at < {slot}))),
                                   last_job_id) END,
       last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= {last_slot} THEN last_run_at
                     ELSE {last_slot} END,
       updated_at = {now}
 WHERE id = :schedule_id AND enabled;
