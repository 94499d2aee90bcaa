-- Parts of the statements that read jobs, and the check of the tables.

-- fragment: is_before
-- parameters: before
-- Jobs before a given one. NULL: all.
(CAST(:before AS text) IS NULL OR id < :before)

-- fragment: is_since
-- parameters: since
-- Jobs created at this time or later. NULL: all.
CAST(:since AS bigint) IS NULL
    OR created_at >= timestamptz 'epoch' + :since / 1000 * interval '1 second'
                     + :since % 1000 * interval '1 millisecond'

-- fragment: params_text
-- parameters: none
-- The params.
params

-- fragment: result_text
-- parameters: none
-- The result.
result

-- fragment: searched_text
-- parameters: part
-- The document of the first condition.
CASE CAST(:part AS text) WHEN 'result' THEN COALESCE(result, '') ELSE params END

-- fragment: may_have_value
-- parameters: needles, is_number
-- Whether the text of a document may contain the value of the first condition. A number has many texts with
-- an exponent.
(EXISTS (SELECT 1 FROM json_array_elements_text(CAST(:needles AS json)) AS needle
                 WHERE strpos({searched_text}, needle) > 0)
        OR (CAST(:is_number AS integer) = 1 AND {searched_text} ~ '[0-9][eE]'))

-- name: ALLOW_SCAN
-- parameters: none
-- writes: no, repeatable: yes
-- Allow sequential scans until the transaction ends: for COUNT, which reads the whole table.
SELECT set_config('enable_seqscan', 'on', true);

-- name: AVOID_JIT
-- parameters: none
-- writes: no, repeatable: yes
-- Compile nothing until the transaction ends. Statistics and pages have so many parts that the server would compile
-- them for seconds, behind a pooler at every call.
SELECT set_config('jit', 'off', true);

-- name: PLAN_ANEW
-- parameters: none
-- writes: no, repeatable: yes
-- Plan for the values of parameters until the transaction ends. A filter that few jobs match reads the whole table. A
-- plan for its values compares fewer columns, in parallel.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- each: may_read_columns
-- columns: record
-- Whether the role may read each column of `jobs`. Fails if one is missing.
has_column_privilege(regclass 'jobs', '{column}', 'SELECT')

-- name: PROBE
-- parameters: none
-- writes: no, repeatable: yes
-- Fail if a table or a column is missing. Reads the catalog only: a role need not be allowed to read every table.
SELECT {may_read_columns},
       has_column_privilege(regclass 'cron_jobs', 'spec_version', 'SELECT'),
       has_column_privilege(regclass 'job_starts', 'id', 'SELECT'),
       has_column_privilege(regclass 'paused_queues', 'name', 'SELECT'),
       has_column_privilege(regclass 'job_audit', 'id', 'SELECT'),
       has_column_privilege(regclass 'job_attempts', 'slot', 'SELECT'),
       has_column_privilege(regclass 'job_workers', 'id', 'SELECT'),
       has_column_privilege(regclass 'job_counts', 'minute', 'SELECT');
