-- Claim jobs without limits, and find due jobs of both kinds. The rules, words, parameters and examples:
-- docs/explanation/claim.md.
--
-- A group has the pending jobs of one name, version, queue and priority. In its index they are adjacent, most urgent
-- first. A claim finds its groups with one search of the index each, so it skips any number of jobs of other names,
-- versions and queues. Then it merges the heads of its groups.
--
-- A statement names its index, because SQLite might choose another one and sort all pending jobs. CROSS JOIN keeps the
-- written order of the tables. `place` is the group, or the row of the merge, whose next jobs are searched.

-- fragment: startable
-- parameters: none
-- Whether the state machine allows a claim of this pending job. It waits for a running job that it replaces.
attempt_count < max_attempts AND (start_before IS NULL OR start_before >= {now})
         AND (jobs.unique_key IS NULL OR NOT EXISTS (
              SELECT 1 FROM jobs AS replaced INDEXED BY jobs_replaced
               WHERE replaced.status = 'running' AND replaced.replaced_by IS NOT NULL
                 AND replaced.unique_key = jobs.unique_key))

-- fragment: of_unlimited_group
-- parameters: none
-- The jobs without limits of the group of `place` that may start.
status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = place.job_name
         AND jobs.spec_version = place.spec_version AND jobs.queue = place.queue AND jobs.priority = place.priority
         AND {startable}

-- fragment: unlimited_groups
-- parameters: queues
-- The groups of jobs without limits of `known_job`, which the statement states. `groups` is how many there are.
-- Without asked queues: the queues in which these jobs wait. Each search finds the next queue behind the last one.
any_queue (job_name, spec_version, queue) AS (
  SELECT job_name, spec_version,
         (SELECT queue FROM jobs INDEXED BY jobs_unlimited_group
           WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = known_job.job_name
             AND jobs.spec_version = known_job.spec_version
           ORDER BY queue LIMIT 1)
    FROM known_job WHERE :queues IS NULL
   UNION ALL
  SELECT job_name, spec_version,
         (SELECT queue FROM jobs INDEXED BY jobs_unlimited_group
           WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = any_queue.job_name
             AND jobs.spec_version = any_queue.spec_version AND jobs.queue > any_queue.queue
           ORDER BY queue LIMIT 1)
    FROM any_queue WHERE queue IS NOT NULL),
-- These queues, or the asked ones, without the paused ones.
open_queue AS (
  SELECT job_name, spec_version, queue FROM any_queue WHERE queue NOT IN (SELECT name FROM paused_queues)
   UNION
  SELECT job_name, spec_version, value FROM known_job CROSS JOIN json_each(:queues)
   WHERE value NOT IN (SELECT name FROM paused_queues)),
-- The priorities in each queue. Each search finds the next lower one; NULL ends the walk.
some_group (job_name, spec_version, queue, priority) AS (
  SELECT job_name, spec_version, queue,
         (SELECT priority FROM jobs INDEXED BY jobs_unlimited_group
           WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = open_queue.job_name
             AND jobs.spec_version = open_queue.spec_version AND jobs.queue = open_queue.queue
           ORDER BY priority DESC LIMIT 1)
    FROM open_queue
   UNION ALL
  SELECT job_name, spec_version, queue,
         (SELECT priority FROM jobs INDEXED BY jobs_unlimited_group
           WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = some_group.job_name
             AND jobs.spec_version = some_group.spec_version AND jobs.queue = some_group.queue
             AND priority < some_group.priority
           ORDER BY priority DESC LIMIT 1)
    FROM some_group WHERE priority IS NOT NULL),
pending_group AS MATERIALIZED (
  SELECT count(*) OVER () AS groups, job_name, spec_version, queue, priority FROM some_group WHERE priority IS NOT NULL)

-- fragment: unlimited_due
-- parameters: limit
-- The most urgent due jobs without limits of `known_job`, which the statement states. In some relatives of
-- SQLite, LIMIT knows no table.
{unlimited_groups},
-- Several groups are merged. The queue of the recursion has the next job of each group. Each step returns the most
-- urgent one, and replaces it by its successor in the group: of the same time, or of a later one.
merged (id, attempt_count, max_attempts, priority, scheduled_for, job_name, spec_version, queue) AS (
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, place.priority, jobs.scheduled_for, place.job_name,
         place.spec_version, place.queue
    FROM pending_group AS place CROSS JOIN jobs ON jobs.id = (
      SELECT jobs.id FROM jobs INDEXED BY jobs_unlimited_group
       WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}
       ORDER BY jobs.scheduled_for, jobs.id LIMIT 1)
   WHERE place.groups > 1
   UNION ALL
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, place.priority, jobs.scheduled_for, place.job_name,
         place.spec_version, place.queue
    FROM merged AS place CROSS JOIN jobs ON jobs.id = COALESCE(
      (SELECT jobs.id FROM jobs INDEXED BY jobs_unlimited_group
        WHERE {of_unlimited_group} AND jobs.scheduled_for = place.scheduled_for AND jobs.id > place.id
        ORDER BY jobs.scheduled_for, jobs.id LIMIT 1),
      (SELECT jobs.id FROM jobs INDEXED BY jobs_unlimited_group
        WHERE {of_unlimited_group} AND jobs.scheduled_for > place.scheduled_for AND jobs.scheduled_for <= {now}
        ORDER BY jobs.scheduled_for, jobs.id LIMIT 1))
   ORDER BY 4 DESC, 5, 1 LIMIT :limit)
-- A single group is read in its order.
SELECT * FROM (
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, jobs.priority, jobs.scheduled_for, jobs.job_name
    FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_unlimited_group
   WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now} AND place.groups = 1
   LIMIT :limit)
 UNION ALL
SELECT id, attempt_count, max_attempts, priority, scheduled_for, job_name FROM merged
 ORDER BY priority DESC, scheduled_for, id LIMIT :limit

-- fragment: take
-- parameters: batch, lease, worker_id
-- A claim starts an attempt under a new token and lease.
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = :batch || id,
       worker_started_at = {now}, worker_expires_at = {now} + :lease, worker_id = :worker_id, progress = 0,
       progress_message = NULL, updated_at = {now}

-- name: CLAIM
-- parameters: known, slots
-- writes: yes, repeatable: no, unflushed: yes
-- Claim the most urgent jobs without limits.
WITH due AS MATERIALIZED (
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
  {unlimited_due})
{take}
 WHERE id IN (
   -- all jobs that may wait for a slot: if the worker dies first, they have another attempt
   SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1
    UNION ALL
   -- and as many of the others as there are free slots
   SELECT id FROM (
     SELECT id FROM due WHERE attempt_count > 0 OR max_attempts = 1
      ORDER BY priority DESC, scheduled_for, id LIMIT COALESCE(:slots, -1)));

-- none: CLAIM_NEXT
-- Entries leave the index at once, so the first job of a group is always at its head.

-- name: DUE
-- parameters: known
-- writes: no, repeatable: yes
-- Whether `CLAIM` would find a job.
SELECT due FROM (
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
  {unlimited_groups}
  SELECT 1 AS due FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_unlimited_group
   WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}) LIMIT 1;

-- fragment: asked_job
-- parameters: known, queues
-- A pending job of the request that may start.
status = 'pending' AND {startable}
   AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))

-- name: CLAIM_ONE
-- parameters: id
-- writes: yes, repeatable: no
-- Claim a job by its id: before it is due, in a paused queue, and beyond its limits. It counts for `concurrency`. It
-- does not count for `rate`, because no start is recorded.
{take}
 WHERE id = :id AND {asked_job}
RETURNING {claim_columns};

-- fragment: of_batch
-- parameters: batch
-- The jobs of a claim, found by the start of their tokens in an index of all running jobs.
status = 'running' AND worker_expires_at IS NOT NULL AND substr(fencing_token, 1, 32) = :batch

-- name: CLAIMED
-- parameters: none
-- writes: no, repeatable: yes
-- The jobs of a claim, most urgent first.
SELECT {claim_columns} FROM jobs INDEXED BY jobs_lease WHERE {of_batch} ORDER BY priority DESC, scheduled_for, id;

-- each: typed_claim_columns
-- columns: claim
-- The columns of a claim, which other programs may have filled with values of any type.
CAST({column} AS {type})

-- name: PACKED_CLAIMED
-- parameters: none
-- writes: no, repeatable: yes
-- The same as one text, for databases where each row is slow. JSON cannot express every value of other programs.
SELECT json_group_array(json_array({typed_claim_columns})) AS packed
  FROM (SELECT {claim_columns} FROM jobs INDEXED BY jobs_lease WHERE {of_batch}
         ORDER BY priority DESC, scheduled_for, id);

-- name: RELEASE_UNANSWERED
-- parameters: batches
-- writes: yes, repeatable: yes
-- Release the jobs of claims whose answer was lost: no worker runs them.
UPDATE jobs INDEXED BY jobs_lease
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = {released_error}, error_class = {released_error_class},
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {now} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE status = 'running' AND worker_expires_at IS NOT NULL
   AND substr(fencing_token, 1, 32) IN (SELECT value FROM json_each(:batches))
RETURNING id;
