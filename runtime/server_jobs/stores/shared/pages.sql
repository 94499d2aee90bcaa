-- Pages of jobs at a bounded cost.
--
-- If few jobs have the status of the filter, an index finds them all, and the page has the newest of them. Otherwise a
-- page scans the newest jobs by id, up to a bound. `{ids}` stands for the fragment that finds the jobs of a status.

-- each: page_columns
-- columns: page
-- The columns of summaries and of filters, except for the id.
{column}

-- fragment: scanned
-- parameters: before, most_scanned
-- The newest jobs before a given one, up to a bound. NULL: the newest of all.
FROM jobs WHERE id < COALESCE(CAST(:before AS text), (SELECT max(id) || '0' FROM jobs))
 ORDER BY id DESC LIMIT CAST(:most_scanned AS integer)

-- fragment: previewed
-- parameters: none
-- The columns of a preview, except for the params.
SELECT {summary_columns}, {parked} AS is_parked, spec_version, substr(error, 1, 1000) AS error

-- fragment: with_short_params
-- parameters: none
-- The jobs of the page, with the params that are short. It reads no params of jobs outside of the page.
SELECT page.*, (SELECT params FROM jobs WHERE jobs.id = page.id AND {params_bytes} <= 2000) AS params

-- name: PAGE_OF_SCAN
-- parameters: page
-- writes: no, repeatable: yes
-- Return a page of the newest jobs that match.
{with_short_params}
  FROM ({previewed} FROM (SELECT id, {page_columns} {scanned}) AS jobs
         WHERE {matches} {page_order} LIMIT :page) AS page;

-- name: END_OF_SCAN
-- parameters: none
-- writes: no, repeatable: yes
-- Return the last job that PAGE_OF_SCAN scans, and the number of scanned jobs.
SELECT min(id) AS last, count(*) AS count FROM (SELECT id {scanned}) AS scanned;

-- name: PAGE_OF_INDEX
-- parameters: most_candidates, page
-- writes: no, repeatable: yes
-- Return a page of the newest jobs of a status that match.
{with_short_params}
  FROM ({previewed}
          FROM (SELECT chosen.id, {page_columns}
                  FROM (SELECT id FROM ({ids}) AS found WHERE {is_before}
                         ORDER BY id DESC LIMIT CAST(:most_candidates AS integer)) AS chosen
                 CROSS JOIN {each_chosen}) AS jobs
         WHERE {matches} {page_order} LIMIT :page) AS page;

-- name: COUNT_OF_INDEX
-- parameters: none
-- writes: no, repeatable: yes
-- Count the jobs of a status, up to a bound.
SELECT count(*) AS count FROM ({ids}) AS found;

-- name: IDS_OF_INDEX
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs of a status, up to a bound.
SELECT id FROM ({ids}) AS found;

-- fragment: cancelled_queues
-- parameters: none
-- The names and queues of cancelled jobs.
cancelled_job_name (job_name) AS (
  SELECT (SELECT jobs.job_name FROM {all_cancelled}
            AND jobs.job_name IS NOT NULL
          ORDER BY jobs.job_name LIMIT 1)
   UNION ALL
  SELECT (SELECT jobs.job_name FROM {all_cancelled}
            AND jobs.job_name > cancelled_job_name.job_name
          ORDER BY jobs.job_name LIMIT 1)
    FROM cancelled_job_name WHERE job_name IS NOT NULL),
cancelled_queue (job_name, queue) AS (
  SELECT job_name, (SELECT jobs.queue FROM {all_cancelled}
            AND jobs.queue IS NOT NULL AND jobs.job_name = cancelled_job_name.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM cancelled_job_name WHERE job_name IS NOT NULL
   UNION ALL
  SELECT job_name, (SELECT jobs.queue FROM {all_cancelled}
            AND jobs.queue > cancelled_queue.queue AND jobs.job_name = cancelled_queue.job_name
          ORDER BY jobs.queue LIMIT 1)
    FROM cancelled_queue WHERE queue IS NOT NULL)

-- fragment: wanted
-- parameters: job_name
-- The groups of the filter.
queue IS NOT NULL AND (CAST(:job_name AS text) IS NULL OR job_name = :job_name) AND {in_given_queues}

-- fragment: at_most_candidates
-- parameters: most_candidates
-- The bound of the candidates of a page.
LIMIT CAST(:most_candidates AS integer)

-- fragment: ids_pending
-- parameters: none
-- Pending jobs.
SELECT id FROM (
  WITH RECURSIVE {unlimited_queues}
  SELECT jobs.id FROM (SELECT * FROM unlimited_queue WHERE {wanted}) AS found
   CROSS JOIN {each_unlimited} {at_most_candidates}) AS without_limits
 UNION ALL
SELECT id FROM (
  WITH RECURSIVE {limited_queues}
  SELECT jobs.id FROM (SELECT * FROM limited_queue WHERE {wanted}) AS found
   CROSS JOIN {each_limited} {at_most_candidates}) AS with_limits

-- fragment: ids_running
-- parameters: none
-- Running jobs.
SELECT id FROM {leased_jobs} WHERE status = 'running' AND worker_expires_at IS NOT NULL {at_most_candidates}

-- fragment: ids_failed
-- parameters: none
-- Failed jobs.
WITH RECURSIVE {failed_queues}
SELECT jobs.id FROM (SELECT * FROM failed_queue WHERE {wanted}) AS found
 CROSS JOIN {each_failed} {at_most_candidates}

-- fragment: ids_failed_of_class
-- parameters: none
-- Failed jobs with a class of error.
WITH RECURSIVE {failed_queues}
SELECT jobs.id FROM (SELECT * FROM failed_queue WHERE {wanted}) AS found
 CROSS JOIN {each_failed_of_class} {at_most_candidates}

-- fragment: ids_parked
-- parameters: none
-- Failed jobs whose params could not be read.
WITH RECURSIVE {parked_queues}
SELECT jobs.id FROM (SELECT * FROM parked_queue WHERE {wanted}) AS found
 CROSS JOIN {each_parked} {at_most_candidates}

-- fragment: ids_cancelled
-- parameters: none
-- Cancelled jobs.
WITH RECURSIVE {cancelled_queues}
SELECT jobs.id FROM (SELECT * FROM cancelled_queue WHERE {wanted}) AS found
 CROSS JOIN {each_cancelled} {at_most_candidates}

-- fragment: ids_of_batch
-- parameters: none
-- The jobs of a batch.
SELECT id FROM (SELECT id FROM {resting_of_batch} {at_most_candidates}) AS resting
 UNION ALL
SELECT id FROM (SELECT id FROM {running_of_batch} {at_most_candidates}) AS running
