-- server_jobs_0003 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0003

CREATE TABLE job_starts (
    id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    rate_key TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT job_starts_pkey PRIMARY KEY (id)
);

CREATE INDEX job_starts_expiry ON job_starts (expires_at);

CREATE INDEX job_starts_rate ON job_starts (job_name, rate_key, started_at);

CREATE TABLE paused_queues (
    name TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    CONSTRAINT paused_queues_pkey PRIMARY KEY (name)
);

ALTER TABLE jobs ADD COLUMN concurrency_key TEXT;

ALTER TABLE jobs ADD COLUMN rate_key TEXT;

DROP INDEX jobs_claim;

CREATE INDEX jobs_limited_claim ON jobs (priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_limited_lane ON jobs (job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_limited_running ON jobs (job_name, concurrency_key) WHERE status = 'running' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_unlimited_claim ON jobs (priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NULL;
