-- Read, list and count jobs.

-- name: GET
-- parameters: id
-- writes: no, repeatable: yes
-- Return a job.
SELECT {job_columns} FROM jobs WHERE id = :id;

-- name: SUMMARY
-- parameters: id
-- writes: no, repeatable: yes
-- Return a job without its long columns.
SELECT {summary_columns}, {parked} AS is_parked FROM jobs WHERE id = :id;

-- fragment: newest_before
-- parameters: limit
-- The newest jobs that match, before a given job.
{matches}
   AND {is_before}
 ORDER BY id DESC LIMIT :limit

-- name: LIST
-- parameters: none
-- writes: no, repeatable: yes
-- Return the newest jobs that match.
SELECT {job_columns} FROM jobs WHERE {newest_before};

-- name: LIST_GIVEN
-- parameters: none
-- writes: no, repeatable: yes
-- Like LIST, among given jobs.
SELECT {job_columns} FROM jobs WHERE {given} AND {newest_before};

-- name: LIST_SUMMARIES
-- parameters: none
-- writes: no, repeatable: yes
-- Like LIST, without the long columns.
SELECT {summary_columns}, {parked} AS is_parked FROM jobs WHERE {newest_before};

-- name: LIST_GIVEN_SUMMARIES
-- parameters: none
-- writes: no, repeatable: yes
-- Like LIST_GIVEN, without the long columns.
SELECT {summary_columns}, {parked} AS is_parked FROM jobs WHERE {given} AND {newest_before};

-- fragment: counted
-- parameters: none
-- The columns of a count, and its groups.
SELECT job_name, status, count(*) AS count, sum(CASE WHEN {parked} THEN 1 ELSE 0 END) AS parked

-- name: COUNT
-- parameters: none
-- writes: no, repeatable: yes
-- Count all jobs by name and status. Reads the whole table.
{counted} FROM jobs
 WHERE {is_since}
 GROUP BY job_name, status ORDER BY job_name, status;

-- name: COUNT_NEWEST
-- parameters: newest
-- writes: no, repeatable: yes
-- Like COUNT, for so many of the newest jobs.
{counted} FROM (SELECT job_name, status, error, created_at FROM jobs ORDER BY id DESC LIMIT :newest) AS jobs
 WHERE {is_since}
 GROUP BY job_name, status ORDER BY job_name, status;

-- name: PING
-- parameters: none
-- writes: no, repeatable: yes
-- Reach the database.
SELECT 1;

-- name: NOW
-- parameters: none
-- writes: no, repeatable: yes
-- Return the time of the database.
SELECT {now} AS now;
