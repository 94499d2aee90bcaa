"""Renew leases, store outcomes and expire leases."""

from __future__ import annotations

from ...domain.history import ATTEMPTS_KEPT
from ...domain.record import LEASE_EXPIRED, Outcome
from ..statements.common import ATTEMPT_COLUMNS
from ..statements.history import REPLACED
from ..statements.settle import NOT_COMPLETED, RELEASED_ERROR, RELEASED_ERROR_CLASS
from .claim import UNFLUSHED
from .common import LEASE
from .enqueue import SOON

# Locked in the order of their ids. `status || ''` matches no index, so the planner uses the primary key instead of
# reading all running jobs. The new values are one object by job id, because a join might compare each with each.
_LOCKED_ROWS = """items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id),
locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items)) ORDER BY id FOR UPDATE"""
_LOCKED_ROWS_SOON = _LOCKED_ROWS.replace(" ORDER BY", f" AND {SOON} ORDER BY")
# The fence before every write under a claim: a stale claim has another token, and changes no row.
_FENCE = "jobs.status || '' = 'running'\n   AND jobs.fencing_token = "
_NOT_STALE = f"{_FENCE}items.by_id -> jobs.id ->> 'token'"
_LOCKED = "jobs.id = ANY(ARRAY(SELECT id FROM locked))"


def _item(name: str, type_name: str = "text") -> str:
    value = f"(items.by_id -> jobs.id ->> '{name}')"
    return value if type_name == "text" else f"CAST({value} AS {type_name})"


# A row that another transaction has locked is skipped, because a wait would cost the leases of all others. It is
# returned without `cancel_requested` if the claim seems to be current.
RENEW = f"""
WITH {_LOCKED_ROWS} SKIP LOCKED),
renewed AS (
  UPDATE jobs
     SET worker_expires_at = {{now}} + {LEASE}, progress = {_item("progress", "integer")},
         progress_message = {_item("message")}, updated_at = {{now}}
    FROM items
   WHERE {_LOCKED} AND {_NOT_STALE} AND {UNFLUSHED}
  RETURNING jobs.id, cancel_requested)
SELECT id, cancel_requested FROM renewed
 UNION ALL
SELECT jobs.id, CAST(NULL AS boolean) FROM jobs, items
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND jobs.id <> ALL(ARRAY(SELECT id FROM locked)) AND {_NOT_STALE}
"""


_KIND = _item("kind")
_FAILED_STATUS = NOT_COMPLETED.format(final=f"attempt_count >= max_attempts OR {_item('delay')} IS NULL")
_RELEASED_STATUS = NOT_COMPLETED.format(final="false")
_SETTLED_STATUS = (
    f"CASE {_KIND} WHEN 'completed' THEN 'completed' WHEN 'failed' THEN {_FAILED_STATUS} "
    f"WHEN 'released' THEN {_RELEASED_STATUS} ELSE 'cancelled' END"
)

# Attempts that did not complete. The slot limits the rows of a job.
_NEXT_NUMBER = "COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = {job}), 0) + 1"


def _recorded(attempts: str) -> str:
    return f"""recorded AS (
  INSERT INTO job_attempts (slot, number, {ATTEMPT_COLUMNS})
  SELECT number % {ATTEMPTS_KEPT}, number, {ATTEMPT_COLUMNS}
    FROM ({attempts}) AS attempt
{REPLACED})"""


_ENDED_ATTEMPTS = f"""
    SELECT {_NEXT_NUMBER.format(job="ended.id")} AS number, ended.id AS job_id,
           attempt_count + CAST(item ->> 'kind' = 'released' AS integer) AS attempt, item ->> 'ended' AS outcome,
           item ->> 'error' AS error, item ->> 'error_class' AS error_class, item ->> 'traceback' AS traceback,
           worker_id, COALESCE(worker_started_at, {{now}}) AS started_at, {{now}} AS ended_at
      FROM ended"""

SETTLE = f"""
WITH {_LOCKED_ROWS_SOON}),
settled AS (
UPDATE jobs
   SET status = {_SETTLED_STATUS},
       result = CASE {_KIND} WHEN 'completed' THEN {_item("result")} ELSE jobs.result END,
       error = CASE {_KIND} WHEN 'completed' THEN NULL WHEN 'released' THEN {RELEASED_ERROR}
               ELSE {_item("error")} END,
       error_class = CASE {_KIND} WHEN 'completed' THEN NULL WHEN 'released' THEN {RELEASED_ERROR_CLASS}
                     ELSE {_item("error_class")} END,
       progress = CASE {_KIND} WHEN 'completed' THEN 100
                  ELSE COALESCE({_item("progress", "integer")}, jobs.progress) END,
       progress_message = CASE WHEN {_item("progress")} IS NULL THEN progress_message ELSE {_item("message")} END,
       attempt_count = attempt_count - CAST({_KIND} = 'released' AS integer),
       scheduled_for = CASE {_SETTLED_STATUS} WHEN 'pending'
                       THEN COALESCE({{now}} + {_item("delay", "bigint")} * interval '1 millisecond', scheduled_for)
                       ELSE scheduled_for END,
       completed_at = CASE {_SETTLED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM items
 WHERE {_LOCKED} AND {_NOT_STALE}
RETURNING jobs.id, jobs.status, jobs.attempt_count, jobs.worker_id, jobs.worker_started_at),
ended AS MATERIALIZED (
  SELECT settled.*, by_id -> settled.id AS item FROM settled, items WHERE by_id -> settled.id ->> 'ended' IS NOT NULL),
{_recorded(_ENDED_ATTEMPTS)}
SELECT id, status FROM settled
"""

SETTLE_ONE: str | None = None  # a parameter may have a gigabyte

# The id of the job, the start of its token and the result are one text. Nothing is locked first, because the index is
# read in the order of the ids. If the planner chooses otherwise, one of two deadlocked batches is repeated.
COMPLETE = f"""
WITH items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id)
UPDATE jobs
   SET status = 'completed', result = right(items.by_id ->> jobs.id, -32), error = NULL, error_class = NULL,
       progress = 100, completed_at = {{now}}, fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM items
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND {_FENCE}left(items.by_id ->> jobs.id, 32) || jobs.id AND {SOON}
RETURNING jobs.id, jobs.status
"""

_EXPIRED_STATUS = NOT_COMPLETED.format(final="attempt_count >= max_attempts")

# A locked job is being renewed or settled, and is left alone. The limit is a constant, so that the planner prefers the
# index of leases for any statistics of the table.
ANY_OVERDUE: str | None = None
MOST_EXPIRED: int | None = 1000
_EXPIRED_ATTEMPTS = f"""
    SELECT {_NEXT_NUMBER.format(job="expired.id")} AS number, id AS job_id, attempt_count AS attempt,
           '{Outcome.EXPIRED}' AS outcome, error, error_class, CAST(NULL AS text) AS traceback, worker_id,
           COALESCE(worker_started_at, {{now}}) AS started_at, {{now}} AS ended_at
      FROM expired"""
EXPIRE = f"""
WITH overdue AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'running' AND worker_expires_at < {{now}}
     AND fencing_token <> ALL(ARRAY(SELECT json_array_elements_text(CAST(:except_for AS json))))
   ORDER BY worker_expires_at LIMIT {MOST_EXPIRED} FOR UPDATE SKIP LOCKED),
expired AS (
UPDATE jobs
   SET status = {_EXPIRED_STATUS},
       scheduled_for = CASE {_EXPIRED_STATUS}
                       WHEN 'pending' THEN {{now}} + floor(random() * (CAST(:jitter AS bigint) + 1))
                                                     * interval '1 millisecond'
                       ELSE scheduled_for END,
       completed_at = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       error = 'the worker died or stalled: its lease expired in attempt ' || attempt_count || ' of ' || max_attempts,
       error_class = '{LEASE_EXPIRED}', fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM overdue))
RETURNING id, job_name, queue, status, attempt_count, error, error_class, worker_id, worker_started_at),
{_recorded(_EXPIRED_ATTEMPTS)}
SELECT id, job_name, queue, status FROM expired
"""
