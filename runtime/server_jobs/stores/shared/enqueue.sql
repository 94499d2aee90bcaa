-- Parts of the statements that store jobs.

-- fragment: new_columns
-- parameters: none
-- The columns of a new job: those that the caller gives, and its times.
id, params, unique_key, concurrency_key, rate_key, job_name, queue, priority, spec_version, max_attempts,
correlation_id, headers, batch_id, scheduled_for, start_before, status, created_at, updated_at

-- fragment: claim_columns
-- parameters: none
-- The columns of a claim.
id, job_name, spec_version, params, attempt_count, max_attempts, correlation_id, headers, batch_id, queue, scheduled_for

-- fragment: into_pending
-- parameters: none
-- The new job in the place of a pending one, as if that one were new.
SET params = excluded.params, concurrency_key = excluded.concurrency_key, rate_key = excluded.rate_key,
       queue = excluded.queue, priority = excluded.priority, spec_version = excluded.spec_version,
       max_attempts = excluded.max_attempts, correlation_id = excluded.correlation_id, headers = excluded.headers,
       batch_id = excluded.batch_id,
       scheduled_for = CASE {reschedules} WHEN 1 THEN excluded.scheduled_for ELSE jobs.scheduled_for END,
       start_before = CASE {reschedules} WHEN 1 THEN excluded.start_before
                      ELSE jobs.scheduled_for + (excluded.start_before - excluded.scheduled_for) END,
       attempt_count = 0, progress = 0, progress_message = NULL, error = NULL, error_class = NULL,
       worker_started_at = NULL, worker_id = NULL, updated_at = {now}
 WHERE jobs.status = 'pending' AND (jobs.start_before < {now}) IS NOT TRUE
