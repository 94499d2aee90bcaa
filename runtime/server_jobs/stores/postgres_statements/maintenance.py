"""Delete finished jobs past their retention, end batches and cancel late jobs."""

from __future__ import annotations

from ...domain.record import MOST_LATE
from ..statements.common import PARKED
from ..statements.enqueue import IS_LATE, OWNS_KEY, late_error
from ..statements.maintenance import CANCEL_LATE_ONES, HAS_ENDED, HAS_EXPIRED, PRUNE_PLACE
from .common import MATCHES, WAITS_SQL, elements
from .enqueue import AND_WAIT_LIMIT, HAS_KEY, start_time

_AGE = "CAST(CAST(:rules AS jsonb)->>({rule}) AS bigint) * interval '1 millisecond'"
_IS_EXPIRED = f"""NOT {PARKED}
   AND (jobs.completed_at < {{now}} - {_AGE.format(rule="jobs.status || ' *'")}
        OR jobs.completed_at < {{now}} - {_AGE.format(rule="jobs.status || ' ' || jobs.job_name")})"""
# The jobs of the step, or the given ones.
_STEP = f"""SELECT id FROM (
    SELECT id FROM jobs WHERE CAST(:ids AS json) IS NULL AND id > :after ORDER BY id LIMIT :limit) AS step
    UNION ALL {elements("ids")}"""
_PRUNABLE = f"id = ANY(ARRAY({_STEP})) AND {_IS_EXPIRED}\n   AND {MATCHES}"

_RECENT = "{now} - CAST(:shortest AS bigint) * interval '1 millisecond'"
_RECENT_ID = f"lpad(to_hex(CAST(floor(extract(epoch FROM {_RECENT}) * 1000) AS bigint)), 12, '0')"
_ALL_RECENT = f"""(bool_and(created_at >= {_RECENT})
                 AND replace(left(max(id), 13), '-', '') COLLATE "C" >= {_RECENT_ID})"""
PRUNE_RANGE = f"""SELECT max(id) AS last, count(*) AS count, {_ALL_RECENT} AS all_recent
  FROM (SELECT id, created_at FROM jobs WHERE id > :after ORDER BY id LIMIT :limit) AS looked_at"""


FORGOTTEN = "forgotten AS (DELETE FROM job_attempts WHERE job_id = ANY(ARRAY(SELECT id FROM deleted)))"
PRUNE = f"""
WITH deleted AS (DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id),
{FORGOTTEN}
SELECT id FROM deleted
"""

PRUNABLE = f"SELECT id FROM jobs WHERE {_PRUNABLE}"

PRUNE_MOVE = f"""
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '{PRUNE_PLACE}'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, COALESCE(bool_or(is_expired), false) AS has_expired,
         count(*) < CAST(:limit AS bigint) OR {_ALL_RECENT} AS is_last
    FROM (SELECT id, created_at, {_IS_EXPIRED} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT CAST(:limit AS bigint)) AS looked_at)
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '{PRUNE_PLACE}', CASE WHEN has_expired THEN '{HAS_EXPIRED}' ELSE '{PRUNE_PLACE}' END,
       CASE WHEN has_expired THEN after WHEN is_last THEN '' ELSE last END,
       {{now}}, {{now}} + interval '100 years'
  FROM place, step WHERE has_expired OR after <> '' OR NOT is_last
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '{HAS_EXPIRED}' AS has_expired
"""


def ended(batch_ids: str = "CAST(:batch_ids AS json)") -> str:
    return f"""SELECT jobs.id FROM jobs
   WHERE status = 'pending' AND id = batch_id AND scheduled_for = {WAITS_SQL}
     AND ({batch_ids} IS NULL OR id = ANY(ARRAY(SELECT json_array_elements_text({batch_ids}))))
     AND {HAS_ENDED.format(jobs="jobs AS one")}"""


ENDED_BATCHES = ended()
END_BATCHES = f"""
WITH ended AS MATERIALIZED (
  {ended()} FOR UPDATE SKIP LOCKED)
UPDATE jobs SET scheduled_for = {{now}}, updated_at = {{now}}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM ended))
RETURNING id
"""


# A locked job is being claimed or changed, and is left alone.
_ERROR = late_error(start_time("start_before"))
CANCEL_LATE = f"""
WITH late AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}
   ORDER BY start_before LIMIT {MOST_LATE} FOR UPDATE SKIP LOCKED)
{CANCEL_LATE_ONES.format(error=_ERROR, condition="jobs.id = ANY(ARRAY(SELECT id FROM late))")}"""
CANCEL_LATE_OWNERS = f"""
WITH late AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE {HAS_KEY} AND {OWNS_KEY} AND {IS_LATE}{AND_WAIT_LIMIT}
   ORDER BY id FOR UPDATE)
{CANCEL_LATE_ONES.format(error=_ERROR, condition="jobs.id = ANY(ARRAY(SELECT id FROM late))")}"""
