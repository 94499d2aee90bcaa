-- Read the jobs of a batch. The index of batches has those that do not run, so that a claim writes no entry of it. The
-- few that run are found among all that run.

-- fragment: resting_of_batch
-- parameters: batch_id
-- The jobs of the batch that do not run.
{jobs_of_batches} WHERE batch_id = :batch_id AND status <> 'running'

-- fragment: running_of_batch
-- parameters: batch_id
-- The jobs of the batch that run.
{leased_jobs} WHERE status = 'running' AND worker_expires_at IS NOT NULL AND batch_id = :batch_id

-- fragment: is_running_batch
-- parameters: none
-- Whether a job of the batch with this id runs.
IN (SELECT batch_id FROM {leased_jobs}
     WHERE status = 'running' AND worker_expires_at IS NOT NULL AND batch_id IS NOT NULL)

-- name: COUNT_BATCH
-- parameters: batch_id
-- writes: no, repeatable: yes
-- Count all jobs of the batch by status, except for the completion job. An index has all columns of those at rest.
SELECT status, count(*) - (SELECT count(*) FROM jobs AS completion
                            WHERE completion.id = :batch_id AND completion.batch_id = completion.id
                              AND completion.status = found.status) AS count
  FROM (SELECT status FROM {resting_of_batch} UNION ALL SELECT status FROM {running_of_batch}) AS found
 GROUP BY status;

-- name: BATCH_JOBS
-- parameters: job_name
-- writes: no, repeatable: yes
-- Return the jobs of the batch that have this name, except for the completion job.
SELECT id FROM {resting_of_batch} AND job_name = :job_name AND id <> batch_id
 UNION ALL
SELECT id FROM {running_of_batch} AND job_name = :job_name AND id <> batch_id
 ORDER BY id;
