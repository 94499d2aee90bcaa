-- Delete finished jobs past their retention, end batches and cancel late jobs.

-- fragment: is_expired
-- parameters: rules
-- A finished job that is older than the age of its rule in `rules`.
NOT {parked}
   AND (jobs.completed_at < {now} - CAST(CAST(:rules AS jsonb)->>(jobs.status || ' *') AS bigint)
                                    * interval '1 millisecond'
        OR jobs.completed_at < {now} - CAST(CAST(:rules AS jsonb)->>(jobs.status || ' ' || jobs.job_name) AS bigint)
                                       * interval '1 millisecond')

-- fragment: prunable
-- parameters: ids, after, limit
-- The jobs of a step, or the given ones, that can be deleted.
id = ANY(ARRAY(SELECT id FROM (
    SELECT id FROM jobs WHERE CAST(:ids AS json) IS NULL AND id > :after ORDER BY id LIMIT :limit) AS step
    UNION ALL SELECT json_array_elements_text(CAST(:ids AS json)))) AND {is_expired}
   AND {matches}

-- fragment: recent
-- parameters: shortest
-- The beginning of the shortest age of the rules.
{now} - CAST(:shortest AS bigint) * interval '1 millisecond'

-- fragment: all_recent
-- parameters: none
-- Whether the jobs of a step were all created within the shortest age of the rules. The scan ends there: later ids are
-- newer still. The ids must be recent too, because jobs of missed and backfilled slots have the old ids of their slots.
(bool_and(created_at >= {recent})
 AND replace(left(max(id), 13), '-', '') COLLATE "C"
     >= lpad(to_hex(CAST(floor(extract(epoch FROM {recent}) * 1000) AS bigint)), 12, '0'))

-- name: PRUNE_RANGE
-- parameters: after, limit
-- writes: no, repeatable: yes
-- Return the last id of a step, the number of its jobs, and whether the scan ends there.
SELECT max(id) AS last, count(*) AS count, {all_recent} AS all_recent
  FROM (SELECT id, created_at FROM jobs WHERE id > :after ORDER BY id LIMIT :limit) AS looked_at;

-- name: PRUNABLE
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs that PRUNE would delete.
SELECT id FROM jobs WHERE {prunable};

-- fragment: forgotten
-- parameters: none
-- Deletes the attempts of deleted jobs.
forgotten AS (DELETE FROM job_attempts WHERE job_id = ANY(ARRAY(SELECT id FROM deleted)))

-- name: PRUNE
-- parameters: none
-- writes: yes, repeatable: no
-- Delete the expired jobs of a step, and their attempts.
WITH deleted AS (DELETE FROM jobs WHERE {prunable} RETURNING id),
{forgotten}
SELECT id FROM deleted;

-- none: PRUNE_ATTEMPTS
-- PRUNE deletes them.

-- name: PRUNE_MOVE
-- parameters: limit
-- writes: yes, repeatable: no
-- Move the cursor of pruners that run one step and exit past a step without jobs to delete. It stays before a step with
-- some. The cursor is a row among the starts: no job has this name, and the row is never deleted. The statement reads
-- each row of the step once. It writes nothing if the first step is the last and no job can be deleted.
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '(prune)'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, COALESCE(bool_or(is_expired), false) AS has_expired,
         count(*) < CAST(:limit AS bigint) OR {all_recent} AS is_last
    FROM (SELECT id, created_at, {is_expired} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT CAST(:limit AS bigint)) AS looked_at)
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(prune)', CASE WHEN has_expired THEN '(prune) found' ELSE '(prune)' END,
       CASE WHEN has_expired THEN after WHEN is_last THEN '' ELSE last END,
       {now}, {now} + interval '100 years'
  FROM place, step WHERE has_expired OR after <> '' OR NOT is_last
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '(prune) found' AS has_expired;

-- fragment: ended
-- parameters: batch_ids
-- The completion jobs of batches without unfinished jobs. Not
-- EXISTS, for which the planner might read all jobs.
SELECT jobs.id FROM jobs
   WHERE status = 'pending' AND id = batch_id AND scheduled_for = {end_of_time}
     AND (CAST(:batch_ids AS json) IS NULL
          OR id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:batch_ids AS json)))))
     AND (SELECT one.id FROM jobs AS one WHERE one.batch_id = jobs.id AND one.status = 'pending'
             AND one.id <> jobs.id LIMIT 1) IS NULL
     AND id NOT {is_running_batch}

-- name: ENDED_BATCHES
-- parameters: none
-- writes: no, repeatable: yes
-- Return the batches that END_BATCHES would end, without a lock.
{ended};

-- name: END_BATCHES
-- parameters: none
-- writes: yes, repeatable: no
-- Make the completion jobs of ended batches due.
WITH ended AS MATERIALIZED (
  {ended} FOR UPDATE SKIP LOCKED)
UPDATE jobs SET scheduled_for = {now}, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM ended))
RETURNING id;

-- fragment: late_error
-- parameters: none
-- The error of a late job. `lifecycle.expiry_reason` has the same text.
'expired: it had to start by ' || to_char(start_before AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'

-- name: CANCEL_LATE
-- parameters: none
-- writes: yes, repeatable: no
-- Cancel pending jobs that had to start by now, the earliest first. A locked job is being claimed or changed, and is
-- left alone.
WITH late AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {now}
   ORDER BY start_before LIMIT 1000 FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = 'cancelled', error = {late_error}, error_class = NULL,
       completed_at = {now}, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM late))
RETURNING id, job_name;

-- fragment: has_key
-- parameters: unique_keys
-- Jobs with these unique keys.
unique_key = ANY(ARRAY(SELECT json_array_elements_text(CAST(:unique_keys AS json)))) AND unique_key IS NOT NULL

-- name: CANCEL_LATE_OWNERS
-- parameters: none
-- writes: yes, repeatable: no, waits: yes
-- Cancel late jobs with these unique keys, so that new jobs can have them. Rows are locked in the order of their ids.
WITH late AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE {has_key} AND {owns_key} AND {is_late} AND {bounded}
   ORDER BY id FOR UPDATE)
UPDATE jobs
   SET status = 'cancelled', error = {late_error}, error_class = NULL,
       completed_at = {now}, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM late))
RETURNING id, job_name;
