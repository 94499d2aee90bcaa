-- Claim jobs with limits, together with jobs without limits. The rules, words, parameters and examples:
-- docs/explanation/claim.md.
--
-- A job with limits has two keys, and is in two indexes of its own: by group, and by lane. A lane has the pending jobs
-- of one name with the same keys. `known` has the limits of each known job, at the places that `limits` reads.

-- fragment: limits
-- parameters: known
-- The limits of the known jobs, one row for each name: the versions of a name have the same limits. `has_one_…_key`:
-- the limit depends on no values, so that its only key is ''.
SELECT DISTINCT value->>0 AS job_name, value->>2 AS concurrency, value->>3 AS rate, value->>4 AS period,
       value->>5 AS has_one_concurrency_key, value->>6 AS has_one_rate_key
  FROM json_each(:known) WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL

-- fragment: of_limited_group
-- parameters: none
-- The jobs with limits of the group of `place` that may start.
status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = place.job_name
         AND jobs.spec_version = place.spec_version AND jobs.queue = place.queue AND jobs.priority = place.priority
         AND {startable}

-- fragment: limited_groups
-- parameters: queues
-- The groups of jobs with limits of `known_job`, as `unlimited_groups` in another index.
any_queue (job_name, spec_version, queue) AS (
  SELECT job_name, spec_version,
         (SELECT queue FROM jobs INDEXED BY jobs_limited_group
           WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = known_job.job_name
             AND jobs.spec_version = known_job.spec_version
           ORDER BY queue LIMIT 1)
    FROM known_job WHERE :queues IS NULL
   UNION ALL
  SELECT job_name, spec_version,
         (SELECT queue FROM jobs INDEXED BY jobs_limited_group
           WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = any_queue.job_name
             AND jobs.spec_version = any_queue.spec_version AND jobs.queue > any_queue.queue
           ORDER BY queue LIMIT 1)
    FROM any_queue WHERE queue IS NOT NULL),
open_queue AS (
  SELECT job_name, spec_version, queue FROM any_queue WHERE queue NOT IN (SELECT name FROM paused_queues)
   UNION
  SELECT job_name, spec_version, value FROM known_job CROSS JOIN json_each(:queues)
   WHERE value NOT IN (SELECT name FROM paused_queues)),
some_group (job_name, spec_version, queue, priority) AS (
  SELECT job_name, spec_version, queue,
         (SELECT priority FROM jobs INDEXED BY jobs_limited_group
           WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = open_queue.job_name
             AND jobs.spec_version = open_queue.spec_version AND jobs.queue = open_queue.queue
           ORDER BY priority DESC LIMIT 1)
    FROM open_queue
   UNION ALL
  SELECT job_name, spec_version, queue,
         (SELECT priority FROM jobs INDEXED BY jobs_limited_group
           WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = some_group.job_name
             AND jobs.spec_version = some_group.spec_version AND jobs.queue = some_group.queue
             AND priority < some_group.priority
           ORDER BY priority DESC LIMIT 1)
    FROM some_group WHERE priority IS NOT NULL),
pending_group AS MATERIALIZED (
  SELECT count(*) OVER () AS groups, job_name, spec_version, queue, priority FROM some_group WHERE priority IS NOT NULL)

-- fragment: limited_due
-- parameters: window
-- The most urgent due jobs with limits of `known_job`, as `unlimited_due`. Whether their limits allow them is not known
-- yet.
{limited_groups},
merged (id, attempt_count, max_attempts, priority, scheduled_for, job_name, spec_version, queue) AS (
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, place.priority, jobs.scheduled_for, place.job_name,
         place.spec_version, place.queue
    FROM pending_group AS place CROSS JOIN jobs ON jobs.id = (
      SELECT jobs.id FROM jobs INDEXED BY jobs_limited_group
       WHERE {of_limited_group} AND jobs.scheduled_for <= {now}
       ORDER BY jobs.scheduled_for, jobs.id LIMIT 1)
   WHERE place.groups > 1
   UNION ALL
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, place.priority, jobs.scheduled_for, place.job_name,
         place.spec_version, place.queue
    FROM merged AS place CROSS JOIN jobs ON jobs.id = COALESCE(
      (SELECT jobs.id FROM jobs INDEXED BY jobs_limited_group
        WHERE {of_limited_group} AND jobs.scheduled_for = place.scheduled_for AND jobs.id > place.id
        ORDER BY jobs.scheduled_for, jobs.id LIMIT 1),
      (SELECT jobs.id FROM jobs INDEXED BY jobs_limited_group
        WHERE {of_limited_group} AND jobs.scheduled_for > place.scheduled_for AND jobs.scheduled_for <= {now}
        ORDER BY jobs.scheduled_for, jobs.id LIMIT 1))
   ORDER BY 4 DESC, 5, 1 LIMIT :window)
SELECT * FROM (
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, jobs.priority, jobs.scheduled_for, jobs.job_name
    FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_limited_group
   WHERE {of_limited_group} AND jobs.scheduled_for <= {now} AND place.groups = 1
   LIMIT :window)
 UNION ALL
SELECT id, attempt_count, max_attempts, priority, scheduled_for, job_name FROM merged
 ORDER BY priority DESC, scheduled_for, id LIMIT :window

-- name: LIMITED_DUE
-- parameters: known, beyond
-- writes: no, repeatable: yes
-- Whether more than `beyond` jobs with limits are due.
SELECT due FROM (
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
  {limited_groups}
  SELECT 1 AS due FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_limited_group
   WHERE {of_limited_group} AND jobs.scheduled_for <= {now}) LIMIT 1 OFFSET :beyond;

-- none: LOCK_LIMITS
-- SQLite allows only one writing transaction.

-- name: CLAIM_LIMITED
-- parameters: known, limit, slots, limited, unlimited, window, lanes, start
-- writes: yes, repeatable: no
-- Claim the most urgent jobs, with limits and without, as far as the limits allow. Reads at most `window` jobs with
-- limits, and the first jobs of at most `lanes` lanes.
WITH RECURSIVE limits AS MATERIALIZED (
  -- Another release may have stored pending jobs with other keys. While there are any, the limit has several keys.
  SELECT job_name, concurrency, rate, period,
         has_one_concurrency_key AND NOT EXISTS (
           SELECT 1 FROM jobs INDEXED BY jobs_limited_lane
            WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = stated.job_name
              AND concurrency_key > '') AS has_one_concurrency_key,
         has_one_rate_key AND NOT EXISTS (
           SELECT 1 FROM jobs INDEXED BY jobs_limited_lane
            WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = stated.job_name
              AND concurrency_key > '') AND NOT EXISTS (
           SELECT 1 FROM jobs INDEXED BY jobs_limited_lane
            WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = stated.job_name
              AND concurrency_key = '' AND rate_key > '') AS has_one_rate_key
    FROM ({limits}) AS stated),
-- The running jobs of each concurrency key.
running AS MATERIALIZED (
  SELECT job_name, concurrency_key, count(*) AS count FROM jobs
   WHERE status = 'running' AND concurrency_key IS NOT NULL GROUP BY job_name, concurrency_key),
-- The names that are not full as a whole. A limit with one key that is full blocks all jobs of its name.
open_name AS MATERIALIZED (
  SELECT job_name, (concurrency IS NOT NULL AND NOT COALESCE(has_one_concurrency_key, 0))
                   OR (rate IS NOT NULL AND NOT COALESCE(has_one_rate_key, 0)) AS has_lanes
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
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)
     WHERE value->>0 IN (SELECT job_name FROM open_name)),
  {limited_due}),
-- Where the search for lanes begins, if the window is full: at the first lane of each name, at the concurrency key
-- `start`, and at the rate key `start`. Each claim chooses another `start`.
seeds AS (
  SELECT job_name, '' AS concurrency_key, '' AS rate_key
    FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= :window
   UNION ALL
  SELECT job_name, :start, '' FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= :window
   UNION ALL
  SELECT job_name, '', :start FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= :window),
-- The lanes from these keys on. Each search finds the first job of the next lane: of the same concurrency key, or of a
-- later one. Not `(concurrency_key, rate_key) > (…)`: for a pair, SQLite starts at the lane itself and reads all its
-- jobs. UNION visits a lane once.
lanes AS (
  SELECT found.job_name, found.concurrency_key, found.rate_key
    FROM seeds JOIN jobs AS found ON found.id = COALESCE(
      (SELECT id FROM jobs
        WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = seeds.job_name
          AND concurrency_key = seeds.concurrency_key AND rate_key >= seeds.rate_key
        ORDER BY concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1),
      (SELECT id FROM jobs
        WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = seeds.job_name
          AND concurrency_key > seeds.concurrency_key
        ORDER BY concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1))
   UNION
  SELECT found.job_name, found.concurrency_key, found.rate_key
    FROM lanes JOIN jobs AS found ON found.id = COALESCE(
      (SELECT id FROM jobs
        WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = lanes.job_name
          AND concurrency_key = lanes.concurrency_key AND rate_key > lanes.rate_key
        ORDER BY concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1),
      (SELECT id FROM jobs
        WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = lanes.job_name
          AND concurrency_key > lanes.concurrency_key
        ORDER BY concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1))
   LIMIT :lanes),
-- The lanes with room. Otherwise SQLite would read the first jobs of full lanes before it compares the counts.
open_lanes AS MATERIALIZED (
  SELECT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name) LEFT JOIN running USING (job_name, concurrency_key)
   WHERE (concurrency IS NULL OR COALESCE(count, 0) < concurrency)
     AND (rate IS NULL OR rate > (
            SELECT count(*) FROM job_starts AS start
             WHERE start.job_name = lanes.job_name AND start.rate_key = lanes.rate_key
               AND start.started_at >= {now} - period))),
-- The first due jobs of each of these lanes.
heads AS MATERIALIZED (
  SELECT head.id FROM open_lanes AS lane JOIN jobs AS head ON head.id IN (
    SELECT id FROM jobs
     WHERE {asked_job} AND scheduled_for <= {now} AND queue NOT IN (SELECT name FROM paused_queues)
       AND concurrency_key IS NOT NULL AND job_name = lane.job_name
       AND concurrency_key = lane.concurrency_key AND rate_key = lane.rate_key
     ORDER BY priority DESC, scheduled_for, id LIMIT :limit)
   LIMIT :window),
-- All jobs found, with their limits.
candidates AS MATERIALIZED (
  SELECT id, attempt_count, max_attempts, priority, scheduled_for, job_name, concurrency_key,
         COALESCE(rate_key, '') AS rate_key, concurrency, rate, period
    FROM jobs JOIN limits USING (job_name) WHERE id IN (SELECT id FROM walk UNION SELECT id FROM heads)),
-- The starts of each of their rate keys within the period of the rate.
started AS MATERIALIZED (
  SELECT job_name, rate_key, (
           SELECT count(*) FROM job_starts AS start
            WHERE start.job_name = candidates.job_name AND start.rate_key = candidates.rate_key
              AND start.started_at >= {now} - period) AS starts
    FROM candidates WHERE rate IS NOT NULL GROUP BY job_name, rate_key, period),
-- `room`: how many more jobs of the concurrency key may run. `rate_room`: how many more of the rate key may start.
possible AS (
  SELECT id, attempt_count, max_attempts, priority, scheduled_for, job_name, concurrency_key,
         concurrency - COALESCE(count, 0) AS room, rate - starts AS rate_room,
         row_number() OVER (PARTITION BY job_name, rate_key ORDER BY priority DESC, scheduled_for, id) AS rate_position
    FROM candidates LEFT JOIN running USING (job_name, concurrency_key) LEFT JOIN started USING (job_name, rate_key)
   WHERE concurrency IS NULL OR COALESCE(count, 0) < concurrency),
-- The most urgent jobs of each rate key take its room, and of these the most urgent ones of each concurrency key.
allowed AS (
  SELECT id, attempt_count, max_attempts, priority, scheduled_for, room,
         row_number() OVER (PARTITION BY job_name, concurrency_key
                            ORDER BY priority DESC, scheduled_for, id) AS position
    FROM possible WHERE rate_room IS NULL OR rate_position <= rate_room),
-- The most urgent jobs of the other names. `unlimited` is 0 or `limit`.
unlimited AS MATERIALIZED (
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)
     WHERE value->>0 NOT IN (SELECT job_name FROM ({limits})) AND :unlimited > 0),
  {unlimited_due}),
due AS MATERIALIZED (
  SELECT * FROM (
    SELECT id, attempt_count, max_attempts, priority, scheduled_for, 1 AS is_limited
      FROM allowed WHERE room IS NULL OR position <= room
     UNION ALL
    SELECT id, attempt_count, max_attempts, priority, scheduled_for, 0 FROM unlimited)
   ORDER BY priority DESC, scheduled_for, id LIMIT :limit)
{take}
 WHERE id IN (
   -- all jobs without limits that may wait for a slot
   SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1 AND NOT is_limited
    UNION ALL
   -- as many of those with limits as the request wants, because a claim that waits uses up the limit
   SELECT id FROM (
     SELECT id FROM due WHERE attempt_count = 0 AND max_attempts > 1 AND is_limited
      ORDER BY priority DESC, scheduled_for, id LIMIT COALESCE(:limited, -1))
    UNION ALL
   -- and as many of the others as there are free slots
   SELECT id FROM (
     SELECT id FROM due WHERE attempt_count > 0 OR max_attempts = 1
      ORDER BY priority DESC, scheduled_for, id LIMIT COALESCE(:slots, -1)));

-- name: RECORD_STARTS
-- parameters: none
-- writes: yes, repeatable: no
-- Record the starts of the jobs of this claim that have a rate.
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT fencing_token, job_name, COALESCE(rate_key, ''), worker_started_at, worker_started_at + period
  FROM jobs JOIN ({limits}) USING (job_name)
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND rate IS NOT NULL AND {of_batch};

-- name: FORGET_STARTS
-- parameters: none
-- writes: yes, repeatable: yes
-- Delete starts that no rate counts any more.
DELETE FROM job_starts
 WHERE id IN (SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000);

-- name: ADOPTABLE
-- parameters: known
-- writes: no, repeatable: yes
-- Whether a job of a limited name is due that has no keys. A release without the limit stored it.
SELECT due FROM (
  WITH RECURSIVE known_job AS MATERIALIZED (
    SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)
     WHERE value->>0 IN (SELECT job_name FROM ({limits}))),
  {unlimited_groups}
  SELECT 1 AS due FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_unlimited_group
   WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now}) LIMIT 1;

-- name: ADOPT
-- parameters: known
-- writes: yes, repeatable: yes
-- Give these jobs the key '' for each limit, even if it depends on values: together they are one lane.
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE id IN (SELECT id FROM (
   WITH RECURSIVE known_job AS MATERIALIZED (
     SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)
      WHERE value->>0 IN (SELECT job_name FROM ({limits}))),
   {unlimited_due}))
RETURNING id;

-- name: ADOPT_RUNNING
-- parameters: none
-- writes: yes, repeatable: yes
-- Give running jobs of limited names that have no keys the key '', so that they count for `concurrency`.
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE status = 'running' AND concurrency_key IS NULL AND job_name IN (SELECT job_name FROM ({limits}))
RETURNING id;

-- fragment: mislabelled
-- parameters: known
-- Pending jobs with keys whose name has no limit any more.
SELECT id FROM jobs INDEXED BY jobs_limited_lane
 WHERE status = 'pending' AND concurrency_key IS NOT NULL
   AND job_name IN (SELECT value->>0 FROM json_each(:known) EXCEPT SELECT job_name FROM ({limits}))

-- name: DISMISS
-- parameters: limit
-- writes: yes, repeatable: yes
-- Remove their keys, so that they are claimed like any other job.
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL
 WHERE id IN ({mislabelled} LIMIT :limit)
RETURNING id;
