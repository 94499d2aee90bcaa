-- server_jobs_0005_8cdb5526 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0005_8cdb5526
-- Follows: server_jobs_0004_71cc2d31
-- Checksum: 91c7e6debe110f45

SELECT 1;
