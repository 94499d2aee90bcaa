-- Parts of the statements that read jobs, and the check of the tables.

-- fragment: is_before
-- parameters: before
-- Jobs before a given one. NULL: all.
(:before IS NULL OR id < :before)

-- fragment: is_since
-- parameters: since
-- Jobs created at this time or later. NULL: all.
:since IS NULL OR created_at >= :since

-- fragment: params_text
-- parameters: none
-- The params. Another program may have stored bytes.
CAST(params AS TEXT)

-- fragment: result_text
-- parameters: none
-- The result. Another program may have stored bytes.
CAST(result AS TEXT)

-- fragment: searched_text
-- parameters: part
-- The document of the first condition.
CASE :part WHEN 'result' THEN COALESCE(CAST(result AS TEXT), '') ELSE CAST(params AS TEXT) END

-- fragment: may_have_value
-- parameters: needles, is_number
-- Whether the text of a document may contain the value of the first condition. A number has many texts with
-- an exponent.
(EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr({searched_text}, value) > 0)
        OR (:is_number = 1 AND {searched_text} GLOB '*[0-9][eE]*'))

-- none: ALLOW_SCAN
-- Scans are not avoided.

-- none: AVOID_JIT
-- Nothing is compiled.

-- none: PLAN_ANEW
-- Each statement has one plan.

-- name: PROBE
-- parameters: none
-- writes: no, repeatable: yes
-- Fail if a table or a column is missing: each column of `jobs`, and the newest column of each other table.
SELECT {job_columns},
       (SELECT spec_version FROM cron_jobs LIMIT 1), (SELECT id FROM job_starts LIMIT 1),
       (SELECT name FROM paused_queues LIMIT 1), (SELECT id FROM job_audit LIMIT 1),
       (SELECT slot FROM job_attempts LIMIT 1), (SELECT id FROM job_workers LIMIT 1),
       (SELECT minute FROM job_counts LIMIT 1)
  FROM jobs LIMIT 0;
