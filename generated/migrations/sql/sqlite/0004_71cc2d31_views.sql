-- server_jobs_0004_71cc2d31 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0004_71cc2d31
-- Follows: server_jobs_0003_6ea7d750
-- Checksum: 91c7e6debe110f45

SELECT 1;
