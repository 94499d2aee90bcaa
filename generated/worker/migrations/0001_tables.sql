-- server_jobs_0001 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0001

CREATE TABLE cron_jobs (
    id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    name TEXT DEFAULT 'default' NOT NULL,
    cron_expression TEXT NOT NULL,
    timezone TEXT DEFAULT 'UTC' NOT NULL,
    misfire TEXT DEFAULT 'fire_once' NOT NULL,
    params TEXT DEFAULT '{}' NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    last_run_at BIGINT,
    next_run_at BIGINT,
    last_job_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT cron_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT cron_jobs_misfire_check CHECK (misfire IN ('skip', 'fire_once', 'fire_all'))
);

CREATE UNIQUE INDEX cron_jobs_job_name_name_key ON cron_jobs (job_name, name);

CREATE TABLE jobs (
    id TEXT NOT NULL,
    job_name TEXT NOT NULL,
    params TEXT NOT NULL,
    result TEXT,
    status TEXT DEFAULT 'pending' NOT NULL,
    progress INTEGER DEFAULT 0 NOT NULL,
    progress_message TEXT,
    error TEXT,
    worker_started_at BIGINT,
    worker_expires_at BIGINT,
    attempt_count INTEGER DEFAULT 0 NOT NULL,
    max_attempts INTEGER DEFAULT 3 NOT NULL,
    scheduled_for BIGINT,
    correlation_id TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    completed_at BIGINT,
    queue TEXT DEFAULT 'default' NOT NULL,
    priority INTEGER DEFAULT 0 NOT NULL,
    spec_version INTEGER DEFAULT 1 NOT NULL,
    fencing_token TEXT,
    unique_key TEXT,
    cancel_requested BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_fencing_token_check CHECK ((status = 'running') = (fencing_token IS NOT NULL)),
    CONSTRAINT jobs_lease_check CHECK ((status = 'running') = (worker_expires_at IS NOT NULL)),
    CONSTRAINT jobs_status_check CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT jobs_attempt_count_check CHECK (attempt_count BETWEEN 0 AND max_attempts),
    CONSTRAINT jobs_progress_check CHECK (progress BETWEEN 0 AND 100)
) WITHOUT ROWID;

CREATE INDEX jobs_claim ON jobs (priority DESC, scheduled_for, id) WHERE status = 'pending';

CREATE INDEX jobs_lease ON jobs (worker_expires_at) WHERE status = 'running';

CREATE UNIQUE INDEX jobs_unique_key ON jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('pending', 'running');
