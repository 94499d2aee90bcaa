-- server_jobs_0005 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0005

DROP INDEX jobs_lease;

CREATE INDEX jobs_lease ON jobs (worker_expires_at, fencing_token) WHERE status = 'running';
