-- server_jobs_0001_8dccab51 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0001_8dccab51
-- Follows: nothing
-- Checksum: 5140a9fdad789217

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
    misfire_limit INTEGER,
    source TEXT DEFAULT 'declared' NOT NULL,
    spec_version INTEGER,
    CONSTRAINT cron_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT cron_jobs_misfire_check CHECK (misfire IN ('skip', 'fire_once', 'fire_all'))
);

CREATE UNIQUE INDEX cron_jobs_job_name_name_key ON cron_jobs (job_name, name);

CREATE TABLE job_attempts (
    job_id TEXT NOT NULL,
    slot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    error_class TEXT,
    traceback TEXT,
    worker_id TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    CONSTRAINT job_attempts_pkey PRIMARY KEY (job_id, slot)
);

CREATE INDEX job_attempts_expired ON job_attempts (worker_id) WHERE outcome = 'expired';

CREATE TABLE job_audit (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    job_name TEXT,
    detail TEXT,
    CONSTRAINT job_audit_pkey PRIMARY KEY (id)
);

CREATE INDEX job_audit_at ON job_audit (at);

CREATE TABLE job_counts (
    minute BIGINT NOT NULL,
    queue TEXT NOT NULL,
    job_name TEXT NOT NULL,
    completed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    retried BIGINT NOT NULL,
    CONSTRAINT job_counts_pkey PRIMARY KEY (minute, queue, job_name)
);

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

CREATE TABLE job_workers (
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER,
    queues TEXT,
    concurrency INTEGER NOT NULL,
    version TEXT NOT NULL,
    known TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT job_workers_pkey PRIMARY KEY (id)
);

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
    scheduled_for BIGINT DEFAULT (CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)) NOT NULL ON CONFLICT REPLACE,
    start_before BIGINT,
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
    concurrency_key TEXT,
    rate_key TEXT,
    error_class TEXT,
    worker_id TEXT,
    headers TEXT,
    batch_id TEXT,
    replaced_by TEXT,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_fencing_token_check CHECK ((status = 'running') = (fencing_token IS NOT NULL)),
    CONSTRAINT jobs_lease_check CHECK ((status = 'running') = (worker_expires_at IS NOT NULL)),
    CONSTRAINT jobs_replaced_by_check CHECK (replaced_by IS NULL OR status <> 'pending'),
    CONSTRAINT jobs_status_check CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    CONSTRAINT jobs_attempt_count_check CHECK (attempt_count BETWEEN 0 AND max_attempts),
    CONSTRAINT jobs_progress_check CHECK (progress BETWEEN 0 AND 100)
);

CREATE INDEX jobs_batch ON jobs (batch_id, status) WHERE batch_id IS NOT NULL AND status <> 'running';

CREATE INDEX jobs_cancelled ON jobs (job_name, queue, id) WHERE status = 'cancelled';

CREATE INDEX jobs_completion ON jobs (id) WHERE status = 'pending' AND id = batch_id;

CREATE INDEX jobs_failed ON jobs (job_name, queue, error_class, id) WHERE status = 'failed';

CREATE INDEX jobs_lease ON jobs (worker_expires_at, fencing_token) WHERE status = 'running';

CREATE INDEX jobs_limited_group ON jobs (job_name, spec_version, queue, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_limited_lane ON jobs (job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_limited_running ON jobs (job_name, concurrency_key) WHERE status = 'running' AND concurrency_key IS NOT NULL;

CREATE INDEX jobs_parked ON jobs (job_name, queue, id) WHERE status = 'failed' AND substr(error, 1, 12) = 'UNREADABLE: ';

CREATE INDEX jobs_replaced ON jobs (unique_key) WHERE status = 'running' AND replaced_by IS NOT NULL;

CREATE INDEX jobs_start_before ON jobs (start_before) WHERE status = 'pending' AND start_before IS NOT NULL;

CREATE UNIQUE INDEX jobs_unique_key ON jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('pending', 'running') AND replaced_by IS NULL;

CREATE INDEX jobs_unlimited_group ON jobs (job_name, spec_version, queue, priority DESC, scheduled_for, id) WHERE status = 'pending' AND concurrency_key IS NULL;

CREATE TABLE paused_queues (
    name TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    CONSTRAINT paused_queues_pkey PRIMARY KEY (name)
);
