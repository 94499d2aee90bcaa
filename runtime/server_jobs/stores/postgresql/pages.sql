-- Parts of the pages of jobs. With an order and a limit, the planner walks along the index of each group.

-- fragment: all_cancelled
-- parameters: none
-- Cancelled jobs.
jobs WHERE status = 'cancelled'

-- fragment: jobs_of_batches
-- parameters: none
-- The table.
jobs

-- fragment: page_order
-- parameters: none
-- The order of a page.
ORDER BY id DESC

-- fragment: params_bytes
-- parameters: none
-- The size of the params: `octet_length` knows it without reading a long text.
octet_length(params)

-- fragment: each_chosen
-- parameters: none
-- The row of each chosen job. OFFSET keeps the planner from any other order of the rows.
LATERAL (SELECT {page_columns} FROM jobs WHERE jobs.id = chosen.id OFFSET 0) AS jobs

-- fragment: each_unlimited
-- parameters: none
-- Pending jobs without limits of each group.
LATERAL (SELECT id FROM {pending_unlimited}
     AND jobs.job_name = found.job_name AND jobs.spec_version = found.spec_version AND jobs.queue = found.queue
   ORDER BY priority DESC, scheduled_for {at_most_candidates}) AS jobs

-- fragment: each_limited
-- parameters: none
-- Pending jobs with limits of each group.
LATERAL (SELECT id FROM {pending_limited}
     AND jobs.job_name = found.job_name AND jobs.spec_version = found.spec_version AND jobs.queue = found.queue
   ORDER BY priority DESC, scheduled_for {at_most_candidates}) AS jobs

-- fragment: each_failed
-- parameters: none
-- Failed jobs of each group.
LATERAL (SELECT id FROM {all_failed}
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue
   ORDER BY error_class, id {at_most_candidates}) AS jobs

-- fragment: each_failed_of_class
-- parameters: error_class
-- Failed jobs with a class of error of each group.
LATERAL (SELECT id FROM {all_failed}
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue AND jobs.error_class = :error_class
   ORDER BY error_class, id {at_most_candidates}) AS jobs

-- fragment: each_parked
-- parameters: none
-- Parked jobs of each group.
LATERAL (SELECT id FROM {all_parked}
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue
   ORDER BY id {at_most_candidates}) AS jobs

-- fragment: each_cancelled
-- parameters: none
-- Cancelled jobs of each group.
LATERAL (SELECT id FROM {all_cancelled}
     AND jobs.job_name = found.job_name AND jobs.queue = found.queue
   ORDER BY id {at_most_candidates}) AS jobs
