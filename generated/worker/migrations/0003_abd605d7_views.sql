-- server_jobs_0003_abd605d7 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0003_abd605d7
-- Follows: server_jobs_0002_becde31e
-- Checksum: 28852448b17d9e3d

DROP VIEW IF EXISTS send_email_jobs;

DROP VIEW IF EXISTS import_csv_jobs;

DROP VIEW IF EXISTS daily_digest_jobs;

CREATE VIEW daily_digest_jobs AS
SELECT
    id,
    status,
    progress,
    progress_message,
    error,
    attempt_count,
    max_attempts,
    queue,
    priority,
    correlation_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for / 1000.0, 'unixepoch') AS scheduled_for,
    strftime('%Y-%m-%dT%H:%M:%fZ', worker_started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000.0, 'unixepoch') AS completed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at,
    spec_version AS version,
    nullif(params_json -> '$."recipients"', 'null') AS params_recipients,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, NULL) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(params_json, '$."hours"') AS type, json_extract(params_json, '$."hours"') AS value)) AS
        params_hours,
    (SELECT CASE WHEN type = 'text' AND value GLOB '????-??-??T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*' AND
        (value GLOB '*Z' OR value GLOB '*[+-][0-9][0-9]:[0-9][0-9]') AND substr(value, 1, 10) >= '0001' AND
        date(substr(value, 1, 10), '+0 days') = substr(value, 1, 10) THEN
        nullif(max(strftime('%Y-%m-%dT%H:%M:%fZ', iif(substr(value, 18, 2) = '60', substr(value, 1, 17) ||
        '59' || substr(value, 20), value), iif(substr(value, 18, 2) = '60', '+1 second', '+0 seconds')),
        '0001'), '0001') END FROM (SELECT json_type(result_json, '$."since"') AS type,
        upper(json_extract(result_json, '$."since"')) AS value)) AS result_since,
    nullif(result_json -> '$."jobs"', 'null') AS result_jobs,
    CASE json_type(result_json, '$."emailJobId"') WHEN 'text' THEN json_extract(result_json, '$."emailJobId"')
        END AS result_email_job_id
FROM (
    SELECT *, iif(json_valid(params), params, NULL) AS params_json, iif(json_valid(result), result, NULL) AS
        result_json
    FROM jobs
    WHERE job_name = 'DailyDigest'
);

CREATE VIEW import_csv_jobs AS
SELECT
    id,
    status,
    progress,
    progress_message,
    error,
    attempt_count,
    max_attempts,
    queue,
    priority,
    correlation_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for / 1000.0, 'unixepoch') AS scheduled_for,
    strftime('%Y-%m-%dT%H:%M:%fZ', worker_started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000.0, 'unixepoch') AS completed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at,
    spec_version AS version,
    CASE json_type(params_json, '$."source"') WHEN 'text' THEN json_extract(params_json, '$."source"') END AS
        params_source,
    CASE json_type(params_json, '$."table"') WHEN 'text' THEN json_extract(params_json, '$."table"') END AS
        params_table,
    CASE json_type(params_json, '$."key"') WHEN 'text' THEN json_extract(params_json, '$."key"') END AS
        params_key,
    nullif(params_json -> '$."columns"', 'null') AS params_columns,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, NULL) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(params_json, '$."maxReportedRows"') AS type, json_extract(params_json,
        '$."maxReportedRows"') AS value)) AS params_max_reported_rows,
    CASE json_type(result_json, '$."table"') WHEN 'text' THEN json_extract(result_json, '$."table"') END AS
        result_table,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, raw) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(result_json, '$."rowsRead"') AS type, json_extract(result_json, '$."rowsRead"') AS value,
        result_json -> '$."rowsRead"' AS raw)) AS result_rows_read,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, raw) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(result_json, '$."rowsImported"') AS type, json_extract(result_json, '$."rowsImported"') AS
        value, result_json -> '$."rowsImported"' AS raw)) AS result_rows_imported,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, raw) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(result_json, '$."rowsChanged"') AS type, json_extract(result_json, '$."rowsChanged"') AS
        value, result_json -> '$."rowsChanged"' AS raw)) AS result_rows_changed,
    (SELECT CASE type WHEN 'integer' THEN iif(typeof(value) = 'integer', value, raw) WHEN 'real' THEN
        iif(CAST(value AS INTEGER) = value, CAST(value AS INTEGER), NULL) END FROM (SELECT
        json_type(result_json, '$."rowsRejected"') AS type, json_extract(result_json, '$."rowsRejected"') AS
        value, result_json -> '$."rowsRejected"' AS raw)) AS result_rows_rejected,
    nullif(result_json -> '$."brokenRules"', 'null') AS result_broken_rules,
    nullif(result_json -> '$."rejected"', 'null') AS result_rejected
FROM (
    SELECT *, iif(json_valid(params), params, NULL) AS params_json, iif(json_valid(result), result, NULL) AS
        result_json
    FROM jobs
    WHERE job_name = 'ImportCsv'
);

CREATE VIEW send_email_jobs AS
SELECT
    id,
    status,
    progress,
    progress_message,
    error,
    attempt_count,
    max_attempts,
    queue,
    priority,
    correlation_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', scheduled_for / 1000.0, 'unixepoch') AS scheduled_for,
    strftime('%Y-%m-%dT%H:%M:%fZ', worker_started_at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1000.0, 'unixepoch') AS completed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at,
    spec_version AS version,
    nullif(params_json -> '$."to"', 'null') AS params_to,
    nullif(params_json -> '$."cc"', 'null') AS params_cc,
    CASE json_type(params_json, '$."replyTo"') WHEN 'text' THEN json_extract(params_json, '$."replyTo"') END
        AS params_reply_to,
    CASE json_type(params_json, '$."subject"') WHEN 'text' THEN json_extract(params_json, '$."subject"') END
        AS params_subject,
    CASE json_type(result_json, '$."messageId"') WHEN 'text' THEN json_extract(result_json, '$."messageId"')
        END AS result_message_id,
    (SELECT CASE WHEN type = 'text' AND value GLOB '????-??-??T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*' AND
        (value GLOB '*Z' OR value GLOB '*[+-][0-9][0-9]:[0-9][0-9]') AND substr(value, 1, 10) >= '0001' AND
        date(substr(value, 1, 10), '+0 days') = substr(value, 1, 10) THEN
        nullif(max(strftime('%Y-%m-%dT%H:%M:%fZ', iif(substr(value, 18, 2) = '60', substr(value, 1, 17) ||
        '59' || substr(value, 20), value), iif(substr(value, 18, 2) = '60', '+1 second', '+0 seconds')),
        '0001'), '0001') END FROM (SELECT json_type(result_json, '$."sentAt"') AS type,
        upper(json_extract(result_json, '$."sentAt"')) AS value)) AS result_sent_at,
    CASE json_type(result_json, '$."transport"') WHEN 'text' THEN json_extract(result_json, '$."transport"')
        END AS result_transport,
    nullif(result_json -> '$."recipients"', 'null') AS result_recipients,
    nullif(result_json -> '$."refused"', 'null') AS result_refused
FROM (
    SELECT *, iif(json_valid(params), params, NULL) AS params_json, iif(json_valid(result), result, NULL) AS
        result_json
    FROM jobs
    WHERE job_name = 'SendEmail'
);
