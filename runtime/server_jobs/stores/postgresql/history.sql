-- Explain why a job waits, and record workers.

-- fragment: of_known
-- parameters: queue
-- Jobs of the group `known` in a queue.
jobs.job_name = value->>0
          AND jobs.spec_version = CAST(value->>1 AS integer) AND jobs.queue = :queue

-- fragment: due_of_job
-- parameters: due
-- When a job is due.
timestamptz 'epoch' + CAST(:due AS bigint) / 1000 * interval '1 second'
 + CAST(:due AS bigint) % 1000 * interval '1 millisecond'

-- fragment: in_order_of_claims
-- parameters: most
-- With an order and a limit, the planner walks along the index.
ORDER BY jobs.priority DESC, scheduled_for, jobs.id LIMIT (SELECT CAST(:most AS integer))

-- name: AHEAD
-- parameters: known, priority, id, most
-- writes: no, repeatable: yes
-- Count the due jobs of the queue of a pending job that are claimed before it: with a higher priority, or due before
-- it.
SELECT {now} AS now, (
  SELECT count(*) FROM (
    SELECT 1 FROM json_array_elements(CAST(:known AS json)) AS known (value) CROSS JOIN LATERAL (
      (SELECT 1 FROM {pending_unlimited} AND {of_known}
          AND jobs.priority > CAST(:priority AS integer) AND scheduled_for <= {now}
        {in_order_of_claims})
       UNION ALL
      (SELECT 1 FROM {pending_unlimited} AND {of_known}
          AND jobs.priority = CAST(:priority AS integer) AND scheduled_for <= {now}
          AND (scheduled_for, jobs.id) < ({due_of_job}, :id)
        {in_order_of_claims})) AS found
     UNION ALL
    SELECT 1 FROM json_array_elements(CAST(:known AS json)) AS known (value) CROSS JOIN LATERAL (
      (SELECT 1 FROM {pending_limited} AND {of_known}
          AND jobs.priority > CAST(:priority AS integer) AND scheduled_for <= {now}
        {in_order_of_claims})
       UNION ALL
      (SELECT 1 FROM {pending_limited} AND {of_known}
          AND jobs.priority = CAST(:priority AS integer) AND scheduled_for <= {now}
          AND (scheduled_for, jobs.id) < ({due_of_job}, :id)
        {in_order_of_claims})) AS found
     LIMIT (SELECT CAST(:most AS integer))) AS before_it) AS ahead;

-- name: RATE_FREE_AT
-- parameters: job_name, rate_key, period, limit
-- writes: no, repeatable: yes
-- Return when the start that blocks a rate leaves its period.
SELECT started_at + CAST(:period AS bigint) * interval '1 millisecond' AS free_at FROM job_starts
 WHERE job_name = :job_name AND rate_key = :rate_key
   AND started_at >= {now} - CAST(:period AS bigint) * interval '1 millisecond'
 ORDER BY started_at DESC LIMIT 1 OFFSET CAST(:limit AS bigint) - 1;

-- name: REPORT_WORKER
-- parameters: id, host, pid, queues, concurrency, version, known
-- writes: yes, repeatable: yes, unflushed: yes
-- Record that a worker is alive. A worker that was taken for dead comes back with its next report.
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
SELECT CAST(:id AS text), CAST(:host AS text), CAST(:pid AS integer), CAST(:queues AS text),
       CAST(:concurrency AS integer), CAST(:version AS text), CAST(:known AS text), {now}, {now}, {now} + {lease}
 WHERE {unflushed}
    ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at;

-- name: REPORT_TICK
-- parameters: id, host, pid, queues, concurrency, version, known
-- writes: yes, repeatable: no
-- Record a tick. It is expected again after twice the time since the last one.
INSERT INTO job_workers AS last
       (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, CAST(:pid AS integer), :queues, :concurrency, :version, :known, {now}, {now},
        {now} + {lease})
    ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, concurrency = excluded.concurrency, version = excluded.version, known = excluded.known,
       last_seen_at = excluded.last_seen_at,
       expires_at = GREATEST(excluded.expires_at,
                             excluded.last_seen_at + 2 * (excluded.last_seen_at - last.last_seen_at));

-- name: FORGET_WORKERS
-- parameters: age
-- writes: yes, repeatable: no
-- Forget workers that died long ago.
DELETE FROM job_workers WHERE expires_at < {now} - CAST(:age AS bigint) * interval '1 millisecond' RETURNING id;
