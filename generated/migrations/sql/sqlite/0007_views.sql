-- server_jobs_0007 as plain SQL. If Alembic is to take over later: alembic stamp server_jobs_0007

DROP VIEW send_email_jobs;

DROP VIEW import_csv_jobs;

DROP VIEW daily_digest_jobs;

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
    CASE WHEN json_type(params_json, '$."recipients"') <> 'null' THEN params_json -> '$."recipients"' END AS
        params_recipients,
    CASE json_type(params_json, '$."hours"') WHEN 'integer' THEN iif(typeof(json_extract(params_json,
        '$."hours"')) = 'integer', json_extract(params_json, '$."hours"'), NULL) WHEN 'real' THEN
        iif(CAST(json_extract(params_json, '$."hours"') AS INTEGER) = json_extract(params_json, '$."hours"'),
        CAST(json_extract(params_json, '$."hours"') AS INTEGER), NULL) END AS params_hours,
    CASE WHEN json_type(result_json, '$."since"') = 'text' AND upper(json_extract(result_json, '$."since"'))
        GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*' AND
        (upper(json_extract(result_json, '$."since"')) GLOB '*Z' OR upper(json_extract(result_json,
        '$."since"')) GLOB '*[+-][0-9][0-9]:[0-9][0-9]') AND substr(upper(json_extract(result_json,
        '$."since"')), 1, 10) >= '0001' AND date(substr(upper(json_extract(result_json, '$."since"')), 1, 10),
        '+0 days') = substr(upper(json_extract(result_json, '$."since"')), 1, 10) THEN
        nullif(max(strftime('%Y-%m-%dT%H:%M:%fZ', iif(substr(upper(json_extract(result_json, '$."since"')),
        18, 2) = '60', substr(upper(json_extract(result_json, '$."since"')), 1, 17) || '59' ||
        substr(upper(json_extract(result_json, '$."since"')), 20), upper(json_extract(result_json,
        '$."since"'))), iif(substr(upper(json_extract(result_json, '$."since"')), 18, 2) = '60', '+1 second',
        '+0 seconds')), '0001'), '0001') END AS result_since,
    CASE WHEN json_type(result_json, '$."jobs"') <> 'null' THEN result_json -> '$."jobs"' END AS result_jobs,
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
    CASE WHEN json_type(params_json, '$."columns"') <> 'null' THEN params_json -> '$."columns"' END AS
        params_columns,
    CASE json_type(params_json, '$."maxReportedRows"') WHEN 'integer' THEN
        iif(typeof(json_extract(params_json, '$."maxReportedRows"')) = 'integer', json_extract(params_json,
        '$."maxReportedRows"'), NULL) WHEN 'real' THEN iif(CAST(json_extract(params_json,
        '$."maxReportedRows"') AS INTEGER) = json_extract(params_json, '$."maxReportedRows"'),
        CAST(json_extract(params_json, '$."maxReportedRows"') AS INTEGER), NULL) END AS
        params_max_reported_rows,
    CASE json_type(result_json, '$."table"') WHEN 'text' THEN json_extract(result_json, '$."table"') END AS
        result_table,
    CASE json_type(result_json, '$."rowsRead"') WHEN 'integer' THEN iif(typeof(json_extract(result_json,
        '$."rowsRead"')) = 'integer', json_extract(result_json, '$."rowsRead"'), result_json ->
        '$."rowsRead"') WHEN 'real' THEN iif(CAST(json_extract(result_json, '$."rowsRead"') AS INTEGER) =
        json_extract(result_json, '$."rowsRead"'), CAST(json_extract(result_json, '$."rowsRead"') AS INTEGER),
        NULL) END AS result_rows_read,
    CASE json_type(result_json, '$."rowsImported"') WHEN 'integer' THEN iif(typeof(json_extract(result_json,
        '$."rowsImported"')) = 'integer', json_extract(result_json, '$."rowsImported"'), result_json ->
        '$."rowsImported"') WHEN 'real' THEN iif(CAST(json_extract(result_json, '$."rowsImported"') AS
        INTEGER) = json_extract(result_json, '$."rowsImported"'), CAST(json_extract(result_json,
        '$."rowsImported"') AS INTEGER), NULL) END AS result_rows_imported,
    CASE json_type(result_json, '$."rowsChanged"') WHEN 'integer' THEN iif(typeof(json_extract(result_json,
        '$."rowsChanged"')) = 'integer', json_extract(result_json, '$."rowsChanged"'), result_json ->
        '$."rowsChanged"') WHEN 'real' THEN iif(CAST(json_extract(result_json, '$."rowsChanged"') AS INTEGER)
        = json_extract(result_json, '$."rowsChanged"'), CAST(json_extract(result_json, '$."rowsChanged"') AS
        INTEGER), NULL) END AS result_rows_changed,
    CASE json_type(result_json, '$."rowsRejected"') WHEN 'integer' THEN iif(typeof(json_extract(result_json,
        '$."rowsRejected"')) = 'integer', json_extract(result_json, '$."rowsRejected"'), result_json ->
        '$."rowsRejected"') WHEN 'real' THEN iif(CAST(json_extract(result_json, '$."rowsRejected"') AS
        INTEGER) = json_extract(result_json, '$."rowsRejected"'), CAST(json_extract(result_json,
        '$."rowsRejected"') AS INTEGER), NULL) END AS result_rows_rejected,
    CASE WHEN json_type(result_json, '$."brokenRules"') <> 'null' THEN result_json -> '$."brokenRules"' END AS
        result_broken_rules,
    CASE WHEN json_type(result_json, '$."rejected"') <> 'null' THEN result_json -> '$."rejected"' END AS
        result_rejected
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
    CASE WHEN json_type(params_json, '$."to"') <> 'null' THEN params_json -> '$."to"' END AS params_to,
    CASE WHEN json_type(params_json, '$."cc"') <> 'null' THEN params_json -> '$."cc"' END AS params_cc,
    CASE json_type(params_json, '$."replyTo"') WHEN 'text' THEN json_extract(params_json, '$."replyTo"') END
        AS params_reply_to,
    CASE json_type(params_json, '$."subject"') WHEN 'text' THEN json_extract(params_json, '$."subject"') END
        AS params_subject,
    CASE json_type(result_json, '$."messageId"') WHEN 'text' THEN json_extract(result_json, '$."messageId"')
        END AS result_message_id,
    CASE WHEN json_type(result_json, '$."sentAt"') = 'text' AND upper(json_extract(result_json, '$."sentAt"'))
        GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z+-]*' AND
        (upper(json_extract(result_json, '$."sentAt"')) GLOB '*Z' OR upper(json_extract(result_json,
        '$."sentAt"')) GLOB '*[+-][0-9][0-9]:[0-9][0-9]') AND substr(upper(json_extract(result_json,
        '$."sentAt"')), 1, 10) >= '0001' AND date(substr(upper(json_extract(result_json, '$."sentAt"')), 1,
        10), '+0 days') = substr(upper(json_extract(result_json, '$."sentAt"')), 1, 10) THEN
        nullif(max(strftime('%Y-%m-%dT%H:%M:%fZ', iif(substr(upper(json_extract(result_json, '$."sentAt"')),
        18, 2) = '60', substr(upper(json_extract(result_json, '$."sentAt"')), 1, 17) || '59' ||
        substr(upper(json_extract(result_json, '$."sentAt"')), 20), upper(json_extract(result_json,
        '$."sentAt"'))), iif(substr(upper(json_extract(result_json, '$."sentAt"')), 18, 2) = '60',
        '+1 second', '+0 seconds')), '0001'), '0001') END AS result_sent_at,
    CASE json_type(result_json, '$."transport"') WHEN 'text' THEN json_extract(result_json, '$."transport"')
        END AS result_transport,
    CASE WHEN json_type(result_json, '$."recipients"') <> 'null' THEN result_json -> '$."recipients"' END AS
        result_recipients,
    CASE WHEN json_type(result_json, '$."refused"') <> 'null' THEN result_json -> '$."refused"' END AS
        result_refused
FROM (
    SELECT *, iif(json_valid(params), params, NULL) AS params_json, iif(json_valid(result), result, NULL) AS
        result_json
    FROM jobs
    WHERE job_name = 'SendEmail'
);
