"""Make the views of the jobs.

Revision ID: server_jobs_0003_abd605d7
Revises: server_jobs_0002_becde31e
"""
# ruff: noqa: E501, RUF100

import re
import warnings

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0003_abd605d7"
down_revision = "server_jobs_0002_becde31e"
branch_labels = None
depends_on = None
leads_to = "9a1762fc442c0d458c8263dcf4f313bfd7960ba503be8b97e69daa76b6001fff"

# The definition of a view, or "" for any other object of that name, and the table of an index.
FOUND = {
    "sqlite": {
        "VIEW": "SELECT iif(type = 'view', sql, '') FROM sqlite_master WHERE name = :name COLLATE NOCASE",
        "INDEX": "SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = :name COLLATE NOCASE",
    },
    "postgresql": {
        "VIEW": (
            "SELECT CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) ELSE '' END FROM pg_class "
            "WHERE relname = :name AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
        ),
        "INDEX": "SELECT tablename FROM pg_indexes WHERE indexname = :name AND schemaname = current_schema()",
        # A view of another branch still uses the function.
        "FUNCTION": (
            "SELECT min(pg_describe_object(classid, objid, objsubid)) FROM pg_depend "
            "JOIN pg_proc ON refclassid = 'pg_proc'::regclass AND refobjid = pg_proc.oid "
            "JOIN pg_namespace ON pg_namespace.oid = pronamespace "
            "WHERE proname = :name AND nspname = current_schema()"
        ),
    },
}
STATEMENT = r'(CREATE(?: OR REPLACE)?|DROP) (VIEW|INDEX|FUNCTION) (?:IF EXISTS )?("(?:[^"]|"")+"|\w+)'


def upgrade() -> None:
    execute(sqlite=UPGRADE_SQLITE, postgresql=UPGRADE_POSTGRESQL)


def downgrade() -> None:
    execute(sqlite=DOWNGRADE_SQLITE, postgresql=DOWNGRADE_POSTGRESQL)


def execute(**statements: list[str]) -> None:
    """Run the statements for this database unchanged: a colon in them never starts a parameter name."""
    for statement in statements[op.get_context().dialect.name]:
        if op.get_context().as_sql or can_be_done(statement):
            op.execute(sa.text(statement.replace(":", r"\:")))


def can_be_done(statement: str) -> bool:
    """Return whether to run a statement. The database may have run revisions of other branches too."""
    match = re.match(STATEMENT, statement)
    verb, kind, name = match.groups() if match else ("", "", "")
    name = name.strip('"').replace('""', '"')
    query = FOUND[op.get_context().dialect.name].get(kind)
    if query is None or verb == "CREATE OR REPLACE":
        return True
    found = op.get_bind().execute(sa.text(query), {"name": name}).scalar()
    if kind == "INDEX":
        return verb == "CREATE" or found == "jobs"
    if kind == "FUNCTION":
        return found is None
    is_ours = found is not None and re.search("params_json|server_jobs_json", found) is not None
    if verb == "DROP":
        return is_ours
    # Another object with the name of a view would stay, and the job would have no view.
    if found is None:
        return True
    message = f'{name} is there already and no view of server-jobs: it stays, and its job is as if it had "view": false'
    warnings.warn(message, stacklevel=1)
    return False


UPGRADE_SQLITE = [
    "DROP VIEW IF EXISTS send_email_jobs",
    "DROP VIEW IF EXISTS import_csv_jobs",
    "DROP VIEW IF EXISTS daily_digest_jobs",
    """\
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
)""",
    """\
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
)""",
    """\
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
)""",
]


UPGRADE_POSTGRESQL = [
    "DROP VIEW IF EXISTS send_email_jobs",
    "DROP VIEW IF EXISTS import_csv_jobs",
    "DROP VIEW IF EXISTS daily_digest_jobs",
    "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check",
    """\
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
)""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_text(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'string' THEN value #>> '{}' END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_key(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'string' AND octet_length(value #>> '{}') <= 2600 THEN value #>>
        '{}' END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_bigint(value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN trunc(value::numeric) = value::numeric AND
        value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN value::bigint END END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_numeric(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN CASE WHEN trunc(value::numeric) = value::numeric AND
        octet_length(value #>> '{}') <= 4200 THEN value::numeric END END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_boolean(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_uuid(value jsonb) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value #>> '{}' ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN (value #>>
        '{}')::uuid END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_value(value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT nullif(value, 'null')
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_json(document text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN document::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_double(value jsonb) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT AS
    $$
BEGIN
    RETURN CASE jsonb_typeof(value) WHEN 'number' THEN (value #>> '{}')::float8 END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_timestamp(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE WHEN value #>> '{}' ~
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$'
        THEN CASE WHEN (value #>> '{}')::timestamptz BETWEEN timestamptz '0001-01-01T00:00:00Z' AND
        timestamptz '9999-12-31T23:59:59.999999Z' THEN (value #>> '{}')::timestamptz END END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$""",
    """\
CREATE OR REPLACE FUNCTION server_jobs_date(value jsonb) RETURNS date LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN CASE WHEN value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN (value #>> '{}')::date END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$""",
    """\
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
WHERE jobs.job_name = 'DailyDigest'""",
    """\
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
WHERE jobs.job_name = 'ImportCsv'""",
    """\
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
WHERE jobs.job_name = 'SendEmail'""",
]


DOWNGRADE_SQLITE = [
    "DROP VIEW IF EXISTS send_email_jobs",
    "DROP VIEW IF EXISTS import_csv_jobs",
    "DROP VIEW IF EXISTS daily_digest_jobs",
]


DOWNGRADE_POSTGRESQL = [
    "DROP VIEW IF EXISTS send_email_jobs",
    "DROP VIEW IF EXISTS import_csv_jobs",
    "DROP VIEW IF EXISTS daily_digest_jobs",
    "DROP FUNCTION IF EXISTS server_jobs_date(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_timestamp(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_double(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_json(document text)",
    "DROP FUNCTION IF EXISTS server_jobs_value(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_uuid(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_boolean(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_numeric(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_bigint(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_key(value jsonb)",
    "DROP FUNCTION IF EXISTS server_jobs_text(value jsonb)",
    "ALTER TABLE jobs DROP CONSTRAINT IF EXISTS jobs_limits_check",
]
