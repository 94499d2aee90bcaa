-- server_jobs_0004_a91a11c7 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0004_a91a11c7
-- Follows: server_jobs_0003_6ea7d750
-- Checksum: 91c7e6debe110f45

SELECT 1;
