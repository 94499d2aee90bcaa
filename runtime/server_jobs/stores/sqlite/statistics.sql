-- Parts of the statements about queues, and the counts of workers.

-- fragment: pending_unlimited
-- parameters: none
-- Pending jobs without limits.
jobs INDEXED BY jobs_unlimited_group WHERE status = 'pending' AND concurrency_key IS NULL

-- fragment: pending_limited
-- parameters: none
-- Pending jobs with limits.
jobs INDEXED BY jobs_limited_group WHERE status = 'pending' AND concurrency_key IS NOT NULL

-- fragment: all_failed
-- parameters: none
-- Failed jobs.
jobs INDEXED BY jobs_failed WHERE status = 'failed'

-- fragment: all_parked
-- parameters: none
-- Failed jobs whose params could not be read.
jobs INDEXED BY jobs_parked WHERE status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '

-- fragment: leased_jobs
-- parameters: none
-- The table with the index of running jobs.
jobs INDEXED BY jobs_lease

-- fragment: most
-- parameters: most
-- The bound of a count. NULL: none.
COALESCE(:most, -1)

-- fragment: most_failed
-- parameters: most_failed
-- The bound of a count of failed jobs. NULL: none.
COALESCE(:most_failed, -1)

-- fragment: in_given_queues
-- parameters: queues
-- Rows of the given queues. NULL: of all.
(:queues IS NULL OR {of_queues})

-- name: ENQUEUED_COUNTS
-- parameters: none
-- writes: no, repeatable: yes
-- Count the jobs of the last minute by queue and name. Ids begin with the time of the machine that enqueued the job, so
-- that it reads few others; a minute more allows for clocks that differ.
SELECT queue, job_name, count(*) AS count FROM jobs
 WHERE id >= printf('%08x-%04x', ({now} - 120000) / 65536, ({now} - 120000) % 65536) AND created_at > ({now} - 60000)
 GROUP BY queue, job_name;

-- name: ADD_COUNTS
-- parameters: counts
-- writes: yes, repeatable: no
-- Add counts of finished jobs to a minute, and to 0 for all minutes together.
INSERT INTO job_counts (minute, queue, job_name, completed, failed, retried)
SELECT moment.minute, value->>'queue', value->>'job_name', value->>'completed', value->>'failed', value->>'retried'
  FROM json_each(:counts) CROSS JOIN (SELECT {now} / 60000 * 60000 AS minute UNION ALL SELECT 0) AS moment
 WHERE true
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = completed + excluded.completed, failed = failed + excluded.failed,
       retried = retried + excluded.retried;

-- name: FINISHED_COUNTS
-- parameters: since, until
-- writes: no, repeatable: yes
-- Return the counts of these minutes.
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= :since AND minute <= :until ORDER BY minute, queue, job_name;

-- name: FORGET_COUNTS
-- parameters: age
-- writes: yes, repeatable: no
-- Delete the counts of old minutes.
DELETE FROM job_counts WHERE minute > 0 AND minute < {now} - :age RETURNING minute;
