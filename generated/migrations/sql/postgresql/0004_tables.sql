-- server_jobs_0004 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0004

ALTER TABLE cron_jobs ADD COLUMN misfire_limit INTEGER;
