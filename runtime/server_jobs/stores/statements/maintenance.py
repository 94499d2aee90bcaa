"""Delete finished jobs past their retention, end batches and cancel late jobs."""

from __future__ import annotations

from ...domain.record import MOST_LATE
from .common import CENTURY, MATCHES, PARKED, WAITS_SQL, elements, jobs_by
from .enqueue import IS_LATE, OWNS_KEY, late_error, start_time

# Looks up the rules instead of joining them, because D1 would count each row of each job. A quoted JSON key cannot
# contain quotes, which no job name has.
_IS_EXPIRED = f"""NOT {PARKED}
   AND (jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' *'))
        OR CASE WHEN instr(jobs.job_name, '"') = 0
                THEN jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' ' || jobs.job_name)) END)"""
# The jobs of the step, or the given ones.
_STEP = f"""SELECT id FROM (SELECT id FROM jobs WHERE :ids IS NULL AND id > :after ORDER BY id LIMIT :limit)
    UNION ALL {elements("ids")}"""
_PRUNABLE = f"id IN ({_STEP}) AND {_IS_EXPIRED}\n   AND {MATCHES}"

# Where a whole step of jobs was created within the shortest age of the rules, the scan ends: later ids are newer still.
# The ids must be recent too, because jobs of missed and backfilled slots have the old ids of their slots.
_RECENT_ID = "printf('%08x-%04x', ({now} - :shortest) >> 16, ({now} - :shortest) & 65535)"
_ALL_RECENT = f"(min(created_at >= {{now}} - :shortest) AND max(id) >= {_RECENT_ID})"
PRUNE_RANGE = f"""SELECT max(id) AS last, count(*) AS count, {_ALL_RECENT} AS all_recent
  FROM (SELECT id, created_at FROM jobs WHERE id > :after ORDER BY id LIMIT :limit)"""

PRUNE = f"DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id"

# Executed after PRUNE, in the same transaction: attempts in the range of the step, or of the given jobs, that have no
# job. It also finds attempts of jobs that another program deleted.
_END_OF_STEP = "(SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT 1 OFFSET :limit - 1)"
PRUNE_ATTEMPTS: str | None = f"""
DELETE FROM job_attempts
 WHERE job_id IN (SELECT job_id FROM job_attempts
                   WHERE :ids IS NULL AND job_id > :after AND job_id <= COALESCE({_END_OF_STEP}, job_id)
                   UNION ALL {elements("ids")})
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_attempts.job_id)
"""

PRUNABLE = f"SELECT id FROM jobs WHERE {_PRUNABLE}"

# The cursor of pruners that run one step and exit, stored in a row among the starts: no job has this name, and the row
# is never deleted. The cursor moves past a step without jobs to delete, and stays before a step with some. The
# statement reads each row of the step once. It writes nothing if the first step is the last and none can be deleted.
PRUNE_PLACE = "(prune)"
HAS_EXPIRED = "(prune) found"

PRUNE_MOVE = f"""
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '{PRUNE_PLACE}'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, COALESCE(max(is_expired), 0) AS has_expired,
         count(*) < :limit OR {_ALL_RECENT} AS is_last
    FROM (SELECT id, created_at, {_IS_EXPIRED} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT :limit))
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '{PRUNE_PLACE}', CASE WHEN has_expired THEN '{HAS_EXPIRED}' ELSE '{PRUNE_PLACE}' END,
       CASE WHEN has_expired THEN after WHEN is_last THEN '' ELSE last END, {{now}}, {{now}} + {CENTURY}
  FROM place, step WHERE has_expired OR after <> '' OR NOT is_last
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '{HAS_EXPIRED}' AS has_expired
"""


# Whether no job of the batch of a completion job is unfinished. Not EXISTS, for which PostgreSQL might read all jobs.
HAS_ENDED = """(SELECT one.id FROM {jobs} WHERE one.batch_id = jobs.id AND one.status IN ('pending', 'running')
                    AND one.id <> jobs.id LIMIT 1) IS NULL"""
_ENDED = f"""status = 'pending' AND id = batch_id AND scheduled_for = {WAITS_SQL}
   AND (:batch_ids IS NULL OR id IN ({elements("batch_ids")}))
   AND {HAS_ENDED.format(jobs="jobs AS one INDEXED BY jobs_batch")}"""
ENDED_BATCHES = f"SELECT id FROM {jobs_by('jobs_completion')} WHERE {_ENDED}"
END_BATCHES = f"""
UPDATE {jobs_by("jobs_completion")} SET scheduled_for = {{now}}, updated_at = {{now}}
 WHERE {_ENDED}
RETURNING id
"""

# All jobs of the batch, except for the completion job. An index has the rest.
COUNT_BATCH = """
SELECT status, count(*) - (SELECT count(*) FROM jobs AS completion
                            WHERE completion.id = :id AND completion.batch_id = completion.id
                              AND completion.status = jobs.status) AS count
  FROM jobs WHERE batch_id = :id GROUP BY status
"""
BATCH_JOBS = "SELECT id FROM jobs WHERE batch_id = :id AND job_name = :job_name AND id <> batch_id ORDER BY id"


CANCEL_LATE_ONES = """
UPDATE jobs
   SET status = 'cancelled', error = {error}, error_class = NULL,
       completed_at = {{now}}, updated_at = {{now}}
 WHERE {condition}
RETURNING id, job_name
"""
_ERROR = late_error(start_time("start_before"))
CANCEL_LATE = CANCEL_LATE_ONES.format(
    error=_ERROR,
    condition=f"""id IN (
 SELECT id FROM jobs INDEXED BY jobs_start_before
  WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}
  ORDER BY start_before LIMIT {MOST_LATE})""",
)
CANCEL_LATE_OWNERS = CANCEL_LATE_ONES.format(
    error=_ERROR,
    condition=f"unique_key IN ({elements('unique_keys')}) AND {OWNS_KEY} AND {IS_LATE}",
)
