-- Store new jobs, or put them in the place of unfinished ones. Keys are sorted, so that two batches do not deadlock.

-- fragment: due_at
-- parameters: scheduled_for, delay
-- When new jobs are due.
COALESCE(timestamptz 'epoch' + CAST(:scheduled_for AS bigint) / 1000 * interval '1 second'
                 + CAST(:scheduled_for AS bigint) % 1000 * interval '1 millisecond',
                {now} + CAST(:delay AS bigint) * interval '1 millisecond')

-- fragment: starts_before
-- parameters: expires_after
-- When new jobs are too late to start. NULL: never.
{due_at} + CAST(:expires_after AS bigint) * interval '1 millisecond'

-- each: given_values
-- columns: given
-- The values of a new job, except for its times.
CAST(:{column} AS {type})

-- each: shared_values
-- columns: shared
-- Those that all jobs of one call share.
CAST(:{column} AS {type})

-- each: slot_values
-- columns: given
-- The values of the job of a slot.
new.{column}

-- fragment: insert_many
-- parameters: ids, params, unique_keys, concurrency_keys, rate_keys
-- Store jobs that differ only in params and keys, as jobs of one call usually do. Each of these is a list.
INSERT INTO jobs ({new_columns})
SELECT new.id, new.params, new.unique_key, new.concurrency_key, new.rate_key,
       {shared_values},
       {due_at},
       {starts_before}, 'pending', {now}, {now}
  FROM unnest(CAST(:ids AS text[]), CAST(:params AS text[]), CAST(:unique_keys AS text[]),
              CAST(:concurrency_keys AS text[]), CAST(:rate_keys AS text[]))
       AS new (id, params, unique_key, concurrency_key, rate_key)

-- name: INSERT
-- parameters: none
-- writes: yes, repeatable: no
-- Store jobs of one call, and return the ids of the stored ones. A job whose unique key has an owner is not stored.
{insert_many}
 WHERE {bounded}
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: INSERT_NEW
-- parameters: none
-- writes: yes, repeatable: no
-- Like INSERT, for jobs without unique keys whose ids are new. Fails if one of the ids is stored. The search for
-- conflicts and the returned ids would cost a fifth of the statement.
{insert_many}
 WHERE {bounded};

-- none: PACKED_INSERT
-- Fetching a row is fast.

-- none: PACKED_INSERTED
-- Fetching a row is fast.

-- fragment: insert_one
-- parameters: none
-- Store one job.
INSERT INTO jobs ({new_columns})
SELECT {given_values},
       {due_at},
       {starts_before}, 'pending', {now}, {now}

-- name: INSERT_ONE
-- parameters: none
-- writes: yes, repeatable: no
-- Like INSERT, for one job, the usual case.
{insert_one}
 WHERE {bounded}
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: KEY_OWNERS
-- parameters: ids
-- writes: no, repeatable: yes
-- Return the unfinished jobs with these unique keys, and the stored jobs among these ids without a key. A late job
-- gives its key up to a new one.
SELECT unique_key, id FROM jobs
 WHERE {has_key} AND {owns_key} AND {is_late} IS NOT TRUE
UNION ALL
SELECT NULL, id FROM jobs WHERE id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))));

-- name: REPLACED_JOBS
-- parameters: none
-- writes: no, repeatable: yes
-- Return the running jobs that gave up these keys.
SELECT unique_key, id FROM jobs WHERE {has_key} AND {is_replaced};

-- name: START
-- parameters: id, unique_key, expires_after, batch
-- writes: yes, repeatable: no
-- Store a job that runs at once, unless a running job gave up its unique key.
INSERT INTO jobs ({new_columns}, attempt_count, fencing_token, worker_started_at, worker_expires_at)
SELECT {given_values},
       {now},
       {now} + CAST(:expires_after AS bigint) * interval '1 millisecond', 'running', {now}, {now}, 1,
       CAST(:batch AS text) || :id, {now}, {now} + {lease}
 WHERE {bounded}
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = CAST(:unique_key AS text) AND {is_replaced})
    ON CONFLICT DO NOTHING
RETURNING {claim_columns};

-- name: SUPERSEDE
-- parameters: keys
-- writes: yes, repeatable: no, waits: yes
-- Take the unique keys of running jobs, before the new jobs are stored. `keys` has the id of the new job by unique key.
-- A running job that settles first keeps its key. Rows are locked in the order of their ids, as everywhere.
WITH keys AS MATERIALIZED (SELECT CAST(:keys AS jsonb) AS by_key),
owner AS MATERIALIZED (
  SELECT id, unique_key FROM jobs
   WHERE unique_key = ANY(ARRAY(SELECT jsonb_object_keys(by_key) FROM keys)) AND unique_key IS NOT NULL
     AND {owns_key} AND status <> 'pending' AND {bounded}
   ORDER BY id FOR UPDATE)
UPDATE jobs SET replaced_by = keys.by_key ->> jobs.unique_key, updated_at = {now}
  FROM keys
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM owner))
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = keys.by_key ->> jobs.unique_key)
RETURNING jobs.id;

-- fragment: or_replace
-- parameters: none
-- An unfinished job with the unique key takes the values of the new one.
ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND {owns_key} DO UPDATE
   {into_pending}
RETURNING jobs.id, jobs.unique_key

-- fragment: reschedules
-- parameters: reschedules
-- 1 if a replaced job is due when the new one would be.
CAST(:reschedules AS integer)

-- name: REPLACE
-- parameters: none
-- writes: yes, repeatable: no, waits: yes
-- Like INSERT, in the place of pending jobs. Skips stored ids: one statement has one place for conflicts.
{insert_many}
 WHERE NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.id) AND {bounded}
    {or_replace};

-- name: REPLACE_ONE
-- parameters: id
-- writes: yes, repeatable: no, waits: yes
-- Like INSERT_ONE, in the place of a pending job.
{insert_one}
 WHERE NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = CAST(:id AS text)) AND {bounded}
    {or_replace};

-- name: AUDIT_REPLACE
-- parameters: audit_id, actor, keys
-- writes: yes, repeatable: no
-- Record the pending jobs that new ones changed, after they are stored. `keys` as for SUPERSEDE.
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT CAST(:audit_id AS text) || '-' || id, {now}, :actor, 'replace', id, job_name,
       'new params, priority ' || priority
  FROM jobs JOIN jsonb_each_text(CAST(:keys AS jsonb)) AS new ON unique_key = new.key
 WHERE unique_key IS NOT NULL AND {owns_key} AND status = 'pending' AND (start_before < {now}) IS NOT TRUE
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value);

-- fragment: slot_due_at
-- parameters: none
-- When the job of a slot is due.
COALESCE({slot}, {now} + new.delay * interval '1 millisecond')

-- fragment: slot_starts_before
-- parameters: none
-- When the job of a slot is too late to start.
{slot_due_at} + new.expires_after * interval '1 millisecond'

-- fragment: is_over
-- parameters: none
-- A job of a slot that is late already and gives way to the job of a later slot. It is stored as cancelled.
new.gives_way = 1 AND {slot_starts_before} < {now}

-- name: FIRE
-- parameters: schedule_id
-- writes: yes, repeatable: no
-- Store the jobs of slots. A slot makes a job only if it is newer than every fired slot, so that it stays fired after
-- its job is deleted, and if no job has its id. The schedule is locked first and then read again: if two schedulers
-- fire at once, the second one sees the slots that the first one fired.
WITH schedule AS MATERIALIZED (
  SELECT last_run_at FROM cron_jobs WHERE id = :schedule_id AND enabled FOR UPDATE)
INSERT INTO jobs ({new_columns}, error, completed_at)
SELECT {slot_values},
       {slot_due_at}, {slot_starts_before},
       CASE WHEN {is_over} THEN 'cancelled' ELSE 'pending' END, {now}, {now},
       CASE WHEN {is_over} THEN 'expired: it had to start by '
            || to_char(({slot_starts_before}) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' END,
       CASE WHEN {is_over} THEN {now} END
  FROM {slots} CROSS JOIN schedule
 WHERE (schedule.last_run_at IS NULL OR schedule.last_run_at < {slot}) AND {bounded}
   AND (new.gives_way IS NULL OR NOT EXISTS (
        SELECT 1 FROM jobs AS owner WHERE owner.unique_key = new.unique_key
           AND owner.status IN ('pending', 'running') AND owner.replaced_by IS NULL))
 ORDER BY new.unique_key, new.id
    ON CONFLICT DO NOTHING
RETURNING id;
