"""The statements that add, change, enable and remove a schedule at run time. Each is the same for both dialects.

Declared schedules belong to the code that declares them: only `ENABLE` touches them.
"""

from __future__ import annotations

_IS_ADDED = "id = CAST(:id AS text) AND source = 'added'"
_SAME = "COALESCE(CAST(:{0} AS text), {0}) = {0}"
_SAME_RULE = f"""{_SAME.format("cron_expression")} AND {_SAME.format("timezone")}
                      AND (CAST(:misfire AS text) IS NULL OR (misfire = CAST(:misfire AS text)
                           AND COALESCE(misfire_limit, 0) = COALESCE(CAST(:misfire_limit AS integer), 0)))"""

ADD = """
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, spec_version,
                       source, enabled, created_at, updated_at)
VALUES (CAST(:id AS text), CAST(:job_name AS text), CAST(:name AS text), CAST(:cron_expression AS text),
        CAST(:timezone AS text), CAST(:misfire AS text), CAST(:misfire_limit AS integer), CAST(:params AS text),
        CAST(:spec_version AS integer), 'added', true, {now}, {now})
    ON CONFLICT DO NOTHING
RETURNING id
"""

# One statement, and only the given values: two callers that change different values do not undo each other.
CHANGE = f"""
UPDATE cron_jobs
   SET next_run_at = CASE WHEN {_SAME_RULE} THEN next_run_at END,
       cron_expression = COALESCE(CAST(:cron_expression AS text), cron_expression),
       timezone = COALESCE(CAST(:timezone AS text), timezone),
       misfire = COALESCE(CAST(:misfire AS text), misfire),
       misfire_limit = CASE WHEN CAST(:misfire AS text) IS NULL THEN misfire_limit
                       ELSE CAST(:misfire_limit AS integer) END,
       params = COALESCE(CAST(:params AS text), params),
       spec_version = COALESCE(CAST(:spec_version AS integer), spec_version),
       updated_at = {{now}}
 WHERE {_IS_ADDED}
RETURNING id
"""

ENABLE = """
UPDATE cron_jobs
   SET enabled = CASE WHEN CAST(:enabled AS integer) = 1 THEN true ELSE false END,
       next_run_at = CASE WHEN CAST(:enabled AS integer) = 1 AND enabled THEN next_run_at END,
       updated_at = {now}
 WHERE id = CAST(:id AS text)
RETURNING id
"""

REMOVE = f"DELETE FROM cron_jobs WHERE {_IS_ADDED} RETURNING id"

# Each precedes its change, in the same transaction and under the same condition.
_AUDIT = """
INSERT INTO job_audit (id, at, actor, action, target, job_name)
SELECT CAST(:audit_id AS text), {now}, CAST(:actor AS text), %s
"""
_OF_ROW = "CAST(:action AS text), job_name || '/' || name, job_name FROM cron_jobs WHERE "
AUDIT_CHANGE = _AUDIT % f"{_OF_ROW}{_IS_ADDED}"
AUDIT_ENABLE = _AUDIT % f"{_OF_ROW}id = CAST(:id AS text) AND enabled <> (CAST(:enabled AS integer) = 1)"
AUDIT_ADD = (
    _AUDIT
    % """'add', CAST(:job_name AS text) || '/' || CAST(:name AS text), CAST(:job_name AS text)
 WHERE NOT EXISTS (SELECT 1 FROM cron_jobs WHERE id = CAST(:id AS text))"""
)
