-- server_jobs_0010_418ad4a1 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0010_418ad4a1
-- Follows: server_jobs_0009_04c77ffd
-- Checksum: 171810fb73f299fa

DROP INDEX jobs_limited_claim;

DROP INDEX jobs_unlimited_claim;

CREATE INDEX jobs_limited_group ON jobs (job_name, spec_version, queue, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_unlimited_group ON jobs (job_name, spec_version, queue, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NULL;
