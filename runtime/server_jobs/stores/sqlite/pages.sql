-- Parts of the pages of jobs.

-- fragment: all_cancelled
-- parameters: none
-- Cancelled jobs.
jobs INDEXED BY jobs_cancelled WHERE status = 'cancelled'

-- fragment: jobs_of_batches
-- parameters: none
-- The table with the index of batches.
jobs INDEXED BY jobs_batch

-- fragment: page_order
-- parameters: none
-- The source has the order of the page. With an ORDER BY, SQLite would read all of it.


-- fragment: params_bytes
-- parameters: none
-- The size of the params.
length(CAST(params AS BLOB))

-- fragment: each_chosen
-- parameters: none
-- The row of each chosen job.
jobs ON jobs.id = chosen.id

-- fragment: each_unlimited
-- parameters: none
-- Pending jobs without limits of each group.
jobs INDEXED BY jobs_unlimited_group ON status = 'pending' AND concurrency_key IS NULL
     AND jobs.job_name = found.job_name AND jobs.spec_version = found.spec_version AND jobs.queue = found.queue

-- fragment: each_limited
-- parameters: none
-- Pending jobs with limits of each group.
jobs INDEXED BY jobs_limited_group ON status = 'pending' AND concurrency_key IS NOT NULL
     AND jobs.job_name = found.job_name AND jobs.spec_version = found.spec_version AND jobs.queue = found.queue

-- fragment: each_failed
-- parameters: none
-- Failed jobs of each group.
jobs INDEXED BY jobs_failed ON status = 'failed'
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue

-- fragment: each_failed_of_class
-- parameters: error_class
-- Failed jobs with a class of error of each group.
jobs INDEXED BY jobs_failed ON status = 'failed'
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue AND jobs.error_class = :error_class

-- fragment: each_parked
-- parameters: none
-- Parked jobs of each group.
jobs INDEXED BY jobs_parked ON status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: '
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue

-- fragment: each_cancelled
-- parameters: none
-- Cancelled jobs of each group.
jobs INDEXED BY jobs_cancelled ON status = 'cancelled'
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue
