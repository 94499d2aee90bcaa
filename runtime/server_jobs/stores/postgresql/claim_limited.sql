-- Claim jobs with limits, together with jobs without limits. The rules, words, parameters and examples:
-- docs/explanation/claim.md.
--
-- A job with limits has two keys, and is in two indexes of its own: by group, and by lane. A lane has the pending jobs
-- of one name with the same keys. `known` has the limits of each known job, at the places that `limits` reads.

-- fragment: limits
-- parameters: known
-- The limits of the known jobs, one row for each name: the versions of a name have the same limits. `has_one_…_key`:
-- the limit depends on no values, so that its only key is ''.
SELECT DISTINCT value->>0 AS job_name, CAST(value->>2 AS integer) AS concurrency, CAST(value->>3 AS integer) AS rate,
       CAST(value->>4 AS bigint) * interval '1 millisecond' AS period,
       value->>5 = '1' AS has_one_concurrency_key, value->>6 = '1' AS has_one_rate_key
  FROM json_array_elements(CAST(:known AS json)) AS known (value)
 WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL

-- fragment: limited_names
-- parameters: none
-- The names of the known jobs with limits.
SELECT job_name FROM ({limits}) AS limits

-- fragment: of_limited_group
-- parameters: none
-- The jobs with limits of the group of `place` that may start, as `of_unlimited_group`.
status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = place.job_name
         AND jobs.spec_version = place.spec_version AND jobs.queue = place.queue AND jobs.priority = place.priority
         AND {startable} AND (jobs.scheduled_for, jobs.id) >= (place.scheduled_for, place.id)

-- fragment: limited_groups
-- parameters: queues
-- The groups of jobs with limits of `known`, as `unlimited_groups`.
asked AS MATERIALIZED (
  SELECT job_name, spec_version, NULL AS asked_queue FROM known WHERE (SELECT CAST(:queues AS json)) IS NULL
   UNION ALL
  SELECT DISTINCT job_name, spec_version, name.value #>> '{}' FROM known
   CROSS JOIN (SELECT value FROM json_array_elements(CAST(:queues AS json)) AS queues (value)
                WHERE json_typeof(value) = 'string') AS name
   WHERE name.value #>> '{}' NOT IN (SELECT name FROM paused_queues)),
head AS (
  SELECT asked.*, found.* FROM asked CROSS JOIN LATERAL (
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = asked.job_name
        AND jobs.spec_version = asked.spec_version AND asked.asked_queue IS NULL
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    UNION ALL
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = asked.job_name
        AND jobs.spec_version = asked.spec_version AND jobs.queue = asked.asked_queue
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    LIMIT 1) AS found
   UNION ALL
  SELECT head.job_name, head.spec_version, head.asked_queue, found.* FROM head CROSS JOIN LATERAL (
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = head.job_name
        AND jobs.spec_version = head.spec_version AND jobs.queue = head.queue AND priority < head.priority
        AND head.queue NOT IN (SELECT name FROM paused_queues)
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    UNION ALL
    (SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = head.job_name
        AND jobs.spec_version = head.spec_version AND jobs.queue > head.queue AND head.asked_queue IS NULL
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)
    LIMIT 1) AS found),
pending_group AS MATERIALIZED (
  SELECT row_number() OVER () AS number, job_name, spec_version, queue, priority, scheduled_for, id
    FROM head WHERE queue NOT IN (SELECT name FROM paused_queues) AND json_typeof(to_json(priority)) = 'number')

-- fragment: limited_due
-- parameters: none
-- The most urgent due jobs with limits of `known`, as `unlimited_due`, but not locked. Whether their limits allow them
-- is not known yet.
{limited_groups},
size AS MATERIALIZED (
  SELECT count(*) AS groups, 1 + 2 * (SELECT most FROM wanted) / GREATEST(count(*), 1) AS share FROM pending_group),
shallow AS MATERIALIZED (
  SELECT place.number, found.* FROM (SELECT * FROM pending_group WHERE (SELECT groups FROM size) > 1) AS place
   CROSS JOIN LATERAL (
     SELECT {due_columns} FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for <= {now}
      ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT share FROM size)) AS found),
bound AS MATERIALIZED (
  SELECT priority, scheduled_for FROM shallow
   ORDER BY priority DESC, scheduled_for, id OFFSET (SELECT most FROM wanted) - 1 LIMIT 1),
deep AS MATERIALIZED (
  SELECT pending_group.*, CASE WHEN pending_group.priority = bound.priority THEN bound.scheduled_for END AS until
    FROM (SELECT number, max(scheduled_for) AS last FROM shallow GROUP BY number
          HAVING count(*) >= (SELECT share FROM size)) AS cut
    JOIN pending_group USING (number) LEFT JOIN bound ON true
   WHERE bound.priority IS NULL OR pending_group.priority > bound.priority
      OR pending_group.priority = bound.priority AND last <= bound.scheduled_for),
merged AS (
  SELECT number FROM (
    SELECT number, priority, scheduled_for, id FROM shallow WHERE number NOT IN (SELECT number FROM deep)
     UNION ALL
    SELECT place.number, found.priority, found.scheduled_for, found.id FROM deep AS place
     CROSS JOIN LATERAL (
       SELECT {due_columns} FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for <= LEAST({now}, place.until)
        ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT most FROM wanted)) AS found) AS candidate
   ORDER BY priority DESC, scheduled_for, id LIMIT (SELECT most FROM wanted)),
part AS MATERIALIZED (
  SELECT number, count(*) AS part FROM merged GROUP BY number
   UNION ALL
  SELECT number, (SELECT most FROM wanted) FROM pending_group WHERE (SELECT groups FROM size) = 1)
SELECT * FROM (
  SELECT found.* FROM (SELECT pending_group.*, part FROM part JOIN pending_group USING (number)) AS place
   CROSS JOIN LATERAL (
     SELECT {due_columns} FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for <= {now}
      ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT place.part)) AS found
   LIMIT (SELECT most FROM wanted)) AS due LIMIT 10000

-- name: LIMITED_DUE
-- parameters: beyond
-- writes: no, repeatable: yes
-- Whether more than `beyond` jobs with limits are due.
WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
{limited_groups}
SELECT 1 AS due FROM pending_group AS place CROSS JOIN LATERAL (
  SELECT {due_columns} FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for <= {now}
   ORDER BY jobs.scheduled_for, jobs.id LIMIT (SELECT CAST(:beyond AS integer) + 1)) AS found
 LIMIT 1 OFFSET (SELECT CAST(:beyond AS integer));

-- name: LOCK_LIMITS
-- parameters: none
-- writes: yes, repeatable: yes, waits: yes
-- Claims of jobs with limits run one after another, because each has to count the commits of the one before. Its
-- statement starts once it has the lock, which the commit releases. The lock is a row: relatives of PostgreSQL may have
-- no advisory locks. The conflict locks the row, and the condition keeps it unchanged. The planner estimates a cost at
-- which it would compile the claim (JIT), which takes a second, so the transaction turns that off.
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(limits)', '(limits)', '', timestamptz 'epoch', timestamptz '9999-12-31 UTC'
 WHERE set_config('jit', 'off', true) IS NOT NULL AND set_config('lock_timeout', '5s', true) IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE false;

-- name: CLAIM_LIMITED
-- parameters: limit, slots, limited, unlimited, window, lanes, start
-- writes: yes, repeatable: no
-- Claim the most urgent jobs, with limits and without, as far as the limits allow. Reads at most `window` jobs with
-- limits, and the first jobs of at most `lanes` lanes.
WITH RECURSIVE limits AS MATERIALIZED (
  -- Another release may have stored pending jobs with other keys. While there are any, the limit has several keys. For
  -- EXISTS, the planner might read all of them.
  SELECT job_name, concurrency, rate, period,
         has_one_concurrency_key AND NOT ((
           SELECT id FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
              AND job_name = stated.job_name AND concurrency_key > ''
            ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL) AS has_one_concurrency_key,
         has_one_rate_key AND NOT ((
           SELECT id FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
              AND job_name = stated.job_name AND concurrency_key > ''
            ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL) AND NOT ((
           SELECT id FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
              AND job_name = stated.job_name AND concurrency_key = '' AND rate_key > ''
            ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL) AS has_one_rate_key
    FROM ({limits}) AS stated),
-- The running jobs of each concurrency key.
running AS MATERIALIZED (
  SELECT job_name, concurrency_key, count(*) AS count FROM jobs
   WHERE status = 'running' AND concurrency_key IS NOT NULL GROUP BY job_name, concurrency_key),
-- The names that are not full as a whole. A limit with one key that is full blocks all jobs of its name.
open_name AS MATERIALIZED (
  SELECT job_name, (concurrency IS NOT NULL AND NOT COALESCE(has_one_concurrency_key, FALSE))
                   OR (rate IS NOT NULL AND NOT COALESCE(has_one_rate_key, FALSE)) AS has_lanes
    FROM limits
   WHERE (has_one_concurrency_key AND concurrency <= (
            SELECT COALESCE(max(count), 0) FROM running
             WHERE running.job_name = limits.job_name AND running.concurrency_key = '')) IS NOT TRUE
     AND (has_one_rate_key AND rate <= (
            SELECT count(*) FROM job_starts AS start
             WHERE start.job_name = limits.job_name AND start.rate_key = ''
               AND start.started_at >= {now} - period)) IS NOT TRUE),
-- The first `window` due jobs of these names. Jobs of full lanes may fill it, and hide the jobs behind them.
walk AS MATERIALIZED (
  WITH RECURSIVE wanted AS MATERIALIZED (SELECT CAST(:window AS integer) AS most),
  known AS MATERIALIZED ({requested_jobs} AND value->>0 IN (SELECT job_name FROM open_name)),
  {limited_due}),
-- Where the search for lanes begins, if the window is full: at the first lane of each name, at the concurrency key
-- `start`, and at the rate key `start`. Each claim chooses another `start`.
seeds AS (
  SELECT job_name, '' AS concurrency_key, '' AS rate_key
    FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= CAST(:window AS bigint)
   UNION ALL
  SELECT job_name, CAST(:start AS text), ''
    FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= CAST(:window AS bigint)
   UNION ALL
  SELECT job_name, '', CAST(:start AS text)
    FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= CAST(:window AS bigint)),
-- The lanes from these keys on. Each search finds the first job of the next lane. UNION visits a lane once, and the
-- LIMIT of `lanes` ends the search: PostgreSQL evaluates only as many rows as it reads.
lane AS (
  SELECT found.* FROM seeds CROSS JOIN LATERAL (
    SELECT job_name, concurrency_key, rate_key FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = seeds.job_name
       AND (concurrency_key, rate_key) >= (seeds.concurrency_key, seeds.rate_key)
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1) AS found
   UNION
  SELECT found.* FROM lane CROSS JOIN LATERAL (
    SELECT job_name, concurrency_key, rate_key FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = lane.job_name
       AND (concurrency_key, rate_key) > (lane.concurrency_key, lane.rate_key)
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1) AS found),
lanes AS MATERIALIZED (SELECT * FROM lane LIMIT CAST(:lanes AS integer)),
-- The lanes with room. Counted for each lane, because a join with `running` would compare each lane with each.
open_lanes AS (
  SELECT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name)
   WHERE (concurrency IS NULL OR concurrency > (
            SELECT count(*) FROM jobs
             WHERE status = 'running' AND jobs.concurrency_key IS NOT NULL
               AND jobs.job_name = lanes.job_name AND jobs.concurrency_key = lanes.concurrency_key))
     AND (rate IS NULL OR rate > (
            SELECT count(*) FROM job_starts AS start
             WHERE start.job_name = lanes.job_name AND start.rate_key = lanes.rate_key
               AND start.started_at >= {now} - period))),
-- The first due jobs of each of these lanes.
heads AS MATERIALIZED (
  SELECT head.id FROM open_lanes AS lane CROSS JOIN LATERAL (
    SELECT jobs.id FROM jobs
     WHERE status = 'pending' AND {asked_job} AND scheduled_for <= {now}
       AND queue NOT IN (SELECT name FROM paused_queues)
       AND concurrency_key IS NOT NULL AND job_name = lane.job_name
       AND concurrency_key = lane.concurrency_key AND rate_key = lane.rate_key
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT CAST(:limit AS integer)) AS head
   LIMIT CAST(:window AS integer)),
-- All jobs found, with their limits.
candidates AS MATERIALIZED (
  SELECT jobs.id, priority, scheduled_for, job_name, concurrency_key, COALESCE(rate_key, '') AS rate_key,
         concurrency, rate, period
    FROM jobs JOIN limits USING (job_name)
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM walk UNION ALL SELECT id FROM heads))),
-- The starts of each of their rate keys within the period of the rate.
started AS MATERIALIZED (
  SELECT job_name, rate_key, (
           SELECT count(*) FROM job_starts AS start
            WHERE start.job_name = candidates.job_name AND start.rate_key = candidates.rate_key
              AND start.started_at >= {now} - period) AS starts
    FROM candidates WHERE rate IS NOT NULL GROUP BY job_name, rate_key, period),
-- `room`: how many more jobs of the concurrency key may run. `rate_room`: how many more of the rate key may start.
possible AS (
  SELECT candidates.*, concurrency - COALESCE(count, 0) AS room, rate - starts AS rate_room,
         row_number() OVER (PARTITION BY job_name, rate_key ORDER BY priority DESC, scheduled_for, id) AS rate_position
    FROM candidates LEFT JOIN running USING (job_name, concurrency_key) LEFT JOIN started USING (job_name, rate_key)
   WHERE concurrency IS NULL OR COALESCE(count, 0) < concurrency),
-- The most urgent jobs of each rate key take its room, and of these the most urgent ones of each concurrency key.
allowed AS (
  SELECT id, room,
         row_number() OVER (PARTITION BY job_name, concurrency_key
                            ORDER BY priority DESC, scheduled_for, id) AS position
    FROM possible WHERE rate_room IS NULL OR rate_position <= rate_room),
-- The most urgent jobs of the other names.
unlimited AS MATERIALIZED (
  WITH RECURSIVE wanted AS MATERIALIZED (SELECT CAST(:unlimited AS integer) AS most),
  known AS MATERIALIZED ({requested_jobs} AND value->>0 NOT IN ({limited_names})),
  {unlimited_due}),
-- The most urgent of all these jobs, locked. A transaction may have changed one since it was read, so the conditions
-- are tested again. `status || ''` is in no index of pending jobs: the planner looks jobs up by their id.
due AS MATERIALIZED (
  SELECT jobs.id, attempt_count, max_attempts, priority, scheduled_for, concurrency_key IS NOT NULL AS is_limited
    FROM jobs
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM allowed WHERE room IS NULL OR position <= room
                               UNION ALL SELECT id FROM unlimited))
     AND status || '' = 'pending' AND {asked_job} AND scheduled_for <= {now}
     AND queue NOT IN (SELECT name FROM paused_queues)
     AND (concurrency_key IS NOT NULL OR job_name NOT IN ({limited_names}))
   ORDER BY priority DESC, scheduled_for, id LIMIT CAST(:limit AS integer) FOR UPDATE OF jobs SKIP LOCKED),
chosen AS (
  -- all jobs without limits that may wait for a slot
  SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1 AND NOT is_limited
  UNION ALL
  -- as many of those with limits as the request wants, because a claim that waits uses up the limit
  (SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1 AND is_limited
    ORDER BY priority DESC, scheduled_for, id LIMIT CAST(:limited AS integer))
  UNION ALL
  -- and as many of the others as there are free slots
  (SELECT id FROM due WHERE attempt_count > 0 OR max_attempts = 1
    ORDER BY priority DESC, scheduled_for, id LIMIT CAST(:slots AS integer))),
claimed AS (
  {take}
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM chosen))
  RETURNING {claim_columns}, priority, concurrency_key, rate_key, fencing_token, worker_started_at),
-- The starts of the claimed jobs that have a rate.
recorded AS (
  INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
  SELECT fencing_token, job_name, COALESCE(rate_key, ''), worker_started_at, worker_started_at + period
    FROM claimed JOIN limits USING (job_name) WHERE concurrency_key IS NOT NULL AND rate IS NOT NULL)
SELECT {claim_columns} FROM claimed ORDER BY priority DESC, scheduled_for, id;

-- none: RECORD_STARTS
-- The claim records them.

-- name: FORGET_STARTS
-- parameters: none
-- writes: yes, repeatable: yes
-- Delete starts that no rate counts any more.
DELETE FROM job_starts
 WHERE id = ANY(ARRAY(SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000
                         FOR UPDATE SKIP LOCKED));

-- name: ADOPTABLE
-- parameters: none
-- writes: no, repeatable: yes
-- Whether a job of a limited name is due that has no keys. A release without the limit stored it.
WITH RECURSIVE known AS MATERIALIZED ({requested_jobs} AND value->>0 IN ({limited_names})),
{unlimited_is_due};

-- name: ADOPT
-- parameters: limit
-- writes: yes, repeatable: yes
-- Give these jobs the key '' for each limit, even if it depends on values: together they are one lane.
WITH keyless AS MATERIALIZED (
  WITH RECURSIVE wanted AS MATERIALIZED (SELECT CAST(:limit AS integer) AS most),
  known AS MATERIALIZED ({requested_jobs} AND value->>0 IN ({limited_names})),
  {unlimited_due})
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM keyless))
RETURNING id;

-- name: ADOPT_RUNNING
-- parameters: none
-- writes: yes, repeatable: yes
-- Give running jobs of limited names that have no keys the key '', so that they count for `concurrency`.
WITH keyless AS MATERIALIZED (
  SELECT id FROM jobs WHERE status = 'running' AND concurrency_key IS NULL AND job_name IN ({limited_names})
     FOR UPDATE OF jobs SKIP LOCKED)
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE id = ANY(ARRAY(SELECT id FROM keyless))
RETURNING id;

-- name: DISMISS
-- parameters: known, limit
-- writes: yes, repeatable: yes
-- Remove the keys of pending jobs whose name has no limit any more, so that they are claimed like any other job.
WITH name AS MATERIALIZED (
  SELECT value->>0 AS job_name FROM json_array_elements(CAST(:known AS json)) AS known (value)
  EXCEPT {limited_names}),
former AS MATERIALIZED (
  SELECT waiting.* FROM name CROSS JOIN LATERAL (
    SELECT jobs.id FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = name.job_name
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT (SELECT CAST(:limit AS integer)) FOR UPDATE OF jobs SKIP LOCKED) AS waiting
   LIMIT (SELECT CAST(:limit AS integer)))
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL WHERE jobs.id = ANY(ARRAY(SELECT id FROM former))
RETURNING id;
