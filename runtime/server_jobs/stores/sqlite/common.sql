-- Parts of statements for SQLite and its relatives.
--
-- Times and durations are milliseconds. `{now}` is the time of the database, one for the whole statement. Lists travel
-- as one JSON parameter: a batch of any size is one statement, also where a statement has at most 100 parameters.

-- fragment: given_now
-- parameters: none
-- Replaces the time of the database: in tests, and where several statements must agree.
:now

-- each: has_equal_values
-- columns: equal
-- The values of a filter that columns must have.
AND (:{column} IS NULL OR {column} = :{column})

-- fragment: matches
-- parameters: statuses, queues, batch_id, spec_version, older_than, newer_than, parked
-- The condition of a filter of jobs. A parameter that is NULL filters nothing.
(:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
   {has_equal_values}
   AND (:batch_id IS NULL OR batch_id = :batch_id AND id <> batch_id)
   AND (:spec_version IS NULL OR spec_version = :spec_version)
   AND (:older_than IS NULL OR COALESCE(completed_at, created_at) < {now} - :older_than)
   AND (:newer_than IS NULL OR COALESCE(completed_at, created_at) >= {now} - :newer_than)
   AND (:parked = 0 OR {parked})

-- fragment: of_queues
-- parameters: queues
-- Rows of these queues.
queue IN (SELECT value FROM json_each(:queues))

-- fragment: given
-- parameters: ids
-- The jobs with these ids.
id IN (SELECT value FROM json_each(:ids))

-- fragment: document_bytes
-- parameters: none
-- The size of the documents of a job.
length(CAST(params AS BLOB)) + COALESCE(length(CAST(result AS BLOB)), 0)

-- fragment: end_of_time
-- parameters: none
-- The due time of the completion job of an open batch: the end of the year 9999.
253402214400000
