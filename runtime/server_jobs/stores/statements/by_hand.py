"""Cancel, retry, repair and delete jobs, pause queues, and record it in the audit log."""

from __future__ import annotations

from .common import ATTEMPTS_OF, MATCHES, PARKED, WAITS_SQL, elements

PAUSE_QUEUE = "INSERT INTO paused_queues (name, paused_at) VALUES (:name, {now}) ON CONFLICT DO NOTHING RETURNING name"

RESUME_QUEUE = "DELETE FROM paused_queues WHERE name = :name RETURNING name"

PAUSED_QUEUES = "SELECT name, paused_at FROM paused_queues ORDER BY name"


# Each move is for many jobs. A row is changed only if the state machine allows it and the row matches the filter.
_GIVEN = f"id IN ({elements('ids')})"
AMONG_IDS = f"{_GIVEN} AND "
_CANCELLABLE = f"{_GIVEN} AND (status IN ('pending', 'running') OR {PARKED})\n   AND {MATCHES}"
CANCEL = f"""
UPDATE jobs
   SET completed_at = CASE status WHEN 'running' THEN completed_at ELSE {{now}} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
       updated_at = {{now}}
 WHERE {_CANCELLABLE}
RETURNING id, status
"""

# Of several jobs with one unique key, the first one.
FIRST_OF_ITS_KEY = """row_number() OVER (PARTITION BY unique_key, CASE WHEN unique_key IS NULL THEN id END
                                    ORDER BY id) = 1"""
KEY_IS_FREE = """NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
                      AND other.replaced_by IS NULL)"""
_RETRYABLE = f"""id IN (
 SELECT id FROM (
   SELECT id, {FIRST_OF_ITS_KEY} AS is_first FROM jobs
    WHERE {_GIVEN} AND status IN ('failed', 'cancelled')
      AND {KEY_IS_FREE}
      AND {MATCHES}) WHERE is_first)"""
PUT_BACK = """status = 'pending', attempt_count = 0, progress = 0, progress_message = NULL, start_before = NULL,
       scheduled_for = CASE WHEN id = batch_id AND scheduled_for = {waits} THEN scheduled_for ELSE {{now}} END,
       error = NULL, error_class = NULL, cancel_requested = false, worker_started_at = NULL, worker_id = NULL,
       completed_at = NULL, replaced_by = NULL, updated_at = {{now}}"""
_PUT_BACK = PUT_BACK.format(waits=WAITS_SQL)
RETRY = f"""
UPDATE jobs
   SET {_PUT_BACK}
 WHERE {_RETRYABLE}
RETURNING id
"""

STATUSES = f"SELECT id, status FROM jobs WHERE {_GIVEN} AND {MATCHES}"

# One compare-and-swap on the values read before: params that were changed, or that a worker has started with, stay.
_REPAIRABLE = f"""id = :id AND (status = 'pending' OR {PARKED}) AND CAST(params AS TEXT) = :old_params
   AND spec_version = :old_version
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
                      AND other.replaced_by IS NULL AND other.id <> jobs.id)"""
REPAIR = f"""
UPDATE jobs
   SET {_PUT_BACK}, params = :params, spec_version = :spec_version,
       concurrency_key = :concurrency_key, rate_key = :rate_key
 WHERE {_REPAIRABLE}
RETURNING id
"""

_DELETABLE = f"{_GIVEN} AND status <> 'running'\n   AND {MATCHES}"
DELETE = f"DELETE FROM jobs WHERE {_DELETABLE} RETURNING id"
DELETE_ATTEMPTS: str | None = ATTEMPTS_OF % _DELETABLE


# Each is executed before the move that it records, in the same transaction and under the same condition.
_AUDIT = """
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {{now}}, :actor, '{action}', id, job_name, {detail} FROM jobs WHERE {condition}
"""
# `{detail}` of an entry that asks a running job to stop.
ASKED_TO_STOP = "CASE status WHEN 'running' THEN COALESCE({detail} || '; ', '') || 'asked to stop' ELSE {detail} END"
AUDIT_CANCEL: str | None = _AUDIT.format(
    action="cancel", condition=_CANCELLABLE, detail=ASKED_TO_STOP.format(detail=":detail")
)
AUDIT_RETRY: str | None = _AUDIT.format(action="retry", condition=_RETRYABLE, detail=":detail")
AUDIT_REPAIR = _AUDIT.format(
    action="repair",
    condition=_REPAIRABLE,
    detail="'version ' || spec_version || ' to ' || CAST(:spec_version AS INTEGER)",
)
AUDIT_DELETE: str | None = _AUDIT.format(action="delete", condition=_DELETABLE, detail=":detail")
_AUDIT_QUEUE = """
INSERT INTO job_audit (id, at, actor, action, target)
SELECT :audit_id, {{now}}, :actor, '{action}', :name
 WHERE {has} EXISTS (SELECT 1 FROM paused_queues WHERE name = :name)
"""
AUDIT_PAUSE = _AUDIT_QUEUE.format(action="pause", has="NOT")
AUDIT_RESUME = _AUDIT_QUEUE.format(action="resume", has="")

FORGET_AUDIT = "DELETE FROM job_audit WHERE at < {now} - :age RETURNING id"

AUDIT_LOG = """
SELECT id, at, actor, action, target, job_name, detail FROM job_audit
 WHERE (:actor IS NULL OR actor = :actor) AND (:target IS NULL OR target = :target)
   AND (:action IS NULL OR action = :action) AND (:before IS NULL OR id < :before) AND at >= {now} - :age
 ORDER BY id DESC LIMIT :limit
"""
