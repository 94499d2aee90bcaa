-- What there is to do for a worker, now and next.

-- name: COUNT_DUE
-- parameters: none
-- writes: no, repeatable: yes
-- Count the due jobs of the request. Jobs with and without limits have separate indexes.
SELECT sum(count) AS count FROM (
  SELECT count(*) AS count FROM jobs
   WHERE status = 'pending' AND {asked_job} AND scheduled_for <= {now}
     AND queue NOT IN (SELECT name FROM paused_queues) AND concurrency_key IS NULL
   UNION ALL
  SELECT count(*) FROM jobs
   WHERE status = 'pending' AND {asked_job} AND scheduled_for <= {now}
     AND queue NOT IN (SELECT name FROM paused_queues) AND concurrency_key IS NOT NULL) AS due;

-- fragment: known_names
-- parameters: known
-- The names of the request.
SELECT value->>0 FROM json_array_elements(CAST(:known AS json)) AS known (value)

-- name: PENDING_WORK
-- parameters: tick_id, tick_known, tick_interval
-- writes: no, repeatable: yes
-- The kinds of pending work, and whether the rows have the labels of the specs.
SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND worker_expires_at < {now}) AS has_expired,
       EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {now})
         AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs WHERE {due_schedule} AND job_name IN ({known_names})) AS has_due_schedule,
       EXISTS (
         WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
         {unlimited_is_due})
       OR EXISTS (
         WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
         {limited_groups}
         SELECT 1 AS due FROM pending_group AS place CROSS JOIN LATERAL (
           SELECT {due_columns} FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for <= {now}
            ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS found
          LIMIT 1) AS has_due_job,
       EXISTS (SELECT 1 FROM ({known_names} EXCEPT {limited_names}) AS name (job_name) CROSS JOIN LATERAL (
                 SELECT 1 FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
                    AND jobs.job_name = name.job_name LIMIT 1) AS former) AS has_mislabelled,
       EXISTS ({ended}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known
                      AND last_seen_at > {now} - CAST(:tick_interval AS bigint) * interval '1 millisecond')
         AS has_due_report;

-- name: UPCOMING_WORK
-- parameters: known, queues
-- writes: no, repeatable: yes
-- The milliseconds until the first job is due, until the first one that is not due yet, and until a lease or a slot.
-- Another program may have written `infinity`, which breaks arithmetic. The known jobs are an array, because the
-- planner would join a query with all running jobs.
SELECT CAST(ceil(extract(epoch FROM CASE WHEN due IS NOT NULL THEN
         LEAST(GREATEST(due, timestamptz 'epoch'), timestamptz '9999-12-31 UTC') END - {now}) * 1000) AS bigint)
         AS until_due,
       CAST(ceil(extract(epoch FROM CASE WHEN later IS NOT NULL THEN
         LEAST(GREATEST(later, timestamptz 'epoch'), timestamptz '9999-12-31 UTC') END - {now}) * 1000) AS bigint)
         AS until_later,
       CAST(ceil(extract(epoch FROM CASE WHEN lease_end IS NOT NULL THEN
         LEAST(GREATEST(lease_end, timestamptz 'epoch'), timestamptz '9999-12-31 UTC') END - {now}) * 1000) AS bigint)
         AS until_lease_end,
       CAST(ceil(extract(epoch FROM CASE WHEN slot IS NOT NULL THEN
         LEAST(GREATEST(slot, timestamptz 'epoch'), timestamptz '9999-12-31 UTC') END - {now}) * 1000) AS bigint)
         AS until_slot
  FROM (
    SELECT min(due) AS due, min(later) AS later,
           (SELECT worker_expires_at FROM jobs
             WHERE status = 'running' AND (CAST(:queues AS json) IS NULL OR {of_queues})
               AND ROW(job_name, spec_version) = ANY(ARRAY(
                 SELECT ROW(value->>0, CAST(value->>1 AS integer))
                   FROM json_array_elements(CAST(:known AS json)) AS known (value)))
             ORDER BY worker_expires_at LIMIT 1) AS lease_end,
           (SELECT min(COALESCE(next_run_at, timestamptz 'epoch')) FROM cron_jobs
             WHERE enabled AND job_name IN ({known_names})) AS slot
      FROM (
        SELECT due, later FROM (
          WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
          {unlimited_groups}
          SELECT found.scheduled_for AS due,
                 (SELECT jobs.scheduled_for FROM jobs WHERE {of_unlimited_group} AND jobs.scheduled_for > {now}
                   ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS later
            FROM pending_group AS place CROSS JOIN LATERAL (
              SELECT jobs.scheduled_for FROM jobs
               WHERE {of_unlimited_group} AND jobs.scheduled_for <= timestamptz 'infinity'
               ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS found) AS unlimited
         UNION ALL
        SELECT due, later FROM (
          WITH RECURSIVE known AS MATERIALIZED ({requested_jobs}),
          {limited_groups}
          SELECT found.scheduled_for AS due,
                 (SELECT jobs.scheduled_for FROM jobs WHERE {of_limited_group} AND jobs.scheduled_for > {now}
                   ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS later
            FROM pending_group AS place CROSS JOIN LATERAL (
              SELECT jobs.scheduled_for FROM jobs
               WHERE {of_limited_group} AND jobs.scheduled_for <= timestamptz 'infinity'
               ORDER BY jobs.scheduled_for, jobs.id LIMIT 1) AS found) AS limited) AS pending) AS upcoming;
