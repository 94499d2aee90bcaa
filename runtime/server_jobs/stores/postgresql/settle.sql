-- Renew leases, store outcomes and expire leases.
--
-- The fence before every write under a claim is the fencing token: a stale claim has another one, and changes no row.
-- `lifecycle` in `domain` has the same moves as functions.

-- fragment: items_by_id
-- parameters: items
-- A heartbeat or outcome for each job id. A query that is evaluated once: with `items` in FROM, each updated row would
-- carry a copy of all of them.
items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id)

-- fragment: item
-- parameters: none
-- The heartbeat or outcome of this job.
(SELECT by_id FROM items) -> jobs.id

-- fragment: not_stale
-- parameters: none
-- The fence. `status || ''` matches no index, so the planner uses the primary key instead of reading all running jobs.
jobs.status || '' = 'running'
   AND jobs.fencing_token = {item} ->> 'token'

-- name: RENEW
-- parameters: none
-- writes: yes, repeatable: yes, unflushed: yes
-- Renew the leases of running jobs and store their progress. `items` has a heartbeat by job id. A row that another
-- transaction has locked is skipped, because a wait would cost the leases of all others. It is returned without
-- `cancel_requested` if the claim seems to be current.
WITH {items_by_id},
locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   ORDER BY id FOR UPDATE SKIP LOCKED),
renewed AS (
  UPDATE jobs
     SET worker_expires_at = {now} + {lease},
         progress = CAST({item} ->> 'progress' AS integer),
         progress_message = {item} ->> 'message', updated_at = {now}
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM locked)) AND {not_stale} AND {unflushed}
  RETURNING jobs.id, cancel_requested)
SELECT id, cancel_requested FROM renewed
 UNION ALL
SELECT jobs.id, CAST(NULL AS boolean) FROM jobs
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND jobs.id <> ALL(ARRAY(SELECT id FROM locked)) AND {not_stale};

-- fragment: settled_status
-- parameters: none
-- The status after an attempt. A failed attempt without a delay is the last one.
CASE {item} ->> 'kind'
     WHEN 'completed' THEN 'completed'
     WHEN 'failed' THEN CASE WHEN cancel_requested THEN 'cancelled'
                             WHEN attempt_count >= max_attempts OR {item} ->> 'delay' IS NULL
                             THEN 'failed'
                             WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END
     WHEN 'released' THEN CASE WHEN cancel_requested THEN 'cancelled' WHEN false THEN 'failed'
                               WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END
     ELSE 'cancelled' END

-- fragment: next_number
-- parameters: none
-- The number of the next attempt of the job `ended` in `job_attempts`.
COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = ended.id), 0) + 1

-- name: SETTLE
-- parameters: none
-- writes: yes, repeatable: no
-- Store outcomes, and record attempts that did not complete. `items` has an outcome by job id: one object, because a
-- join might compare each with each. Rows are locked in the order of their ids.
WITH {items_by_id},
locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items)) AND {soon}
   ORDER BY id FOR UPDATE),
settled AS (
UPDATE jobs
   SET status = {settled_status},
       result = CASE {item} ->> 'kind'
                WHEN 'completed' THEN {item} ->> 'result' ELSE jobs.result END,
       error = CASE {item} ->> 'kind'
               WHEN 'completed' THEN NULL WHEN 'released' THEN {released_error}
               ELSE {item} ->> 'error' END,
       error_class = CASE {item} ->> 'kind'
                     WHEN 'completed' THEN NULL WHEN 'released' THEN {released_error_class}
                     ELSE {item} ->> 'error_class' END,
       progress = CASE {item} ->> 'kind'
                  WHEN 'completed' THEN 100
                  ELSE COALESCE(CAST({item} ->> 'progress' AS integer), jobs.progress) END,
       progress_message = CASE WHEN {item} ->> 'progress' IS NULL THEN progress_message
                          ELSE {item} ->> 'message' END,
       attempt_count = attempt_count - CAST(({item} ->> 'kind') = 'released' AS integer),
       scheduled_for = CASE {settled_status} WHEN 'pending'
                       THEN COALESCE({now} + CAST({item} ->> 'delay' AS bigint)
                                              * interval '1 millisecond', scheduled_for)
                       ELSE scheduled_for END,
       completed_at = CASE {settled_status} WHEN 'pending' THEN NULL ELSE {now} END,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM locked)) AND {not_stale}
RETURNING jobs.id, jobs.status, jobs.attempt_count, jobs.worker_id, jobs.worker_started_at),
ended AS MATERIALIZED (
  SELECT settled.*, by_id -> settled.id AS item FROM settled, items WHERE by_id -> settled.id ->> 'ended' IS NOT NULL),
recorded AS (
  INSERT INTO job_attempts (slot, number, {attempt_columns})
  SELECT number % 100, number, {attempt_columns}
    FROM (SELECT {next_number} AS number, ended.id AS job_id,
                 attempt_count + CAST(item ->> 'kind' = 'released' AS integer) AS attempt, item ->> 'ended' AS outcome,
                 item ->> 'error' AS error, item ->> 'error_class' AS error_class, item ->> 'traceback' AS traceback,
                 worker_id, COALESCE(worker_started_at, {now}) AS started_at, {now} AS ended_at
            FROM ended) AS attempt
      {replaced_attempt})
SELECT id, status FROM settled;

-- none: SETTLE_ONE
-- A parameter may have a gigabyte.

-- name: COMPLETE
-- parameters: none
-- writes: yes, repeatable: no
-- Like SETTLE, for attempts that completed without new progress, which are nearly all. `items` has by job id one text
-- of the start of the token and the result. Nothing is locked first, because the index is read in the order of the ids.
-- If the planner chooses otherwise, one of two deadlocked batches is repeated.
WITH {items_by_id}
UPDATE jobs
   SET status = 'completed', result = right((SELECT by_id FROM items) ->> jobs.id, -32),
       error = NULL, error_class = NULL, progress = 100, completed_at = {now},
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND jobs.status || '' = 'running'
   AND jobs.fencing_token = left((SELECT by_id FROM items) ->> jobs.id, 32) || jobs.id AND {soon}
RETURNING jobs.id, jobs.status;

-- none: PACKED_COMPLETABLE
-- Fetching a row is fast.

-- none: PACKED_COMPLETE
-- Fetching a row is fast.

-- none: RECORD_ATTEMPTS
-- SETTLE records them.

-- none: ANY_OVERDUE
-- EXPIRE skips locked rows, so it locks nothing if no lease is over.

-- none: RECORD_EXPIRED
-- EXPIRE records them.

-- name: EXPIRE
-- parameters: except_for, jitter
-- writes: yes, repeatable: no
-- Make jobs whose lease expired pending again, or end them, and record their attempts. A locked job is being renewed or
-- settled, and is left alone. The limit is a constant, so that the planner prefers the index of leases for any
-- statistics of the table.
WITH overdue AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'running' AND worker_expires_at < {now}
     AND fencing_token <> ALL(ARRAY(SELECT json_array_elements_text(CAST(:except_for AS json))))
   ORDER BY worker_expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED),
expired AS (
UPDATE jobs
   SET status = {expired_status},
       scheduled_for = CASE {expired_status}
                       WHEN 'pending' THEN {now} + floor(random() * (CAST(:jitter AS bigint) + 1))
                                                     * interval '1 millisecond'
                       ELSE scheduled_for END,
       completed_at = CASE {expired_status} WHEN 'pending' THEN NULL ELSE {now} END,
       error = {expired_error},
       error_class = 'LeaseExpired', fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM overdue))
RETURNING id, job_name, queue, status, attempt_count, error, error_class, worker_id, worker_started_at),
recorded AS (
  INSERT INTO job_attempts (slot, number, {attempt_columns})
  SELECT number % 100, number, {attempt_columns}
    FROM (SELECT COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = expired.id), 0) + 1
                 AS number, id AS job_id, attempt_count AS attempt,
                 'expired' AS outcome, error, error_class, CAST(NULL AS text) AS traceback, worker_id,
                 COALESCE(worker_started_at, {now}) AS started_at, {now} AS ended_at
            FROM expired) AS attempt
      {replaced_attempt})
SELECT id, job_name, queue, status FROM expired;
