-- Claim jobs without limits, and find due jobs of both kinds. The rules, words, parameters and examples:
-- docs/explanation/claim.md.
--
-- A group has the pending jobs of one name, version, queue and priority. In its index they are adjacent, most urgent
-- first. A claim finds its groups with one search of the index each, so it skips any number of jobs of other names,
-- versions and queues. Then it merges the heads of its groups. `place` is the group whose jobs are searched.
--
-- A statement states its names and versions as `known`, and the number of jobs as `wanted`. The planner must not know
-- that number, or it would plan each claim again. The conditions on `json_typeof` are always true. The planner assumes
-- that they are selective, which keeps its estimate below the cost at which PostgreSQL compiles a statement (JIT).

-- fragment: due_columns
-- parameters: none
-- What a claim needs to know of a due job.
jobs.id, attempt_count, max_attempts, jobs.priority, jobs.scheduled_for

-- fragment: startable
-- parameters: none
-- Whether the state machine allows a claim of this pending job. It waits for a running job that it replaces. The few
-- keys of these are read once, and only if a job with a key is reached. A search for each job would raise the estimate.
attempt_count < max_attempts AND (start_before IS NULL OR start_before >= {now})
         AND (jobs.unique_key IS NULL OR jobs.unique_key <> ALL(ARRAY(
              SELECT replaced.unique_key FROM jobs AS replaced
               WHERE replaced.status = 'running' AND replaced.replaced_by IS NOT NULL
                 AND replaced.unique_key IS NOT NULL)))

-- fragment: requested_jobs
-- parameters: known
-- The names and versions of the request.
SELECT DISTINCT value->>0 AS job_name, CAST(value->>1 AS integer) AS spec_version
  FROM json_array_elements(CAST(:known AS json)) AS known (value) WHERE json_typeof(value) = 'array'

-- fragment: of_unlimited_group
-- parameters: none
-- The jobs without limits of the group of `place` that may start. The search begins at the first job of the group, so
-- that index entries of deleted jobs are read only once.
status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = place.job_name
         AND jobs.spec_version = place.spec_version AND jobs.queue = place.queue AND jobs.priority = place.priority
         AND {startable} AND (jobs.scheduled_for, jobs.id) >= (place.scheduled_for, place.id)

-- fragment: unlimited_groups
-- parameters: queues
-- The groups of jobs without limits of `known`.
-- Where the groups start: each asked queue, or NULL for the first queue of each name.
asked AS MATERIALIZED (
  SELECT job_name, spec_version, NULL AS asked_queue FROM known WHERE (SELECT CAST(:queues AS json)) IS NULL
   UNION ALL
  SELECT DISTINCT job_name, spec_version, name.value #>> '{}' FROM known
   CROSS JOIN (SELECT value FROM json_array_elements(CAST(:queues AS json)) AS queues (value)
                WHERE json_typeof(value) = 'string') AS name
   WHERE name.value #>> '{}' NOT IN (SELECT name FROM paused_queues)),
-- The first job of each group. Each search finds the next group: of the next lower priority in the same queue, or of
-- the next queue. The other priorities of a paused queue are passed over.
head AS (
  SELECT asked.*, found.* FROM asked CROSS JOIN LATERAL (
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = asked.job_name
        AND jobs.spec_version = asked.spec_version AND asked.asked_queue IS NULL
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    UNION ALL
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = asked.job_name
        AND jobs.spec_version = asked.spec_version AND jobs.queue = asked.asked_queue
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    LIMIT 1) AS found
   UNION ALL
  SELECT head.job_name, head.spec_version, head.asked_queue, found.* FROM head CROSS JOIN LATERAL (
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = head.job_name
        AND jobs.spec_version = head.spec_version AND jobs.queue = head.queue AND priority < head.priority
        AND head.queue NOT IN (SELECT name FROM paused_queues)
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    UNION ALL
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NULL AND jobs.job_name = head.job_name
        AND jobs.spec_version = head.spec_version AND jobs.queue > head.queue AND head.asked_queue IS NULL
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    LIMIT 1) AS found),
-- The groups, numbered. `scheduled_for` and `id` belong to the first job.
pending_group AS MATERIALIZED (
  SELECT row_number() OVER () AS number, job_name, spec_version, queue, priority, scheduled_for, id
    FROM head WHERE queue NOT IN (SELECT name FROM paused_queues) AND json_typeof(to_json(priority)) = 'number')

-- fragment: unlimited_parts
-- parameters: none
-- How many of the `wanted` most urgent due jobs without limits each group has.
{unlimited_groups},
-- How many jobs of each group are read first: in total twice the wanted number.
size AS MATERIALIZED (
  SELECT count(*) AS groups, 1 + 2 * (SELECT most FROM wanted) / GREATEST(count(*), 1) AS share FROM pending_group),
shallow AS MATERIALIZED (
  SELECT place.number, found.* FROM (SELECT * FROM pending_group WHERE (SELECT groups FROM size) > 1) AS place
   CROSS JOIN LATERAL (
     SELECT {due_columns} FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}
      ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT share FROM size)) AS found),
-- The last wanted job among these. No job behind it is claimed.
bound AS MATERIALIZED (
  SELECT priority, scheduled_for FROM shallow
   ORDER BY priority DESC, scheduled_for, id OFFSET (SELECT most FROM wanted) - 1 LIMIT 1),
-- The groups whose share ends before the bound.
deep AS MATERIALIZED (
  SELECT pending_group.*, CASE WHEN pending_group.priority = bound.priority THEN bound.scheduled_for END AS until
    FROM (SELECT number, max(scheduled_for) AS last FROM shallow GROUP BY number
          HAVING count(*) >= (SELECT share FROM size)) AS cut
    JOIN pending_group USING (number) LEFT JOIN bound ON true
   WHERE bound.priority IS NULL OR pending_group.priority > bound.priority
      OR pending_group.priority = bound.priority AND last <= bound.scheduled_for),
-- These are read up to the bound. The most urgent jobs of all groups say how many each group has.
merged AS (
  SELECT number FROM (
    SELECT number, priority, scheduled_for, id FROM shallow WHERE number NOT IN (SELECT number FROM deep)
     UNION ALL
    SELECT place.number, found.priority, found.scheduled_for, found.id FROM deep AS place
     CROSS JOIN LATERAL (
       SELECT {due_columns} FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for <= LEAST({now}, place.until)
        ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT most FROM wanted)) AS found) AS candidate
   ORDER BY priority DESC, scheduled_for, id LIMIT (SELECT most FROM wanted)),
-- A single group may have all of them.
part AS MATERIALIZED (
  SELECT number, count(*) AS part FROM merged GROUP BY number
   UNION ALL
  SELECT number, (SELECT most FROM wanted) FROM pending_group WHERE (SELECT groups FROM size) = 1)

-- fragment: unlimited_due
-- parameters: none
-- The most urgent due jobs without limits, locked. If another transaction has locked some, the group returns the next.
{unlimited_parts}
SELECT * FROM (
  SELECT found.* FROM (SELECT pending_group.*, part FROM part JOIN pending_group USING (number)) AS place
   CROSS JOIN LATERAL (
     SELECT {due_columns} FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}
      ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT place.part) FOR UPDATE OF jobs SKIP LOCKED) AS found
   LIMIT (SELECT most FROM wanted)) AS due LIMIT 10000

-- fragment: take
-- parameters: batch, worker_id
-- A claim starts an attempt under a new token and lease.
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = CAST(:batch AS text) || id,
       worker_started_at = {now}, worker_expires_at = {now} + {lease}, worker_id = CAST(:worker_id AS text),
       progress = 0, progress_message = NULL, updated_at = {now}

-- fragment: chosen
-- parameters: slots
-- The due jobs that the claim takes.
chosen AS (
  -- all jobs that may wait for a slot: if the worker dies first, they have another attempt
  SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1
  UNION ALL
  -- and as many of the others as there are free slots
  (SELECT id FROM due WHERE attempt_count > 0 OR max_attempts = 1
    ORDER BY priority DESC, scheduled_for, id LIMIT CAST(:slots AS integer))),
-- Committed without waiting for the disk.
claimed AS (
  {take}
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM chosen)) AND {unflushed}
  RETURNING {claim_columns}, priority)
SELECT {claim_columns} FROM claimed ORDER BY priority DESC, scheduled_for, id

-- name: CLAIM
-- parameters: limit
-- writes: yes, repeatable: no, unflushed: yes
-- Claim the most urgent jobs without limits.
WITH due AS MATERIALIZED (
  WITH RECURSIVE wanted AS MATERIALIZED (SELECT CAST(:limit AS integer) AS most),
  known AS MATERIALIZED ({requested_jobs}),
  {unlimited_due}),
{chosen};

-- name: CLAIM_NEXT
-- parameters: after, limit
-- writes: yes, repeatable: no, unflushed: yes
-- Continue behind the job `after`, in its group. Until a vacuum, the index has entries of every job claimed from the
-- head of a group, and a claim from the head reads them again.
WITH due AS MATERIALIZED (
  SELECT found.* FROM (
    SELECT job_name, spec_version, queue, priority, scheduled_for, id FROM jobs
     WHERE id = :after AND queue NOT IN (SELECT name FROM paused_queues)) AS place
   CROSS JOIN LATERAL (
     SELECT {due_columns} FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}
      ORDER BY jobs.scheduled_for, jobs.id
      LIMIT (SELECT CAST(:limit AS integer)) FOR UPDATE OF jobs SKIP LOCKED) AS found),
{chosen};

-- fragment: unlimited_is_due
-- parameters: none
-- A row if a job without limits of `known` is due.
{unlimited_groups}
SELECT 1 AS due FROM pending_group AS place CROSS JOIN LATERAL (
  SELECT {due_columns} FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}
   ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS found
 LIMIT 1

-- name: DUE
-- parameters: none
-- writes: no, repeatable: yes
-- Whether `CLAIM` would find a job.
WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
{unlimited_is_due};

-- fragment: asked_job
-- parameters: known, queues
-- A job of the request that may start.
{startable}
   AND (job_name, spec_version) IN (
     SELECT value->>0, CAST(value->>1 AS integer) FROM json_array_elements(CAST(:known AS json)) AS known (value))
   AND (CAST(:queues AS json) IS NULL OR queue IN (SELECT json_array_elements_text(CAST(:queues AS json))))

-- name: CLAIM_ONE
-- parameters: id
-- writes: yes, repeatable: no
-- Claim a job by its id: before it is due, in a paused queue, and beyond its limits. It counts for `concurrency`. It
-- does not count for `rate`, because no start is recorded.
{take}
 WHERE id = :id AND status = 'pending' AND {asked_job}
RETURNING {claim_columns};

-- none: CLAIMED
-- The claim returns its jobs.

-- none: PACKED_CLAIMED
-- The claim returns its jobs.

-- name: RELEASE_UNANSWERED
-- parameters: batches
-- writes: yes, repeatable: yes
-- Release the jobs of claims whose answer was lost: no worker runs them.
WITH unanswered AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'running'
     AND left(fencing_token, 32) = ANY(ARRAY(SELECT json_array_elements_text(CAST(:batches AS json))))
   FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = {released_error}, error_class = {released_error_class},
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {now} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM unanswered))
RETURNING id;
