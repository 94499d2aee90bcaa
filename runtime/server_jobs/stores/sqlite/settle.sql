-- Renew leases, store outcomes and expire leases.
--
-- The fence before every write under a claim is the fencing token: a stale claim has another one, and changes no row.
-- `lifecycle` in `domain` has the same moves as functions.

-- name: RENEW
-- parameters: items, lease
-- writes: yes, repeatable: yes, unflushed: yes
-- Renew the leases of running jobs and store their progress. `items` has a heartbeat by job id.
UPDATE jobs
   SET worker_expires_at = {now} + :lease, progress = beat.progress, progress_message = beat.message,
       updated_at = {now}
  FROM (SELECT key AS id, value->>'token' AS token, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)) AS beat
 WHERE jobs.id = beat.id AND jobs.status = 'running' AND jobs.fencing_token = beat.token
RETURNING id, cancel_requested;

-- fragment: not_stale
-- parameters: none
-- The fence of an outcome.
jobs.id = outcome.id AND jobs.status = 'running' AND jobs.fencing_token = outcome.token

-- fragment: settled_status
-- parameters: none
-- The status after an attempt. A failed attempt without a delay is the last one.
CASE outcome.kind WHEN 'completed' THEN 'completed'
     WHEN 'failed' THEN CASE WHEN cancel_requested THEN 'cancelled'
                             WHEN attempt_count >= max_attempts OR outcome.delay IS NULL THEN 'failed'
                             WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END
     WHEN 'released' THEN CASE WHEN cancel_requested THEN 'cancelled' WHEN false THEN 'failed'
                               WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END
     ELSE 'cancelled' END

-- fragment: settled
-- parameters: none
-- The new values of a job after an attempt.
UPDATE jobs
   SET status = {settled_status},
       result = CASE outcome.kind WHEN 'completed' THEN outcome.result ELSE jobs.result END,
       error = CASE outcome.kind WHEN 'completed' THEN NULL WHEN 'released' THEN {released_error}
               ELSE outcome.error END,
       error_class = CASE outcome.kind WHEN 'completed' THEN NULL WHEN 'released' THEN {released_error_class}
                     ELSE outcome.error_class END,
       progress = CASE outcome.kind WHEN 'completed' THEN 100 ELSE COALESCE(outcome.progress, jobs.progress) END,
       progress_message = CASE WHEN outcome.progress IS NULL THEN progress_message ELSE outcome.message END,
       attempt_count = attempt_count - (outcome.kind = 'released'),
       scheduled_for = CASE {settled_status} WHEN 'pending' THEN COALESCE({now} + outcome.delay, scheduled_for)
                       ELSE scheduled_for END,
       completed_at = CASE {settled_status} WHEN 'pending' THEN NULL ELSE {now} END,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}

-- name: SETTLE
-- parameters: items
-- writes: yes, repeatable: no
-- Store outcomes. `items` has an outcome by job id.
{settled}
  FROM (SELECT key AS id, value->>'token' AS token, value->>'kind' AS kind, value->>'result' AS result,
               value->>'error' AS error, value->>'error_class' AS error_class, value->>'delay' AS delay,
               value->>'progress' AS progress, value->>'message' AS message
          FROM json_each(:items)) AS outcome
 WHERE {not_stale}
RETURNING id, status;

-- name: SETTLE_ONE
-- parameters: id, token, kind, result, error, error_class, delay, progress, message
-- writes: yes, repeatable: no
-- Store one outcome whose result is too long for JSON.
{settled}
  FROM (SELECT :id AS id, :token AS token, :kind AS kind, :result AS result, :error AS error,
               :error_class AS error_class, :delay AS delay, :progress AS progress, :message AS message) AS outcome
 WHERE {not_stale}
RETURNING id, status;

-- fragment: completed
-- parameters: items
-- The attempts in `items`: by job id, one text of the start of the token and the result.
(SELECT key AS id, substr(value, 1, 32) || key AS token, substr(value, 33) AS result
   FROM json_each(:items)) AS outcome

-- fragment: complete
-- parameters: none
-- Complete jobs without new progress.
UPDATE jobs
   SET status = 'completed', result = outcome.result, error = NULL, error_class = NULL, progress = 100,
       completed_at = {now}, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
  FROM {completed}
 WHERE {not_stale}

-- name: COMPLETE
-- parameters: none
-- writes: yes, repeatable: no
-- Like SETTLE, for attempts that completed without new progress, which are nearly all: half the work.
{complete}
RETURNING id, status;

-- name: PACKED_COMPLETABLE
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs that PACKED_COMPLETE will complete, as one text instead of a row for each.
SELECT json_group_array(outcome.id) AS packed FROM {completed} CROSS JOIN jobs WHERE {not_stale};

-- name: PACKED_COMPLETE
-- parameters: none
-- writes: yes, repeatable: no
-- Like COMPLETE, after PACKED_COMPLETABLE in the same transaction.
{complete};

-- fragment: next_number
-- parameters: none
-- The number of the next attempt of a job in `job_attempts`.
COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = jobs.id), 0) + 1

-- name: RECORD_ATTEMPTS
-- parameters: items
-- writes: yes, repeatable: no
-- Record attempts that did not complete, before SETTLE in the same transaction and under the same condition.
INSERT INTO job_attempts (slot, number, {attempt_columns})
SELECT number % 100, number, {attempt_columns}
  FROM (SELECT {next_number} AS number, jobs.id AS job_id, attempt_count AS attempt, outcome.ended AS outcome,
               outcome.error AS error, outcome.error_class AS error_class, outcome.traceback AS traceback,
               worker_id, COALESCE(worker_started_at, {now}) AS started_at, {now} AS ended_at
          FROM (SELECT key AS id, value->>'token' AS token, value->>'ended' AS ended, value->>'error' AS error,
                       value->>'error_class' AS error_class, value->>'traceback' AS traceback
                  FROM json_each(:items)) AS outcome CROSS JOIN jobs
         WHERE outcome.ended IS NOT NULL AND {not_stale})
 WHERE true
    {replaced_attempt};

-- fragment: overdue
-- parameters: except_for
-- Running jobs whose lease expired, except for the claims of this worker.
status = 'running' AND worker_expires_at < {now}
   AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))

-- name: ANY_OVERDUE
-- parameters: none
-- writes: no, repeatable: yes
-- Return the present if a lease is over. RECORD_EXPIRED and EXPIRE take it, so that both find the same jobs.
SELECT {now} AS now WHERE EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE {overdue});

-- name: RECORD_EXPIRED
-- parameters: none
-- writes: yes, repeatable: no
-- Record the attempts whose lease expired, before EXPIRE in the same transaction.
INSERT INTO job_attempts (slot, number, {attempt_columns})
SELECT number % 100, number, {attempt_columns}
  FROM (SELECT {next_number} AS number, jobs.id AS job_id, attempt_count AS attempt, 'expired' AS outcome,
               {expired_error} AS error, 'LeaseExpired' AS error_class, NULL AS traceback,
               worker_id, COALESCE(worker_started_at, {now}) AS started_at, {now} AS ended_at
          FROM jobs WHERE {overdue})
 WHERE true
    {replaced_attempt};

-- name: EXPIRE
-- parameters: jitter
-- writes: yes, repeatable: no
-- Make jobs whose lease expired pending again, or end them. One compare-and-swap without ids read earlier, so that a
-- lease renewed in the meantime is not touched.
UPDATE jobs
   SET status = {expired_status},
       scheduled_for = CASE {expired_status} WHEN 'pending' THEN {now} + abs(random() % (:jitter + 1))
                       ELSE scheduled_for END,
       completed_at = CASE {expired_status} WHEN 'pending' THEN NULL ELSE {now} END,
       error = {expired_error}, error_class = 'LeaseExpired',
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE {overdue}
RETURNING id, job_name, queue, status;
