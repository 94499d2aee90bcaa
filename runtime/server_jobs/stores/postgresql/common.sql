-- Parts of statements for PostgreSQL, where many transactions run at the same time.
--
-- * Times are `timestamptz`. Durations, and times that are parameters, are milliseconds. `{now}` is the time at which
--   the statement began. Casts are written CAST, because `:name` is a parameter.
-- * Every statement locks rows in one order, or skips locked rows, so that two batches cannot deadlock.
-- * No plan depends on statistics, which are outdated as soon as they are collected for a queue. The statements leave
--   the planner no choice: an ordered index scan with a limit that it cannot know, look-ups by row location or primary
--   key, and session settings that avoid sequential scans (`databases.postgres.driver.session_settings`).

-- fragment: given_now
-- parameters: none
-- Replaces the time of the database: in tests, and where several statements must agree. An interval times the number of
-- milliseconds would lose precision.
(timestamptz 'epoch' + CAST(:now AS bigint) / 1000 * interval '1 second'
 + CAST(:now AS bigint) % 1000 * interval '1 millisecond')

-- fragment: lease
-- parameters: lease
-- The duration of a lease.
CAST(:lease AS bigint) * interval '1 millisecond'

-- each: has_equal_values
-- columns: equal
-- The values of a filter that columns must have.
AND (CAST(:{column} AS {type}) IS NULL OR {column} = :{column})

-- fragment: matches
-- parameters: statuses, queues, batch_id, spec_version, older_than, newer_than, parked
-- The condition of a filter of jobs. A parameter that is NULL filters nothing.
(CAST(:statuses AS json) IS NULL OR status IN (SELECT json_array_elements_text(CAST(:statuses AS json))))
   AND (CAST(:queues AS json) IS NULL OR queue IN (SELECT json_array_elements_text(CAST(:queues AS json))))
   {has_equal_values}
   AND (CAST(:batch_id AS text) IS NULL OR batch_id = :batch_id AND id <> batch_id)
   AND (CAST(:spec_version AS integer) IS NULL OR spec_version = :spec_version)
   AND (CAST(:older_than AS bigint) IS NULL
        OR COALESCE(completed_at, created_at) < {now} - CAST(:older_than AS bigint) * interval '1 millisecond')
   AND (CAST(:newer_than AS bigint) IS NULL
        OR COALESCE(completed_at, created_at) >= {now} - CAST(:newer_than AS bigint) * interval '1 millisecond')
   AND (CAST(:parked AS integer) = 0 OR {parked})

-- fragment: unflushed
-- parameters: none
-- Commit without waiting for the disk. If a crash of the server undoes a claim or a renewal, another worker may claim
-- the job, and the fencing token refuses the outcome of this one. The next stored outcome flushes them as well. Claims
-- of jobs with limits wait for the disk: after a crash the running jobs must still count.
(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL

-- fragment: bounded
-- parameters: none
-- Limit the wait for another transaction. The loser of a race for a unique key waits for the end of the winner's
-- transaction. The statement itself limits the wait, because a pooler would lose a setting of the session.
(SELECT set_config('lock_timeout', '5s', true)) IS NOT NULL

-- fragment: soon
-- parameters: none
-- An outcome waits briefly for a locked row, because other outcomes wait behind it.
(SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL

-- fragment: of_queues
-- parameters: queues
-- Rows of these queues.
queue = ANY(ARRAY(SELECT json_array_elements_text(CAST(:queues AS json))))

-- fragment: given
-- parameters: ids
-- The jobs with these ids.
id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))

-- fragment: document_bytes
-- parameters: none
-- The size of the documents of a job.
octet_length(params) + COALESCE(octet_length(result), 0)

-- fragment: end_of_time
-- parameters: none
-- The due time of the completion job of an open batch: the end of the year 9999.
timestamptz '9999-12-31T00:00:00+00:00'
