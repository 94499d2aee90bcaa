-- Read the jobs of a batch.

-- name: COUNT_BATCH
-- parameters: id
-- writes: no, repeatable: yes
-- Count all jobs of the batch by status, except for the completion job. An index has all columns.
SELECT status, count(*) - (SELECT count(*) FROM jobs AS completion
                            WHERE completion.id = :id AND completion.batch_id = completion.id
                              AND completion.status = jobs.status) AS count
  FROM jobs WHERE batch_id = :id GROUP BY status;

-- name: BATCH_JOBS
-- parameters: id, job_name
-- writes: no, repeatable: yes
-- Return the jobs of the batch that have this name, except for the completion job.
SELECT id FROM jobs WHERE batch_id = :id AND job_name = :job_name AND id <> batch_id ORDER BY id;
