-- Explain why a job waits, and record workers.

-- fragment: known_jobs
-- parameters: known
-- The names and versions that workers can read.
(SELECT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)) AS known

-- fragment: of_known
-- parameters: queue
-- Jobs of the group `known` in a queue.
jobs.job_name = known.job_name
       AND jobs.spec_version = known.spec_version AND jobs.queue = :queue

-- fragment: is_due_earlier
-- parameters: priority, due, id
-- Due jobs with the same priority that were due before a job.
jobs.priority = :priority AND scheduled_for <= min({now}, :due)
       AND (scheduled_for, jobs.id) < (:due, :id)

-- name: AHEAD
-- parameters: priority, most
-- writes: no, repeatable: yes
-- Count the due jobs of the queue of a pending job that are claimed before it: with a higher priority, or due before
-- it.
SELECT {now} AS now, (
  SELECT count(*) FROM (
    SELECT 1 FROM (
    SELECT 1 FROM {known_jobs} CROSS JOIN {pending_unlimited} AND {of_known}
       AND jobs.priority > :priority AND scheduled_for <= {now}
     UNION ALL
    SELECT 1 FROM {known_jobs} CROSS JOIN {pending_unlimited} AND {of_known} AND {is_due_earlier})
     UNION ALL
    SELECT 1 FROM (
    SELECT 1 FROM {known_jobs} CROSS JOIN {pending_limited} AND {of_known}
       AND jobs.priority > :priority AND scheduled_for <= {now}
     UNION ALL
    SELECT 1 FROM {known_jobs} CROSS JOIN {pending_limited} AND {of_known} AND {is_due_earlier})
     LIMIT :most)) AS ahead;

-- name: RATE_FREE_AT
-- parameters: job_name, rate_key, period, limit
-- writes: no, repeatable: yes
-- Return when the start that blocks a rate leaves its period.
SELECT started_at + :period AS free_at FROM job_starts
 WHERE job_name = :job_name AND rate_key = :rate_key AND started_at >= {now} - :period
 ORDER BY started_at DESC LIMIT 1 OFFSET :limit - 1;

-- name: REPORT_WORKER
-- parameters: id, host, pid, queues, concurrency, version, known, lease
-- writes: yes, repeatable: yes, unflushed: yes
-- Record that a worker is alive. A worker that was taken for dead comes back with its next report.
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at;

-- name: REPORT_TICK
-- parameters: id, host, pid, queues, concurrency, version, known, lease
-- writes: yes, repeatable: no
-- Record a tick. It is expected again after twice the time since the last one.
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, concurrency = excluded.concurrency, version = excluded.version, known = excluded.known,
       last_seen_at = excluded.last_seen_at,
       expires_at = max(excluded.expires_at, excluded.last_seen_at + 2 * (excluded.last_seen_at - last_seen_at));

-- name: FORGET_WORKERS
-- parameters: age
-- writes: yes, repeatable: no
-- Forget workers that died long ago.
DELETE FROM job_workers WHERE expires_at < {now} - :age RETURNING id;
