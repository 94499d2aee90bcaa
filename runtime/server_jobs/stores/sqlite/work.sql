-- What there is to do for a worker, now and next.

-- name: COUNT_DUE
-- parameters: none
-- writes: no, repeatable: yes
-- Count the due jobs of the request. Jobs with and without limits have separate indexes.
SELECT sum(count) AS count FROM (
  SELECT count(*) AS count FROM jobs
   WHERE {asked_job} AND scheduled_for <= {now} AND queue NOT IN (SELECT name FROM paused_queues)
     AND concurrency_key IS NULL
   UNION ALL
  SELECT count(*) FROM jobs
   WHERE {asked_job} AND scheduled_for <= {now} AND queue NOT IN (SELECT name FROM paused_queues)
     AND concurrency_key IS NOT NULL);

-- name: PENDING_WORK
-- parameters: known, tick_id, tick_known, tick_interval
-- writes: no, repeatable: yes
-- The kinds of pending work, and whether the rows have the labels of the specs.
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND worker_expires_at < {now})
         AS has_expired,
       EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_start_before
                WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {now}) AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs
                WHERE {due_schedule} AND job_name IN (SELECT value->>0 FROM json_each(:known))) AS has_due_schedule,
       EXISTS (
         WITH RECURSIVE known_job AS MATERIALIZED (
           SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
         {unlimited_groups}
         SELECT 1 FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_unlimited_group
          WHERE {of_unlimited_group} AND jobs.scheduled_for <= {now})
       OR EXISTS (
         WITH RECURSIVE known_job AS MATERIALIZED (
           SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
         {limited_groups}
         SELECT 1 FROM pending_group AS place CROSS JOIN jobs INDEXED BY jobs_limited_group
          WHERE {of_limited_group} AND jobs.scheduled_for <= {now}) AS has_due_job,
       EXISTS ({mislabelled}) AS has_mislabelled,
       EXISTS (SELECT id FROM jobs INDEXED BY jobs_completion WHERE {ended}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known AND last_seen_at > {now} - :tick_interval)
         AS has_due_report;

-- name: UPCOMING_WORK
-- parameters: known, queues
-- writes: no, repeatable: yes
-- The milliseconds until the first job is due, until the first one that is not due yet, and until a lease or a slot.
SELECT min(due) - {now} AS until_due, min(later) - {now} AS until_later,
       (SELECT worker_expires_at FROM jobs INDEXED BY jobs_lease
         WHERE status = 'running' AND (:queues IS NULL OR {of_queues})
           AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
         ORDER BY worker_expires_at LIMIT 1) - {now} AS until_lease_end,
       (SELECT min(COALESCE(next_run_at, 0)) FROM cron_jobs
         WHERE enabled AND job_name IN (SELECT value->>0 FROM json_each(:known))) - {now} AS until_slot
  FROM (
    SELECT due, later FROM (
      WITH RECURSIVE known_job AS MATERIALIZED (
        SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
      {unlimited_groups}
      SELECT (SELECT jobs.scheduled_for FROM jobs INDEXED BY jobs_unlimited_group
               WHERE {of_unlimited_group} ORDER BY jobs.scheduled_for LIMIT 1) AS due,
             (SELECT jobs.scheduled_for FROM jobs INDEXED BY jobs_unlimited_group
               WHERE {of_unlimited_group} AND jobs.scheduled_for > {now}
               ORDER BY jobs.scheduled_for LIMIT 1) AS later
        FROM pending_group AS place)
     UNION ALL
    SELECT due, later FROM (
      WITH RECURSIVE known_job AS MATERIALIZED (
        SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)),
      {limited_groups}
      SELECT (SELECT jobs.scheduled_for FROM jobs INDEXED BY jobs_limited_group
               WHERE {of_limited_group} ORDER BY jobs.scheduled_for LIMIT 1) AS due,
             (SELECT jobs.scheduled_for FROM jobs INDEXED BY jobs_limited_group
               WHERE {of_limited_group} AND jobs.scheduled_for > {now}
               ORDER BY jobs.scheduled_for LIMIT 1) AS later
        FROM pending_group AS place));
