-- Delete finished jobs past their retention, end batches and cancel late jobs.

-- fragment: is_expired
-- parameters: rules
-- A finished job that is older than the age of its rule in `rules`. Looks the rule up instead of joining all rules,
-- because some databases count the rows that a statement reads. A quoted JSON key cannot contain quotes, which no job
-- name has.
NOT {parked}
   AND (jobs.completed_at < {now} - (:rules->>(jobs.status || ' *'))
        OR CASE WHEN instr(jobs.job_name, '"') = 0
                THEN jobs.completed_at < {now} - (:rules->>(jobs.status || ' ' || jobs.job_name)) END)

-- fragment: prunable
-- parameters: ids, after, limit
-- The jobs of a step, or the given ones, that can be deleted.
id IN (SELECT id FROM (SELECT id FROM jobs WHERE :ids IS NULL AND id > :after ORDER BY id LIMIT :limit)
    UNION ALL SELECT value FROM json_each(:ids)) AND {is_expired}
   AND {matches}

-- fragment: all_recent
-- parameters: shortest
-- Whether the jobs of a step were all created within the shortest age of the rules. The scan ends there: later ids are
-- newer still. The ids must be recent too, because jobs of missed and backfilled slots have the old ids of their slots.
(min(created_at >= {now} - :shortest)
 AND max(id) >= printf('%08x-%04x', ({now} - :shortest) >> 16, ({now} - :shortest) & 65535))

-- name: PRUNE_RANGE
-- parameters: after, limit
-- writes: no, repeatable: yes
-- Return the last id of a step, the number of its jobs, and whether the scan ends there.
SELECT max(id) AS last, count(*) AS count, {all_recent} AS all_recent
  FROM (SELECT id, created_at FROM jobs WHERE id > :after ORDER BY id LIMIT :limit);

-- name: PRUNABLE
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs that PRUNE would delete.
SELECT id FROM jobs WHERE {prunable};

-- name: PRUNE
-- parameters: none
-- writes: yes, repeatable: no
-- Delete the expired jobs of a step.
DELETE FROM jobs WHERE {prunable} RETURNING id;

-- name: PRUNE_ATTEMPTS
-- parameters: ids, after, limit
-- writes: yes, repeatable: no
-- Delete attempts in the range of a step, or of the given jobs, that have no job. Follows PRUNE in the same
-- transaction. It also finds attempts of jobs that another program deleted.
DELETE FROM job_attempts
 WHERE job_id IN (SELECT job_id FROM job_attempts
                   WHERE :ids IS NULL AND job_id > :after
                     AND job_id <= COALESCE((SELECT id FROM jobs WHERE id > :after
                                              ORDER BY id LIMIT 1 OFFSET :limit - 1), job_id)
                   UNION ALL SELECT value FROM json_each(:ids))
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_attempts.job_id);

-- name: PRUNE_MOVE
-- parameters: limit
-- writes: yes, repeatable: no
-- Move the cursor of pruners that run one step and exit past a step without jobs to delete. It stays before a step with
-- some. The cursor is a row among the starts: no job has this name, and the row is never deleted. The statement reads
-- each row of the step once. It writes nothing if the first step is the last and no job can be deleted.
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '(prune)'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, COALESCE(max(is_expired), 0) AS has_expired,
         count(*) < :limit OR {all_recent} AS is_last
    FROM (SELECT id, created_at, {is_expired} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT :limit))
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
-- It expires after 100 years.
SELECT '(prune)', CASE WHEN has_expired THEN '(prune) found' ELSE '(prune)' END,
       CASE WHEN has_expired THEN after WHEN is_last THEN '' ELSE last END, {now}, {now} + 3153600000000
  FROM place, step WHERE has_expired OR after <> '' OR NOT is_last
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '(prune) found' AS has_expired;

-- fragment: ended
-- parameters: batch_ids
-- The completion jobs of batches without unfinished jobs.
status = 'pending' AND id = batch_id AND scheduled_for = {end_of_time}
   AND (:batch_ids IS NULL OR id IN (SELECT value FROM json_each(:batch_ids)))
   AND (SELECT one.id FROM jobs AS one INDEXED BY jobs_batch WHERE one.batch_id = jobs.id
           AND one.status = 'pending' AND one.status <> 'running' AND one.id <> jobs.id LIMIT 1) IS NULL
   AND id NOT {is_running_batch}

-- name: ENDED_BATCHES
-- parameters: none
-- writes: no, repeatable: yes
-- Return the batches that END_BATCHES would end, without a lock.
SELECT id FROM jobs INDEXED BY jobs_completion WHERE {ended};

-- name: END_BATCHES
-- parameters: none
-- writes: yes, repeatable: no
-- Make the completion jobs of ended batches due.
UPDATE jobs INDEXED BY jobs_completion SET scheduled_for = {now}, updated_at = {now}
 WHERE {ended}
RETURNING id;

-- fragment: late_error
-- parameters: none
-- The error of a late job. `lifecycle.expiry_reason` has the same text.
'expired: it had to start by ' || datetime(start_before / 1000, 'unixepoch') || ' UTC'

-- name: CANCEL_LATE
-- parameters: none
-- writes: yes, repeatable: no
-- Cancel pending jobs that had to start by now, the earliest first.
UPDATE jobs
   SET status = 'cancelled', error = {late_error}, error_class = NULL,
       completed_at = {now}, updated_at = {now}
 WHERE id IN (
 SELECT id FROM jobs INDEXED BY jobs_start_before
  WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {now}
  ORDER BY start_before LIMIT 1000)
RETURNING id, job_name;

-- name: CANCEL_LATE_OWNERS
-- parameters: unique_keys
-- writes: yes, repeatable: no, waits: yes
-- Cancel late jobs with these unique keys, so that new jobs can have them.
UPDATE jobs
   SET status = 'cancelled', error = {late_error}, error_class = NULL,
       completed_at = {now}, updated_at = {now}
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND {owns_key} AND {is_late}
RETURNING id, job_name;
