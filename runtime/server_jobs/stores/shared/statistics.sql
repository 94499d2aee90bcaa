-- Count jobs by queue and name.
--
-- Jobs are counted group by group: one search of an index finds each group, and a count may stop early. So the cost
-- does not depend on the number of jobs. Without the bound, PostgreSQL would also read a row for each job on a page that
-- it has not vacuumed yet. A walk over the groups is a recursion with one row for each value of the next column: the next
-- value for the values before it, and NULL at the end.

-- fragment: unlimited_queues
-- parameters: none
-- The names, versions and queues of pending jobs without limits.
unlimited_job_name (job_name) AS (
  SELECT (SELECT jobs.job_name FROM {pending_unlimited}
            AND jobs.job_name IS NOT NULL
          ORDER BY jobs.job_name LIMIT 1)
   UNION ALL
  SELECT (SELECT jobs.job_name FROM {pending_unlimited}
            AND jobs.job_name > unlimited_job_name.job_name
          ORDER BY jobs.job_name LIMIT 1)
    FROM unlimited_job_name WHERE job_name IS NOT NULL),
unlimited_spec_version (job_name, spec_version) AS (
  SELECT job_name, (SELECT jobs.spec_version FROM {pending_unlimited}
            AND jobs.spec_version IS NOT NULL AND jobs.job_name = unlimited_job_name.job_name
          ORDER BY jobs.spec_version LIMIT 1)
    FROM unlimited_job_name WHERE job_name IS NOT NULL
   UNION ALL
  SELECT job_name, (SELECT jobs.spec_version FROM {pending_unlimited}
            AND jobs.spec_version > unlimited_spec_version.spec_version
            AND jobs.job_name = unlimited_spec_version.job_name
          ORDER BY jobs.spec_version LIMIT 1)
    FROM unlimited_spec_version WHERE spec_version IS NOT NULL),
unlimited_queue (job_name, spec_version, queue) AS (
  SELECT job_name, spec_version, (SELECT jobs.queue FROM {pending_unlimited}
            AND jobs.queue IS NOT NULL AND jobs.job_name = unlimited_spec_version.job_name
            AND jobs.spec_version = unlimited_spec_version.spec_version
          ORDER BY jobs.queue LIMIT 1)
    FROM unlimited_spec_version WHERE spec_version IS NOT NULL
   UNION ALL
  SELECT job_name, spec_version, (SELECT jobs.queue FROM {pending_unlimited}
            AND jobs.queue > unlimited_queue.queue AND jobs.job_name = unlimited_queue.job_name
            AND jobs.spec_version = unlimited_queue.spec_version
          ORDER BY jobs.queue LIMIT 1)
    FROM unlimited_queue WHERE queue IS NOT NULL)

-- fragment: limited_queues
-- parameters: none
-- The names, versions and queues of pending jobs with limits.
limited_job_name (job_name) AS (
  SELECT (SELECT jobs.job_name FROM {pending_limited}
            AND jobs.job_name IS NOT NULL
          ORDER BY jobs.job_name LIMIT 1)
   UNION ALL
  SELECT (SELECT jobs.job_name FROM {pending_limited}
            AND jobs.job_name > limited_job_name.job_name
          ORDER BY jobs.job_name LIMIT 1)
    FROM limited_job_name WHERE job_name IS NOT NULL),
limited_spec_version (job_name, spec_version) AS (
  SELECT job_name, (SELECT jobs.spec_version FROM {pending_limited}
            AND jobs.spec_version IS NOT NULL AND jobs.job_name = limited_job_name.job_name
          ORDER BY jobs.spec_version LIMIT 1)
    FROM limited_job_name WHERE job_name IS NOT NULL
   UNION ALL
  SELECT job_name, (SELECT jobs.spec_version FROM {pending_limited}
            AND jobs.spec_version > limited_spec_version.spec_version
            AND jobs.job_name = limited_spec_version.job_name
          ORDER BY jobs.spec_version LIMIT 1)
    FROM limited_spec_version WHERE spec_version IS NOT NULL),
limited_queue (job_name, spec_version, queue) AS (
  SELECT job_name, spec_version, (SELECT jobs.queue FROM {pending_limited}
            AND jobs.queue IS NOT NULL AND jobs.job_name = limited_spec_version.job_name
            AND jobs.spec_version = limited_spec_version.spec_version
          ORDER BY jobs.queue LIMIT 1)
    FROM limited_spec_version WHERE spec_version IS NOT NULL
   UNION ALL
  SELECT job_name, spec_version, (SELECT jobs.queue FROM {pending_limited}
            AND jobs.queue > limited_queue.queue AND jobs.job_name = limited_queue.job_name
            AND jobs.spec_version = limited_queue.spec_version
          ORDER BY jobs.queue LIMIT 1)
    FROM limited_queue WHERE queue IS NOT NULL)

-- fragment: failed_queues
-- parameters: none
-- The names and queues of failed jobs.
failed_job_name (job_name) AS (
  SELECT (SELECT jobs.job_name FROM {all_failed}
            AND jobs.job_name IS NOT NULL
          ORDER BY jobs.job_name LIMIT 1)
   UNION ALL
  SELECT (SELECT jobs.job_name FROM {all_failed}
            AND jobs.job_name > failed_job_name.job_name
          ORDER BY jobs.job_name LIMIT 1)
    FROM failed_job_name WHERE job_name IS NOT NULL),
failed_queue (job_name, queue) AS (
  SELECT job_name, (SELECT jobs.queue FROM {all_failed}
            AND jobs.queue IS NOT NULL AND jobs.job_name = failed_job_name.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM failed_job_name WHERE job_name IS NOT NULL
   UNION ALL
  SELECT job_name, (SELECT jobs.queue FROM {all_failed}
            AND jobs.queue > failed_queue.queue AND jobs.job_name = failed_queue.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM failed_queue WHERE queue IS NOT NULL)

-- fragment: parked_queues
-- parameters: none
-- The names and queues of parked jobs.
parked_job_name (job_name) AS (
  SELECT (SELECT jobs.job_name FROM {all_parked}
            AND jobs.job_name IS NOT NULL
          ORDER BY jobs.job_name LIMIT 1)
   UNION ALL
  SELECT (SELECT jobs.job_name FROM {all_parked}
            AND jobs.job_name > parked_job_name.job_name
          ORDER BY jobs.job_name LIMIT 1)
    FROM parked_job_name WHERE job_name IS NOT NULL),
parked_queue (job_name, queue) AS (
  SELECT job_name, (SELECT jobs.queue FROM {all_parked}
            AND jobs.queue IS NOT NULL AND jobs.job_name = parked_job_name.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM parked_job_name WHERE job_name IS NOT NULL
   UNION ALL
  SELECT job_name, (SELECT jobs.queue FROM {all_parked}
            AND jobs.queue > parked_queue.queue AND jobs.job_name = parked_queue.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM parked_queue WHERE queue IS NOT NULL)

-- fragment: of_found
-- parameters: none
-- The jobs of the group `found`.
jobs.job_name = found.job_name AND jobs.spec_version = found.spec_version
             AND jobs.queue = found.queue AND jobs.priority = found.priority

-- name: QUEUE_STATES
-- parameters: none
-- writes: no, repeatable: yes
-- Return a row for each group of pending jobs, and one for each queue and name of running, failed and parked jobs.
WITH RECURSIVE
-- The groups of pending jobs.
{unlimited_queues},
unlimited (job_name, spec_version, queue, priority) AS (
  SELECT job_name, spec_version, queue, (SELECT jobs.priority FROM {pending_unlimited}
            AND jobs.priority IS NOT NULL AND jobs.job_name = unlimited_queue.job_name
            AND jobs.spec_version = unlimited_queue.spec_version
            AND jobs.queue = unlimited_queue.queue
          ORDER BY jobs.priority DESC LIMIT 1)
    FROM unlimited_queue WHERE queue IS NOT NULL
   UNION ALL
  SELECT job_name, spec_version, queue, (SELECT jobs.priority FROM {pending_unlimited}
            AND jobs.priority < unlimited.priority AND jobs.job_name = unlimited.job_name
            AND jobs.spec_version = unlimited.spec_version AND jobs.queue = unlimited.queue
          ORDER BY jobs.priority DESC LIMIT 1)
    FROM unlimited WHERE priority IS NOT NULL),
{limited_queues},
limited (job_name, spec_version, queue, priority) AS (
  SELECT job_name, spec_version, queue, (SELECT jobs.priority FROM {pending_limited}
            AND jobs.priority IS NOT NULL AND jobs.job_name = limited_queue.job_name
            AND jobs.spec_version = limited_queue.spec_version AND jobs.queue = limited_queue.queue
          ORDER BY jobs.priority DESC LIMIT 1)
    FROM limited_queue WHERE queue IS NOT NULL
   UNION ALL
  SELECT job_name, spec_version, queue, (SELECT jobs.priority FROM {pending_limited}
            AND jobs.priority < limited.priority AND jobs.job_name = limited.job_name
            AND jobs.spec_version = limited.spec_version AND jobs.queue = limited.queue
          ORDER BY jobs.priority DESC LIMIT 1)
    FROM limited WHERE priority IS NOT NULL),
-- The queues of the others.
{failed_queues},
{parked_queues}
SELECT queue, job_name, spec_version,
       (SELECT count(*) FROM (
          SELECT 1 FROM {pending_unlimited} AND {of_found}
             AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT {most}) AS counted) AS due,
       (SELECT count(*) FROM (
          SELECT 1 FROM {pending_unlimited} AND {of_found}
             AND scheduled_for > {now} ORDER BY scheduled_for, id LIMIT {most}) AS counted) AS scheduled,
       (SELECT scheduled_for FROM {pending_unlimited} AND {of_found}
           AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT 1) AS oldest,
       (SELECT id FROM {pending_unlimited} AND {of_found}
           AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT 1) AS oldest_id,
       0 AS running, 0 AS failed, 0 AS parked
  FROM unlimited AS found WHERE priority IS NOT NULL
 UNION ALL
SELECT queue, job_name, spec_version,
       (SELECT count(*) FROM (
          SELECT 1 FROM {pending_limited} AND {of_found}
             AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT {most}) AS counted) AS due,
       (SELECT count(*) FROM (
          SELECT 1 FROM {pending_limited} AND {of_found}
             AND scheduled_for > {now} ORDER BY scheduled_for, id LIMIT {most}) AS counted) AS scheduled,
       (SELECT scheduled_for FROM {pending_limited} AND {of_found}
           AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT 1) AS oldest,
       (SELECT id FROM {pending_limited} AND {of_found}
           AND scheduled_for <= {now} ORDER BY scheduled_for, id LIMIT 1) AS oldest_id,
       0 AS running, 0 AS failed, 0 AS parked
  FROM limited AS found WHERE priority IS NOT NULL
 UNION ALL
SELECT queue, job_name, NULL, 0, 0, NULL, NULL, count(*), 0, 0
  FROM {leased_jobs} WHERE status = 'running' AND worker_expires_at IS NOT NULL GROUP BY queue, job_name
 UNION ALL
SELECT queue, job_name, NULL, 0, 0, NULL, NULL, 0,
       (SELECT count(*) FROM (
          SELECT 1 FROM {all_failed} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
           ORDER BY error_class, id LIMIT {most_failed}) AS counted), 0
  FROM failed_queue AS found WHERE queue IS NOT NULL
 UNION ALL
SELECT queue, job_name, NULL, 0, 0, NULL, NULL, 0, 0,
       (SELECT count(*) FROM (
          SELECT 1 FROM {all_parked} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
           ORDER BY id LIMIT {most_failed}) AS counted)
  FROM parked_queue AS found WHERE queue IS NOT NULL;

-- name: FAILURE_GROUPS
-- parameters: none
-- writes: no, repeatable: yes
-- Return the failed jobs of each name, queue and class of error: their number, and the newest one.
WITH RECURSIVE {failed_queues},
failed (job_name, queue, error_class) AS (
  SELECT job_name, queue, (SELECT jobs.error_class FROM {all_failed}
            AND jobs.error_class IS NOT NULL AND jobs.job_name = failed_queue.job_name
            AND jobs.queue = failed_queue.queue
          ORDER BY jobs.error_class LIMIT 1)
    FROM failed_queue WHERE queue IS NOT NULL
   UNION ALL
  SELECT job_name, queue, (SELECT jobs.error_class FROM {all_failed}
            AND jobs.error_class > failed.error_class AND jobs.job_name = failed.job_name
            AND jobs.queue = failed.queue
          ORDER BY jobs.error_class LIMIT 1)
    FROM failed WHERE error_class IS NOT NULL),
grouped AS (
  SELECT job_name, error_class AS error_class,
         (SELECT id FROM {all_failed} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
             AND jobs.error_class = found.error_class
           ORDER BY error_class DESC, id DESC LIMIT 1) AS newest_id,
         (SELECT count(*) FROM (
          SELECT 1 FROM {all_failed} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
             AND jobs.error_class = found.error_class
           ORDER BY error_class, id LIMIT {most}) AS counted) AS count
    FROM failed AS found WHERE {in_given_queues} AND error_class IS NOT NULL
   UNION ALL
  SELECT job_name, NULL AS error_class,
         (SELECT id FROM {all_failed} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
             AND jobs.error_class IS NULL
           ORDER BY error_class DESC, id DESC LIMIT 1) AS newest_id,
         (SELECT count(*) FROM (
          SELECT 1 FROM {all_failed} AND jobs.job_name = found.job_name AND jobs.queue = found.queue
             AND jobs.error_class IS NULL
           ORDER BY error_class, id LIMIT {most}) AS counted) AS count
    FROM failed_queue AS found WHERE {in_given_queues} AND queue IS NOT NULL)
SELECT job_name, error_class, count, newest_id,
       (SELECT CAST(jobs.error AS TEXT) FROM jobs WHERE jobs.id = newest_id) AS error,
       (SELECT jobs.completed_at FROM jobs WHERE jobs.id = newest_id) AS failed_at
  FROM grouped WHERE count > 0;
