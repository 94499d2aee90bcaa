-- Read earlier attempts, workers, and the jobs that hold a limit.

-- name: ATTEMPTS
-- parameters: id
-- writes: no, repeatable: yes
-- Return the recorded attempts of a job.
SELECT {attempt_columns} FROM job_attempts WHERE job_id = :id ORDER BY number;

-- name: HOLDERS
-- parameters: job_name, concurrency_key
-- writes: no, repeatable: yes
-- Return the first running jobs with a concurrency key, and the number of all of them.
SELECT id, count(*) OVER () AS count FROM jobs
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND job_name = :job_name
   AND concurrency_key = :concurrency_key
 ORDER BY id LIMIT 10;

-- name: HELD_JOBS
-- parameters: id
-- writes: no, repeatable: yes
-- Return the jobs that a worker runs, and those whose lease it lost.
SELECT id FROM jobs WHERE status = 'running' AND worker_expires_at IS NOT NULL AND worker_id = :id
 UNION
SELECT job_id FROM job_attempts WHERE worker_id = :id AND outcome = 'expired'
 ORDER BY id LIMIT 100;

-- name: REMOVE_WORKER
-- parameters: id
-- writes: yes, repeatable: yes
-- Forget a worker that stops.
DELETE FROM job_workers WHERE id = :id;

-- name: WORKERS
-- parameters: none
-- writes: no, repeatable: yes
-- Return the known workers, and how many jobs each one runs.
SELECT job_workers.id AS id, host, pid, queues, concurrency, version, known, started_at, last_seen_at,
       expires_at >= {now} AS is_alive, COALESCE(held.count, 0) AS running
  FROM job_workers LEFT JOIN (
       SELECT worker_id, count(*) AS count FROM jobs
        WHERE status = 'running' AND worker_expires_at IS NOT NULL GROUP BY worker_id) AS held
    ON held.worker_id = job_workers.id
 ORDER BY job_workers.id;
