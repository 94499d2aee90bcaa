-- The name that a database holds, in a project that names its databases. A database without the table has no name.

-- name: CREATE_NAME_TABLE
-- parameters: none
-- writes: yes, repeatable: yes
-- Create the table with one row.
CREATE TABLE IF NOT EXISTS server_jobs_database (name text NOT NULL PRIMARY KEY);

-- name: WRITE_NAME
-- parameters: name
-- writes: yes, repeatable: yes
-- Let the database hold this name, unless it holds one.
INSERT INTO server_jobs_database (name)
SELECT CAST(:name AS text) WHERE NOT EXISTS (SELECT 1 FROM server_jobs_database);

-- name: READ_NAME
-- parameters: none
-- writes: no, repeatable: yes
-- Return the name.
SELECT name FROM server_jobs_database ORDER BY name;
