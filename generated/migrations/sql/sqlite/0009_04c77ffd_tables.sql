-- server_jobs_0009_04c77ffd as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0009_04c77ffd
-- Follows: server_jobs_0008
-- Checksum: 897b5eb61f762647

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
