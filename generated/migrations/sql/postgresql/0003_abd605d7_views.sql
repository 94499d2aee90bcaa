-- server_jobs_0003_abd605d7 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0003_abd605d7
-- Follows: server_jobs_0002_becde31e
-- Checksum: 2791ec4eba002c13

DROP VIEW IF EXISTS send_email_jobs;

DROP VIEW IF EXISTS import_csv_jobs;

DROP VIEW IF EXISTS daily_digest_jobs;

ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check;

ALTER TABLE jobs ADD CONSTRAINT jobs_limits_check CHECK (
    octet_length(id) <= 100
    AND octet_length(worker_id) <= 100
    AND octet_length(batch_id) <= 100
    AND octet_length(replaced_by) <= 100
    AND octet_length(fencing_token) <= 132
    AND octet_length(unique_key) <= 2404
    AND octet_length(concurrency_key) <= 500
    AND octet_length(rate_key) <= 500
    AND octet_length(params) <= 1048576
    AND octet_length(result) <= 1048576
    AND octet_length(job_name) <= 400
    AND octet_length(queue) <= 400
    AND octet_length(correlation_id) <= 800
    AND octet_length(headers) <= 32768
    AND octet_length(error) <= 262144
    AND octet_length(error_class) <= 16384
    AND octet_length(progress_message) <= 16384
    AND id !~ '[^ 0-9A-Za-z._:,@+-]'
    AND max_attempts BETWEEN 1 AND 10000
    AND priority BETWEEN -100 AND 100
);

CREATE OR REPLACE FUNCTION server_jobs_text(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}' END
$$;

CREATE OR REPLACE FUNCTION server_jobs_key(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'string' AND octet_length(value #>> '{}') <= 2600 THEN value #>>
        '{}' END
$$;

CREATE OR REPLACE FUNCTION server_jobs_bigint(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN trunc(value::numeric) = value::numeric AND
        value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN value::bigint END END
$$;

CREATE OR REPLACE FUNCTION server_jobs_numeric(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN trunc(value::numeric) = value::numeric AND
        octet_length(value #>> '{}') <= 4200 THEN value::numeric END END
$$;

CREATE OR REPLACE FUNCTION server_jobs_boolean(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END
$$;

CREATE OR REPLACE FUNCTION server_jobs_uuid(value jsonb) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value #>> '{}' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN (value #>>
        '{}')::uuid END
$$;

CREATE OR REPLACE FUNCTION server_jobs_value(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT nullif(value, 'null')
$$;

CREATE OR REPLACE FUNCTION server_jobs_json(document text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN document::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION server_jobs_double(value jsonb) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT AS
    $$
BEGIN
    RETURN CASE jsonb_typeof(value) WHEN 'number' THEN (value #>> '{}')::float8 END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION server_jobs_timestamp(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE WHEN value #>> '{}' ~
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
        THEN CASE WHEN (value #>> '{}')::timestamptz BETWEEN timestamptz '0001-01-01T00:00:00Z' AND
        timestamptz '9999-12-31T23:59:59.999999Z' THEN (value #>> '{}')::timestamptz END END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION server_jobs_date(value jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE WHEN value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN (value #>> '{}')::date END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE VIEW daily_digest_jobs AS
SELECT
    jobs.id,
    jobs.status,
    jobs.progress,
    jobs.progress_message,
    jobs.error,
    jobs.attempt_count,
    jobs.max_attempts,
    jobs.queue,
    jobs.priority,
    jobs.correlation_id,
    jobs.created_at,
    jobs.scheduled_for,
    jobs.worker_started_at AS started_at,
    jobs.completed_at,
    jobs.updated_at,
    jobs.spec_version AS version,
    server_jobs_value(document.params -> 'recipients') AS params_recipients,
    server_jobs_bigint(document.params -> 'hours') AS params_hours,
    server_jobs_timestamp(document.result -> 'since') AS result_since,
    server_jobs_value(document.result -> 'jobs') AS result_jobs,
    server_jobs_text(document.result -> 'emailJobId') AS result_email_job_id
FROM jobs
CROSS JOIN LATERAL (
    SELECT server_jobs_json(jobs.params) AS params, server_jobs_json(jobs.result) AS result OFFSET 0
) AS document
WHERE jobs.job_name = 'DailyDigest';

CREATE VIEW import_csv_jobs AS
SELECT
    jobs.id,
    jobs.status,
    jobs.progress,
    jobs.progress_message,
    jobs.error,
    jobs.attempt_count,
    jobs.max_attempts,
    jobs.queue,
    jobs.priority,
    jobs.correlation_id,
    jobs.created_at,
    jobs.scheduled_for,
    jobs.worker_started_at AS started_at,
    jobs.completed_at,
    jobs.updated_at,
    jobs.spec_version AS version,
    server_jobs_text(document.params -> 'source') AS params_source,
    server_jobs_text(document.params -> 'table') AS params_table,
    server_jobs_text(document.params -> 'key') AS params_key,
    server_jobs_value(document.params -> 'columns') AS params_columns,
    server_jobs_bigint(document.params -> 'maxReportedRows') AS params_max_reported_rows,
    server_jobs_text(document.result -> 'table') AS result_table,
    server_jobs_numeric(document.result -> 'rowsRead') AS result_rows_read,
    server_jobs_numeric(document.result -> 'rowsImported') AS result_rows_imported,
    server_jobs_numeric(document.result -> 'rowsChanged') AS result_rows_changed,
    server_jobs_numeric(document.result -> 'rowsRejected') AS result_rows_rejected,
    server_jobs_value(document.result -> 'brokenRules') AS result_broken_rules,
    server_jobs_value(document.result -> 'rejected') AS result_rejected
FROM jobs
CROSS JOIN LATERAL (
    SELECT server_jobs_json(jobs.params) AS params, server_jobs_json(jobs.result) AS result OFFSET 0
) AS document
WHERE jobs.job_name = 'ImportCsv';

CREATE VIEW send_email_jobs AS
SELECT
    jobs.id,
    jobs.status,
    jobs.progress,
    jobs.progress_message,
    jobs.error,
    jobs.attempt_count,
    jobs.max_attempts,
    jobs.queue,
    jobs.priority,
    jobs.correlation_id,
    jobs.created_at,
    jobs.scheduled_for,
    jobs.worker_started_at AS started_at,
    jobs.completed_at,
    jobs.updated_at,
    jobs.spec_version AS version,
    server_jobs_value(document.params -> 'to') AS params_to,
    server_jobs_value(document.params -> 'cc') AS params_cc,
    server_jobs_text(document.params -> 'replyTo') AS params_reply_to,
    server_jobs_text(document.params -> 'subject') AS params_subject,
    server_jobs_text(document.result -> 'messageId') AS result_message_id,
    server_jobs_timestamp(document.result -> 'sentAt') AS result_sent_at,
    server_jobs_text(document.result -> 'transport') AS result_transport,
    server_jobs_value(document.result -> 'recipients') AS result_recipients,
    server_jobs_value(document.result -> 'refused') AS result_refused
FROM jobs
CROSS JOIN LATERAL (
    SELECT server_jobs_json(jobs.params) AS params, server_jobs_json(jobs.result) AS result OFFSET 0
) AS document
WHERE jobs.job_name = 'SendEmail';
