"""Make the views of the jobs.

Revision ID: server_jobs_0008
Revises: server_jobs_0007
"""

import re
import warnings

import sqlalchemy as sa
from alembic import op

revision = "server_jobs_0008"
down_revision = "server_jobs_0007"
branch_labels = None
depends_on = None

# What stands under a name: how a view is defined, and nothing of whatever else it is.
DEFINITIONS = {
    "sqlite": "SELECT iif(type = 'view', sql, '') FROM sqlite_master WHERE name = :name COLLATE NOCASE",
    "postgresql": (
        "SELECT CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) ELSE '' END FROM pg_class "
        "WHERE relname = :name AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    ),
}


def upgrade() -> None:
    execute(sqlite=UPGRADE_SQLITE, postgresql=UPGRADE_POSTGRESQL)


def downgrade() -> None:
    execute(sqlite=DOWNGRADE_SQLITE, postgresql=DOWNGRADE_POSTGRESQL)


def execute(**statements: list[str]) -> None:
    """Run those for this database, as they are: no colon in them begins the name of a parameter."""
    for statement in statements[op.get_context().dialect.name]:
        view = re.match(r"(CREATE|DROP) VIEW (\w+)", statement)
        if view is None or op.get_context().as_sql or can_be_done(view[1], view[2]):
            op.execute(sa.text(statement.replace(":", r"\:")))


def can_be_done(verb: str, view: str) -> bool:
    """Whether nothing else has the name of a view: that would stay, and the job be without one."""
    query = sa.text(DEFINITIONS[op.get_context().dialect.name])
    found = op.get_bind().execute(query, {"name": view}).scalar()
    is_ours = found is not None and re.search("params_json|server_jobs_json", found) is not None
    if verb == "DROP":
        return is_ours
    if found is None or is_ours:
        return True
    message = f'{view} is there already and no view of server-jobs: it stays, and its job is as if it had "view": false'
    warnings.warn(message, stacklevel=1)
    return False


UPGRADE_SQLITE = [
    "DROP VIEW send_email_jobs",
    "DROP VIEW import_csv_jobs",
    "DROP VIEW daily_digest_jobs",
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


UPGRADE_POSTGRESQL: list[str] = []


DOWNGRADE_SQLITE = [
    "DROP VIEW send_email_jobs",
    "DROP VIEW import_csv_jobs",
    "DROP VIEW daily_digest_jobs",
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
)""",
]


DOWNGRADE_POSTGRESQL: list[str] = []
