-- Parts of the statements that store jobs.

-- fragment: new_columns
-- parameters: none
-- The columns of a new job: those that the caller gives, and its times.
{given_columns},
       scheduled_for, start_before, status, created_at, updated_at

-- each: given_columns
-- columns: given
-- The columns that the caller gives.
{column}

-- each: replaced_columns
-- columns: replaced
-- The columns that a pending job takes from a new one, beside its times.
{column} = excluded.{column}

-- each: claim_columns
-- columns: claim
-- The columns of a claim.
{column}

-- fragment: into_pending
-- parameters: none
-- The new job in the place of a pending one, as if that one were new.
SET {replaced_columns},
       scheduled_for = CASE {reschedules} WHEN 1 THEN excluded.scheduled_for ELSE jobs.scheduled_for END,
       start_before = CASE {reschedules} WHEN 1 THEN excluded.start_before
                      ELSE jobs.scheduled_for + (excluded.start_before - excluded.scheduled_for) END,
       attempt_count = 0, progress = 0, progress_message = NULL, error = NULL, error_class = NULL,
       worker_started_at = NULL, worker_id = NULL, updated_at = {now}
 WHERE jobs.status = 'pending' AND (jobs.start_before < {now}) IS NOT TRUE
