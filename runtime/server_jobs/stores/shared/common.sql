-- Parts of statements that are the same in both dialects.

-- each: job_columns
-- columns: record
-- The fields of `JobRecord`.
{column}

-- each: summary_columns
-- columns: summary
-- The fields of `JobSummary`: the columns without long texts.
{column}

-- fragment: attempt_columns
-- parameters: none
-- The columns of `job_attempts`, except for the place of the row.
job_id, attempt, outcome, error, error_class, traceback, worker_id, started_at, ended_at

-- fragment: parked
-- parameters: none
-- A failed job whose params could not be read.
(status = 'failed' AND COALESCE(substr(error, 1, 12), '') = 'UNREADABLE: ')

-- fragment: owns_key
-- parameters: none
-- The owner of a unique key. A running job that a new one replaces has given it up.
status IN ('pending', 'running') AND replaced_by IS NULL

-- fragment: is_late
-- parameters: none
-- A pending job that had to start by now. It gives up its unique key to a new job.
(status = 'pending' AND start_before < {now})

-- fragment: released_error
-- parameters: none
-- The error of a released job: why it is cancelled instead of pending, or what it had before.
COALESCE('replaced by the job ' || jobs.replaced_by, jobs.error)

-- fragment: released_error_class
-- parameters: none
-- A job that is cancelled because another one replaced it has no class of error.
CASE WHEN jobs.replaced_by IS NULL THEN jobs.error_class END

-- fragment: expired_status
-- parameters: none
-- The status after the lease of an attempt expired. An expired attempt counts.
CASE WHEN cancel_requested THEN 'cancelled' WHEN attempt_count >= max_attempts THEN 'failed'
     WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END

-- fragment: expired_error
-- parameters: none
-- The error of a job whose lease expired.
'the worker died or stalled: its lease expired in attempt ' || attempt_count || ' of ' || max_attempts

-- fragment: replaced_attempt
-- parameters: none
-- A new attempt takes the slot of an old one, so that a job has a bounded number of rows.
ON CONFLICT (job_id, slot) DO UPDATE
   SET number = excluded.number, attempt = excluded.attempt, outcome = excluded.outcome, error = excluded.error,
       error_class = excluded.error_class, traceback = excluded.traceback, worker_id = excluded.worker_id,
       started_at = excluded.started_at, ended_at = excluded.ended_at

-- fragment: is_replaced
-- parameters: none
-- A running job that gave up its unique key to a new one.
status = 'running' AND replaced_by IS NOT NULL

-- fragment: first_of_its_key
-- parameters: none
-- Of several jobs with one unique key, the first one.
row_number() OVER (PARTITION BY unique_key, CASE WHEN unique_key IS NULL THEN id END ORDER BY id) = 1

-- fragment: key_is_free
-- parameters: none
-- No unfinished job owns the unique key of a finished job.
NOT EXISTS (SELECT 1 FROM jobs AS other
             WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
               AND other.replaced_by IS NULL)

-- fragment: key_is_not_of_another
-- parameters: none
-- No other unfinished job owns the unique key of a job.
NOT EXISTS (SELECT 1 FROM jobs AS other
             WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
               AND other.replaced_by IS NULL AND other.id <> jobs.id)

-- fragment: put_back
-- parameters: none
-- The new values of a job that a person makes pending again. The completion job of an open batch waits on.
status = 'pending', attempt_count = 0, progress = 0, progress_message = NULL, start_before = NULL,
       scheduled_for = CASE WHEN id = batch_id AND scheduled_for = {end_of_time} THEN scheduled_for ELSE {now} END,
       error = NULL, error_class = NULL, cancel_requested = false, worker_started_at = NULL, worker_id = NULL,
       completed_at = NULL, replaced_by = NULL, updated_at = {now}
