"""Renew leases, store outcomes and expire leases."""

from __future__ import annotations

from ...domain.record import LEASE_EXPIRED

# The fence before every write under a claim: a stale claim has another token, and changes no row.
NOT_STALE = "jobs.id = {0}.id AND jobs.status = 'running' AND jobs.fencing_token = {0}.token"

RENEW = f"""
UPDATE jobs
   SET worker_expires_at = {{now}} + :lease, progress = beat.progress, progress_message = beat.message,
       updated_at = {{now}}
  FROM (SELECT key AS id, value->>'token' AS token, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)) AS beat
 WHERE {NOT_STALE.format("beat")}
RETURNING id, cancel_requested
"""


# The effect of an attempt that did not complete; `final` says whether another attempt is pointless.
NOT_COMPLETED = (
    "CASE WHEN cancel_requested THEN 'cancelled' WHEN {final} THEN 'failed' "
    "WHEN replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END"
)
RELEASED_ERROR = "COALESCE('replaced by the job ' || jobs.replaced_by, jobs.error)"
RELEASED_ERROR_CLASS = "CASE WHEN jobs.replaced_by IS NULL THEN jobs.error_class END"
_FAILED_STATUS = NOT_COMPLETED.format(final="attempt_count >= max_attempts OR outcome.delay IS NULL")
_RELEASED_STATUS = NOT_COMPLETED.format(final="false")
_SETTLED_STATUS = (
    f"CASE outcome.kind WHEN 'completed' THEN 'completed' WHEN 'failed' THEN {_FAILED_STATUS} "
    f"WHEN 'released' THEN {_RELEASED_STATUS} ELSE 'cancelled' END"
)

# %s: one row of `outcome` for each attempt.
_SETTLE = f"""
UPDATE jobs
   SET status = {_SETTLED_STATUS},
       result = CASE outcome.kind WHEN 'completed' THEN outcome.result ELSE jobs.result END,
       error = CASE outcome.kind WHEN 'completed' THEN NULL WHEN 'released' THEN {RELEASED_ERROR}
               ELSE outcome.error END,
       error_class = CASE outcome.kind WHEN 'completed' THEN NULL WHEN 'released' THEN {RELEASED_ERROR_CLASS}
                     ELSE outcome.error_class END,
       progress = CASE outcome.kind WHEN 'completed' THEN 100 ELSE COALESCE(outcome.progress, jobs.progress) END,
       progress_message = CASE WHEN outcome.progress IS NULL THEN progress_message ELSE outcome.message END,
       attempt_count = attempt_count - (outcome.kind = 'released'),
       scheduled_for = CASE {_SETTLED_STATUS} WHEN 'pending' THEN COALESCE({{now}} + outcome.delay, scheduled_for)
                       ELSE scheduled_for END,
       completed_at = CASE {_SETTLED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM (%s) AS outcome
 WHERE {NOT_STALE.format("outcome")}
RETURNING id, status
"""
_OUTCOMES = """SELECT key AS id, value->>'token' AS token, value->>'kind' AS kind, value->>'result' AS result,
               value->>'error' AS error, value->>'error_class' AS error_class, value->>'delay' AS delay,
               value->>'progress' AS progress, value->>'message' AS message
          FROM json_each(:items)"""
# One attempt whose result is too long for JSON.
_OUTCOME = """SELECT :id AS id, :token AS token, :kind AS kind, :result AS result, :error AS error,
               :error_class AS error_class, :delay AS delay, :progress AS progress, :message AS message"""

SETTLE = _SETTLE % _OUTCOMES
SETTLE_ONE: str | None = _SETTLE % _OUTCOME

# Like SETTLE, for attempts that completed without new progress, which are nearly all: half the work. The id of the job,
# the start of its token and the result are one text.
_COMPLETED = """(SELECT key AS id, substr(value, 1, 32) || key AS token, substr(value, 33) AS result
          FROM json_each(:items)) AS outcome"""
_RETURNED = "RETURNING id, status"
COMPLETE = f"""
UPDATE jobs
   SET status = 'completed', result = outcome.result, error = NULL, error_class = NULL, progress = 100,
       completed_at = {{now}}, fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM {_COMPLETED}
 WHERE {NOT_STALE.format("outcome")}
{_RETURNED}
"""

# The jobs that COMPLETE will complete, as one text instead of a row for each.
_WILL_COMPLETE = f"FROM {_COMPLETED} CROSS JOIN jobs WHERE {NOT_STALE.format('outcome')}"
PACKED_COMPLETE: tuple[str, str] | None = (
    f"SELECT json_group_array(outcome.id) AS packed {_WILL_COMPLETE}",
    COMPLETE.replace(_RETURNED, ""),
)

_EXPIRED_STATUS = NOT_COMPLETED.format(final="attempt_count >= max_attempts")
LEASE_EXPIRED_ERROR = (
    "'the worker died or stalled: its lease expired in attempt ' || attempt_count || ' of ' || max_attempts"
)
OVERDUE = """status = 'running' AND worker_expires_at < {now}
   AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))"""

# The present, if a lease is over. The statements that follow expire the leases that are over at this time.
ANY_OVERDUE: str | None = f"""
SELECT {{now}} AS now WHERE EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE {OVERDUE})
"""
MOST_EXPIRED: int | None = None
# One compare-and-swap without ids read earlier, so that a lease renewed in the meantime is not touched.
EXPIRE = f"""
UPDATE jobs
   SET status = {_EXPIRED_STATUS},
       scheduled_for = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN {{now}} + abs(random() % (:jitter + 1))
                       ELSE scheduled_for END,
       completed_at = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       error = {LEASE_EXPIRED_ERROR}, error_class = '{LEASE_EXPIRED}',
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE {OVERDUE}
RETURNING id, job_name, queue, status
"""
