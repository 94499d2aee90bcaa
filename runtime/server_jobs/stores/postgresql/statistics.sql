-- Parts of the statements about queues, and the counts of workers. The server chooses the index that has the condition
-- of the query.

-- fragment: pending_unlimited
-- parameters: none
-- Pending jobs without limits.
jobs WHERE status = 'pending' AND concurrency_key IS NULL

-- fragment: pending_limited
-- parameters: none
-- Pending jobs with limits.
jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL

-- fragment: all_failed
-- parameters: none
-- Failed jobs.
jobs WHERE status = 'failed'

-- fragment: all_parked
-- parameters: none
-- Failed jobs whose params could not be read.
jobs WHERE status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '

-- fragment: leased_jobs
-- parameters: none
-- The table with the index of running jobs.
jobs

-- fragment: most
-- parameters: most
-- The bound of a count. A subquery, because the planner must not know it: it would plan each query again.
(SELECT CAST(:most AS integer))

-- fragment: most_failed
-- parameters: most_failed
-- The bound of a count of failed jobs.
(SELECT CAST(:most_failed AS integer))

-- fragment: in_given_queues
-- parameters: queues
-- Rows of the given queues. NULL: of all.
(CAST(:queues AS json) IS NULL OR {of_queues})

-- name: ENQUEUED_COUNTS
-- parameters: none
-- writes: no, repeatable: yes
-- Count the jobs of the last minute by queue and name. Ids begin with the time of the machine that enqueued the job, so
-- that it reads few others; a minute more allows for clocks that differ.
SELECT queue, job_name, count(*) AS count FROM jobs
 WHERE id >= overlay(lpad(to_hex(CAST(floor(extract(epoch FROM ({now} - interval '120000 milliseconds')) * 1000)
                                      AS bigint)), 12, '0') PLACING '-' FROM 9 FOR 0)
   AND created_at > ({now} - interval '60000 milliseconds')
 GROUP BY queue, job_name;

-- name: ADD_COUNTS
-- parameters: counts
-- writes: yes, repeatable: no
-- Add counts of finished jobs to a minute, and to 1970 for all minutes together. Rows in the order of their keys, so
-- that two workers cannot deadlock.
INSERT INTO job_counts AS counted (minute, queue, job_name, completed, failed, retried)
SELECT moment.minute, new.queue, new.job_name, new.completed, new.failed, new.retried
  FROM json_to_recordset(CAST(:counts AS json)) AS new (
       queue text, job_name text, completed bigint, failed bigint, retried bigint)
 CROSS JOIN (VALUES (date_trunc('minute', {now}, 'UTC')), (timestamptz 'epoch')) AS moment (minute)
 WHERE {unflushed} AND {soon}
 ORDER BY moment.minute, new.queue, new.job_name
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = counted.completed + excluded.completed, failed = counted.failed + excluded.failed,
       retried = counted.retried + excluded.retried;

-- name: FINISHED_COUNTS
-- parameters: since, until
-- writes: no, repeatable: yes
-- Return the counts of these minutes.
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= timestamptz 'epoch' + CAST(:since AS bigint) / 1000 * interval '1 second'
                 + CAST(:since AS bigint) % 1000 * interval '1 millisecond'
   AND minute <= timestamptz 'epoch' + CAST(:until AS bigint) / 1000 * interval '1 second'
                 + CAST(:until AS bigint) % 1000 * interval '1 millisecond'
 ORDER BY minute, queue, job_name;

-- name: FORGET_COUNTS
-- parameters: age
-- writes: yes, repeatable: no
-- Delete the counts of old minutes.
DELETE FROM job_counts
 WHERE minute > timestamptz 'epoch' AND minute < {now} - CAST(:age AS bigint) * interval '1 millisecond'
RETURNING minute;
