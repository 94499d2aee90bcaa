"""Cancel, retry, repair and delete jobs, pause queues, and record it in the audit log."""

from __future__ import annotations

from ..statements.by_hand import ASKED_TO_STOP, FIRST_OF_ITS_KEY, KEY_IS_FREE, PUT_BACK
from ..statements.common import PARKED
from .common import MATCHES, WAITS_SQL, elements
from .enqueue import BOUNDED
from .maintenance import FORGOTTEN

# Each move locks its rows in the order of their ids, under its condition. The audit log gets an entry per changed row.
_GIVEN = f"id = ANY(ARRAY({elements('ids')}))"
AMONG_IDS = f"{_GIVEN} AND "


def _locked(condition: str, columns: str = "id") -> str:
    return f"""locked AS MATERIALIZED (
  SELECT {columns} FROM jobs WHERE {_GIVEN} AND {condition}
   AND {MATCHES}
   AND {BOUNDED}
   ORDER BY id FOR UPDATE)"""


def _audited(action: str, rows: str, detail: str = "CAST(:detail AS text)") -> str:
    return f"""audited AS (
  INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
  SELECT CAST(:audit_id AS text) || '-' || id, {{now}}, CAST(:actor AS text), '{action}', id, job_name, {detail}
    FROM {rows})"""


CANCEL = f"""
WITH {_locked(f"(status IN ('pending', 'running') OR {PARKED})")},
changed AS (
UPDATE jobs
   SET completed_at = CASE status WHEN 'running' THEN completed_at ELSE {{now}} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
       updated_at = {{now}}
 WHERE id = ANY(ARRAY(SELECT id FROM locked))
RETURNING id, status, job_name),
{_audited("cancel", "changed", ASKED_TO_STOP.format(detail="CAST(:detail AS text)"))}
SELECT id, status FROM changed
"""

_PUT_BACK = PUT_BACK.format(waits=WAITS_SQL)
RETRY = f"""
WITH {_locked(f"status IN ('failed', 'cancelled') AND {KEY_IS_FREE}", "id, unique_key")},
chosen AS MATERIALIZED (
  SELECT id FROM (SELECT id, {FIRST_OF_ITS_KEY} AS is_first FROM locked) AS numbered WHERE is_first),
changed AS (
UPDATE jobs
   SET {_PUT_BACK}
 WHERE id = ANY(ARRAY(SELECT id FROM chosen))
RETURNING id, job_name),
{_audited("retry", "changed")}
SELECT id FROM changed
"""

STATUSES = f"SELECT id, status FROM jobs WHERE {_GIVEN} AND {MATCHES}"

_REPAIRABLE = f"""id = :id AND (status = 'pending' OR {PARKED}) AND params = :old_params
   AND spec_version = CAST(:old_version AS integer)
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
                      AND other.replaced_by IS NULL AND other.id <> jobs.id)"""
REPAIR = f"""
UPDATE jobs
   SET {_PUT_BACK}, params = :params, spec_version = CAST(:spec_version AS integer),
       concurrency_key = :concurrency_key, rate_key = :rate_key
 WHERE {_REPAIRABLE}
RETURNING id
"""

DELETE = f"""
WITH {_locked("status <> 'running'")},
deleted AS (DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM locked)) RETURNING id, job_name),
{FORGOTTEN},
{_audited("delete", "deleted")}
SELECT id FROM deleted
"""


AUDIT_CANCEL: str | None = None  # the moves record them
AUDIT_RETRY: str | None = None
AUDIT_DELETE: str | None = None
# The row is locked, so that the following change in the same transaction finds it under the same condition.
AUDIT_REPAIR = f"""
WITH changed AS MATERIALIZED (SELECT id, job_name, spec_version FROM jobs WHERE {_REPAIRABLE} FOR UPDATE)
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT CAST(:audit_id AS text) || '-' || id, {{now}}, :actor, 'repair', id, job_name,
       'version ' || spec_version || ' to ' || CAST(:spec_version AS integer)
  FROM changed
"""
_AUDIT_QUEUE = """
INSERT INTO job_audit (id, at, actor, action, target)
SELECT :audit_id, {{now}}, :actor, '{action}', CAST(:name AS text)
 WHERE {has} EXISTS (SELECT 1 FROM paused_queues WHERE name = CAST(:name AS text))
"""
AUDIT_PAUSE = _AUDIT_QUEUE.format(action="pause", has="NOT")
AUDIT_RESUME = _AUDIT_QUEUE.format(action="resume", has="")

_RETAINED_SINCE = "{now} - CAST(:age AS bigint) * interval '1 millisecond'"
FORGET_AUDIT = f"DELETE FROM job_audit WHERE at < {_RETAINED_SINCE} RETURNING id"

AUDIT_LOG = f"""
SELECT id, at, actor, action, target, job_name, detail FROM job_audit
 WHERE (CAST(:actor AS text) IS NULL OR actor = :actor) AND (CAST(:target AS text) IS NULL OR target = :target)
   AND (CAST(:action AS text) IS NULL OR action = :action) AND (CAST(:before AS text) IS NULL OR id < :before)
   AND at >= {_RETAINED_SINCE}
 ORDER BY id DESC LIMIT :limit
"""
