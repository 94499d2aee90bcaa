-- Find jobs step by step: by a filter, and by values in their documents.
--
-- A step scans up to `limit` jobs by id, from a given job on. `{view}` and `{column}` stand for a view of the specs and
-- its indexed column. Text alone narrows the documents: see `search` in `domain`.

-- each: filter_columns
-- columns: filter
-- The columns that the condition of a filter uses.
{column}

-- fragment: oldest
-- parameters: after, limit
-- The place and the order of a step from older to newer jobs.
WHERE id > :after ORDER BY id LIMIT :limit

-- fragment: newest
-- parameters: after, limit
-- The place and the order of a step from newer to older jobs. An empty `after` starts at the newest one.
WHERE id < COALESCE(NULLIF(CAST(:after AS text), ''), (SELECT max(id) || '0' FROM jobs)) ORDER BY id DESC LIMIT :limit

-- name: FIND_RANGE
-- parameters: none
-- writes: no, repeatable: yes
-- Return the first and last job of a step, and the number of its jobs.
SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM (SELECT id FROM jobs {oldest}) AS scanned;

-- name: FIND_RANGE_BACKWARDS
-- parameters: none
-- writes: no, repeatable: yes
-- Like FIND_RANGE, from newer to older jobs.
SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM (SELECT id FROM jobs {newest}) AS scanned;

-- name: FIND
-- parameters: none
-- writes: no, repeatable: yes
-- Return the jobs of a step that match.
SELECT id, job_name, status FROM (SELECT id, {filter_columns} FROM jobs {oldest}) AS jobs WHERE {matches} ORDER BY id;

-- name: FIND_BACKWARDS
-- parameters: none
-- writes: no, repeatable: yes
-- Like FIND, from newer to older jobs.
SELECT id, job_name, status FROM (SELECT id, {filter_columns} FROM jobs {newest}) AS jobs WHERE {matches} ORDER BY id;

-- fragment: candidates
-- parameters: value, most
-- The jobs that may have a value in an indexed column: `most` with it, and `most` with NULL. The column is NULL for a
-- list, which may contain the value, and for values of other types.
(SELECT id FROM (SELECT id FROM {view} WHERE {column} = :value LIMIT :most) AS equal
  UNION ALL SELECT id FROM (SELECT id FROM {view} WHERE {column} IS NULL LIMIT :most) AS other) AS candidates

-- name: COUNT_CANDIDATES
-- parameters: none
-- writes: no, repeatable: yes
-- Count the jobs that may have a value in an indexed column.
SELECT count(*) AS count FROM {candidates};

-- name: SEARCH_RANGE
-- parameters: most_bytes
-- writes: no, repeatable: yes
-- Measure a step with conditions on documents: it ends after so many bytes of documents of matching jobs. Return its
-- first and last job, the number of its jobs, and how many it would have without a bound of bytes.
SELECT min(id) AS first, max(id) AS last, count(*) AS count, max(scanned) AS scanned
  FROM (SELECT id, count(*) OVER () AS scanned,
               sum(bytes) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before
          FROM (SELECT id, CASE WHEN {matches} THEN bytes ELSE 0 END AS bytes
                  FROM (SELECT id, {filter_columns}, {document_bytes} AS bytes FROM jobs {oldest}) AS jobs) AS measured
       ) AS added
 WHERE bytes_before < CAST(:most_bytes AS bigint);

-- name: SEARCH_RANGE_BACKWARDS
-- parameters: most_bytes
-- writes: no, repeatable: yes
-- Like SEARCH_RANGE, from newer to older jobs.
SELECT min(id) AS first, max(id) AS last, count(*) AS count, max(scanned) AS scanned
  FROM (SELECT id, count(*) OVER () AS scanned,
               sum(bytes) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before
          FROM (SELECT id, CASE WHEN {matches} THEN bytes ELSE 0 END AS bytes
                  FROM (SELECT id, {filter_columns}, {document_bytes} AS bytes FROM jobs {newest}) AS jobs) AS measured
       ) AS added
 WHERE bytes_before < CAST(:most_bytes AS bigint);

-- name: SEARCH_CANDIDATES_RANGE
-- parameters: most_bytes
-- writes: no, repeatable: yes
-- Like SEARCH_RANGE, among candidates.
SELECT min(id) AS first, max(id) AS last, count(*) AS count, max(scanned) AS scanned
  FROM (SELECT id, count(*) OVER () AS scanned,
               sum(bytes) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before
          FROM (SELECT id, CASE WHEN {matches} THEN bytes ELSE 0 END AS bytes
                  FROM (SELECT id, {filter_columns}, {document_bytes} AS bytes FROM jobs 
                         WHERE id IN (SELECT id FROM {candidates} {oldest})) AS jobs) AS measured
       ) AS added
 WHERE bytes_before < CAST(:most_bytes AS bigint);

-- name: SEARCH_CANDIDATES_RANGE_BACKWARDS
-- parameters: most_bytes
-- writes: no, repeatable: yes
-- Like SEARCH_RANGE, among candidates and from newer to older jobs.
SELECT min(id) AS first, max(id) AS last, count(*) AS count, max(scanned) AS scanned
  FROM (SELECT id, count(*) OVER () AS scanned,
               sum(bytes) OVER (ORDER BY id DESC ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before
          FROM (SELECT id, CASE WHEN {matches} THEN bytes ELSE 0 END AS bytes
                  FROM (SELECT id, {filter_columns}, {document_bytes} AS bytes FROM jobs 
                         WHERE id IN (SELECT id FROM {candidates} {newest})) AS jobs) AS measured
       ) AS added
 WHERE bytes_before < CAST(:most_bytes AS bigint);

-- name: SEARCH
-- parameters: longest, first, last
-- writes: no, repeatable: yes
-- Return the jobs between two ids that match and may have the value of the first condition, with their documents. A
-- document that is longer than `longest` is NULL.
SELECT id, job_name, status,
       CASE WHEN {document_bytes} <= CAST(:longest AS bigint) THEN {params_text} END AS params,
       CASE WHEN {document_bytes} <= CAST(:longest AS bigint) THEN {result_text} END AS result
  FROM (SELECT id, {filter_columns}, params, result FROM jobs WHERE id BETWEEN :first AND :last) AS jobs
 WHERE {matches} AND {may_have_value}
 ORDER BY id;

-- name: SEARCH_CANDIDATES
-- parameters: longest, first, last
-- writes: no, repeatable: yes
-- Like SEARCH, among candidates.
SELECT id, job_name, status,
       CASE WHEN {document_bytes} <= CAST(:longest AS bigint) THEN {params_text} END AS params,
       CASE WHEN {document_bytes} <= CAST(:longest AS bigint) THEN {result_text} END AS result
  FROM (SELECT id, {filter_columns}, params, result FROM jobs
         WHERE id BETWEEN :first AND :last AND id IN (SELECT id FROM {candidates})) AS jobs
 WHERE {matches} AND {may_have_value}
 ORDER BY id;
