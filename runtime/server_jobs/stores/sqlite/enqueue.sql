-- Store new jobs, or put them in the place of unfinished ones.

-- fragment: due_at
-- parameters: scheduled_for, delay
-- When new jobs are due.
COALESCE(:scheduled_for, {now} + :delay)

-- fragment: starts_before
-- parameters: expires_after
-- When new jobs are too late to start. NULL: never.
{due_at} + :expires_after

-- each: given_values
-- columns: given
-- The values of a new job, except for its times.
:{column}

-- each: shared_values
-- columns: shared
-- Those that all jobs of one call share.
:{column}

-- each: slot_values
-- columns: given
-- The values of the job of a slot.
(value->>'{column}')

-- fragment: insert_many
-- parameters: jobs
-- Store jobs that differ only in params and keys, as jobs of one call usually do. `jobs` has an element per id: the
-- params, or a list of the params and the three keys.
INSERT INTO jobs ({new_columns})
SELECT key, CASE type WHEN 'array' THEN value->>0 ELSE value END, CASE type WHEN 'array' THEN value->>1 END,
       CASE type WHEN 'array' THEN value->>2 END, CASE type WHEN 'array' THEN value->>3 END,
       {shared_values},
       {due_at}, {starts_before}, 'pending', {now}, {now}
  FROM json_each(:jobs)
 WHERE true

-- name: INSERT
-- parameters: none
-- writes: yes, repeatable: no
-- Store jobs of one call, and return the ids of the stored ones. A job whose unique key has an owner is not stored.
{insert_many}
    ON CONFLICT DO NOTHING
RETURNING id;

-- none: INSERT_NEW
-- The search for conflicts costs little.

-- name: PACKED_INSERT
-- parameters: none
-- writes: yes, repeatable: no
-- Like INSERT, before PACKED_INSERTED in the same transaction.
{insert_many}
    ON CONFLICT DO NOTHING;

-- name: PACKED_INSERTED
-- parameters: none
-- writes: no, repeatable: yes
-- Return the stored jobs as one text. The rows of one statement have consecutive numbers.
SELECT json_group_array(id) AS packed FROM jobs
 WHERE rowid > last_insert_rowid() - changes() AND rowid <= last_insert_rowid();

-- fragment: insert_one
-- parameters: none
-- Store one job.
INSERT INTO jobs ({new_columns})
VALUES ({given_values},
        {due_at}, {starts_before}, 'pending', {now}, {now})

-- name: INSERT_ONE
-- parameters: none
-- writes: yes, repeatable: no
-- Like INSERT, for one job, the usual case.
{insert_one}
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: KEY_OWNERS
-- parameters: unique_keys, ids
-- writes: no, repeatable: yes
-- Return the unfinished jobs with these unique keys, and the stored jobs among these ids without a key. A late job
-- gives its key up to a new one.
SELECT unique_key, id FROM jobs
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND {owns_key} AND {is_late} IS NOT TRUE
UNION ALL
SELECT NULL, id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids));

-- name: REPLACED_JOBS
-- parameters: unique_keys
-- writes: no, repeatable: yes
-- Return the running jobs that gave up these keys.
SELECT unique_key, id FROM jobs
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND {is_replaced};

-- name: START
-- parameters: id, unique_key, expires_after, batch, lease
-- writes: yes, repeatable: no
-- Store a job that runs at once, unless a running job gave up its unique key.
INSERT INTO jobs ({new_columns}, attempt_count, fencing_token, worker_started_at, worker_expires_at)
SELECT {given_values},
       {now}, {now} + :expires_after, 'running', {now}, {now}, 1, :batch || :id, {now}, {now} + :lease
 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = :unique_key AND {is_replaced})
    ON CONFLICT DO NOTHING
RETURNING {claim_columns};

-- name: SUPERSEDE
-- parameters: keys
-- writes: yes, repeatable: no, waits: yes
-- Take the unique keys of running jobs, before the new jobs are stored. `keys` has the id of the new job by unique key.
UPDATE jobs INDEXED BY jobs_unique_key
   SET replaced_by = new.value, updated_at = {now}
  FROM json_each(:keys) AS new
 WHERE unique_key = new.key AND {owns_key} AND status <> 'pending'
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value)
RETURNING id;

-- fragment: or_replace
-- parameters: none
-- An unfinished job with the unique key takes the values of the new one.
    ON CONFLICT (id) DO NOTHING
    ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND {owns_key} DO UPDATE
   {into_pending}
RETURNING id, unique_key

-- fragment: reschedules
-- parameters: reschedules
-- 1 if a replaced job is due when the new one would be.
:reschedules

-- name: REPLACE
-- parameters: none
-- writes: yes, repeatable: no, waits: yes
-- Like INSERT, in the place of pending jobs.
{insert_many}
{or_replace};

-- name: REPLACE_ONE
-- parameters: none
-- writes: yes, repeatable: no, waits: yes
-- Like INSERT_ONE, in the place of a pending job.
{insert_one}
{or_replace};

-- name: AUDIT_REPLACE
-- parameters: audit_id, actor, keys
-- writes: yes, repeatable: no
-- Record the pending jobs that new ones changed, after they are stored. `keys` as for SUPERSEDE.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || jobs.id, {now}, :actor, 'replace', jobs.id, job_name, 'new params, priority ' || priority
  FROM json_each(:keys) AS new JOIN jobs INDEXED BY jobs_unique_key ON unique_key = new.key
 WHERE {owns_key} AND status = 'pending' AND (start_before < {now}) IS NOT TRUE
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value);

-- fragment: slot_starts_before
-- parameters: none
-- When the job of a slot is too late to start.
COALESCE(value->>'scheduled_for', {now} + (value->>'delay')) + (value->>'expires_after')

-- fragment: is_over
-- parameters: none
-- A job of a slot that is late already and gives way to the job of a later slot. It is stored as cancelled.
(value->>'gives_way') = 1 AND {slot_starts_before} < {now}

-- name: FIRE
-- parameters: jobs, schedule_id
-- writes: yes, repeatable: no
-- Store the jobs of slots. A slot makes a job only if it is newer than every fired slot, so that it stays fired after
-- its job is deleted, and if no job has its id. The id is computed from schedule and slot, so that two schedulers that
-- fire at once make one job.
INSERT INTO jobs ({new_columns}, error, completed_at)
SELECT {slot_values},
       COALESCE(value->>'scheduled_for', {now} + (value->>'delay')), {slot_starts_before},
       CASE WHEN {is_over} THEN 'cancelled' ELSE 'pending' END, {now}, {now},
       CASE WHEN {is_over} THEN 'expired: it had to start by '
            || datetime(({slot_starts_before}) / 1000, 'unixepoch') || ' UTC' END,
       CASE WHEN {is_over} THEN {now} END
  FROM json_each(:jobs)
 WHERE EXISTS (SELECT 1 FROM cron_jobs
                WHERE id = :schedule_id AND enabled
                  AND (last_run_at IS NULL OR last_run_at < value->>'scheduled_for'))
   AND ((value->>'gives_way') IS NULL OR NOT EXISTS (
        SELECT 1 FROM jobs AS owner WHERE owner.unique_key = (value->>'unique_key')
           AND owner.status IN ('pending', 'running') AND owner.replaced_by IS NULL))
    ON CONFLICT DO NOTHING
RETURNING id;
