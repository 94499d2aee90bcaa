"""Every SQL statement of the engine: each move of `lifecycle` in one statement.

`{now}` stands for the database's clock, in milliseconds since the epoch. Lists travel as one JSON parameter, so that a
batch of any size is one statement (and within Cloudflare D1's limit of 100 parameters). Each write after a claim
carries the token guard and returns the rows it changed.
"""

from __future__ import annotations

JOB_COLUMNS = (
    "id, job_name, params, result, status, progress, progress_message, error, worker_started_at, worker_expires_at, "
    "attempt_count, max_attempts, scheduled_for, correlation_id, created_at, updated_at, completed_at, queue, "
    "priority, spec_version, fencing_token, unique_key, cancel_requested"
)
SCHEDULE_COLUMNS = (
    "id, job_name, name, cron_expression, timezone, misfire, params, enabled, last_run_at, next_run_at, last_job_id"
)

PROBE = f"SELECT {JOB_COLUMNS}, (SELECT {SCHEDULE_COLUMNS.split(', ')[-1]} FROM cron_jobs LIMIT 1) FROM jobs LIMIT 0"
PING = "SELECT 1"

# --- enqueue ---------------------------------------------------------------------------------------------------------

_NEW_JOBS = """
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, created_at, updated_at)
SELECT value->>'id', value->>'job_name', value->>'params', 'pending', value->>'queue', value->>'priority',
       value->>'spec_version', value->>'max_attempts', COALESCE(value->>'scheduled_for', {now} + (value->>'delay')),
       value->>'unique_key', value->>'correlation_id', {now}, {now}
  FROM json_each(:jobs)
"""

INSERT = f"""{_NEW_JOBS}
 WHERE true
    ON CONFLICT DO NOTHING
RETURNING id
"""

# Who holds these unique keys, and which of these ids (with no key) are stored.
HOLDERS = """
SELECT unique_key, id FROM jobs
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND status IN ('pending', 'running')
UNION ALL
SELECT NULL, id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))
"""

START = f"""
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, created_at, updated_at, attempt_count, fencing_token, worker_started_at,
                  worker_expires_at)
VALUES (:id, :job_name, :params, 'running', :queue, :priority, :spec_version, :max_attempts, {{now}}, :unique_key,
        :correlation_id, {{now}}, {{now}}, 1, lower(hex(randomblob(16))), {{now}}, {{now}} + :lease)
    ON CONFLICT DO NOTHING
RETURNING {JOB_COLUMNS}
"""

# --- claim -----------------------------------------------------------------------------------------------------------

_KNOWN = """status = 'pending' AND attempt_count < max_attempts
   AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))"""
_DUE = "(scheduled_for IS NULL OR scheduled_for <= {now})"
_FIRST = "ORDER BY priority DESC, scheduled_for, id LIMIT :limit"
_DUE_COLUMNS = "id, attempt_count, priority, scheduled_for"
# Of the most urgent, those that were never attempted and only so many of the others.
_CHOSEN = """id IN (
 SELECT id FROM due WHERE attempt_count = 0
 UNION ALL
 SELECT id FROM (SELECT id FROM due WHERE attempt_count > 0
                  ORDER BY priority DESC, scheduled_for, id LIMIT COALESCE(:retried_limit, -1)))"""

_CLAIM = f"""
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = lower(hex(randomblob(16))),
       worker_started_at = {{now}}, worker_expires_at = {{now}} + :lease, progress = 0, progress_message = NULL,
       updated_at = {{now}}
 WHERE %s
RETURNING {JOB_COLUMNS}
"""

CLAIM = f"WITH due AS MATERIALIZED (SELECT {_DUE_COLUMNS} FROM jobs WHERE {_KNOWN} AND {_DUE} {_FIRST})" + (
    _CLAIM % _CHOSEN
)

CLAIM_ONE = _CLAIM % f"id = :id AND {_KNOWN}"

# For workers that know a job with a concurrency limit: of each such job, only as many as there is room for.
CLAIM_LIMITED = (
    f"""
WITH room AS (
  SELECT value->>0 AS job_name,
         (value->>2) - (SELECT count(*) FROM jobs WHERE status = 'running' AND job_name = value->>0) AS room
    FROM json_each(:known) WHERE value->>2 IS NOT NULL),
waiting AS (
  SELECT {_DUE_COLUMNS}, job_name,
         row_number() OVER (PARTITION BY job_name ORDER BY priority DESC, scheduled_for, id) AS position
    FROM jobs WHERE {_KNOWN} AND {_DUE}),
due AS MATERIALIZED (
  SELECT {_DUE_COLUMNS} FROM waiting LEFT JOIN room USING (job_name) WHERE room IS NULL OR position <= room {_FIRST})"""
    + _CLAIM % _CHOSEN
)

# --- while it runs ---------------------------------------------------------------------------------------------------

RENEW = """
UPDATE jobs
   SET worker_expires_at = {now} + :lease, progress = beat.progress, progress_message = beat.message, updated_at = {now}
  FROM (SELECT value->>'id' AS id, value->>'token' AS token, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)) AS beat
 WHERE jobs.id = beat.id AND jobs.status = 'running' AND jobs.fencing_token = beat.token
RETURNING id, cancel_requested
"""

# --- settle ----------------------------------------------------------------------------------------------------------

# What becomes of a job whose attempt did not complete; `final` says whether another attempt is pointless.
_NOT_COMPLETED = "CASE WHEN cancel_requested THEN 'cancelled' WHEN {final} THEN 'failed' ELSE 'pending' END"
_FAILED_STATUS = _NOT_COMPLETED.format(final="attempt_count >= max_attempts OR outcome.delay IS NULL")
_RELEASED_STATUS = _NOT_COMPLETED.format(final="false")
_SETTLED_STATUS = (
    f"CASE outcome.kind WHEN 'completed' THEN 'completed' WHEN 'failed' THEN {_FAILED_STATUS} "
    f"WHEN 'released' THEN {_RELEASED_STATUS} ELSE 'cancelled' END"
)

SETTLE = f"""
UPDATE jobs
   SET status = {_SETTLED_STATUS},
       result = CASE outcome.kind WHEN 'completed' THEN outcome.result ELSE jobs.result END,
       error = CASE outcome.kind WHEN 'completed' THEN NULL WHEN 'released' THEN jobs.error ELSE outcome.error END,
       progress = CASE outcome.kind WHEN 'completed' THEN 100 ELSE COALESCE(outcome.progress, jobs.progress) END,
       progress_message = CASE WHEN outcome.progress IS NULL THEN progress_message ELSE outcome.message END,
       attempt_count = attempt_count - (outcome.kind = 'released'),
       scheduled_for = CASE {_SETTLED_STATUS} WHEN 'pending' THEN COALESCE({{now}} + outcome.delay, scheduled_for)
                       ELSE scheduled_for END,
       completed_at = CASE {_SETTLED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM (SELECT value->>'id' AS id, value->>'token' AS token, value->>'kind' AS kind, value->>'result' AS result,
               value->>'error' AS error, value->>'delay' AS delay, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)) AS outcome
 WHERE jobs.id = outcome.id AND jobs.status = 'running' AND jobs.fencing_token = outcome.token
RETURNING id, status
"""

_EXPIRED_STATUS = _NOT_COMPLETED.format(final="attempt_count >= max_attempts")

# One compare-and-swap, never by ids read earlier: a lease renewed meanwhile is not touched.
EXPIRE = f"""
UPDATE jobs
   SET status = {_EXPIRED_STATUS},
       scheduled_for = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN {{now}} + abs(random() % (:jitter + 1))
                       ELSE scheduled_for END,
       completed_at = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       error = 'the worker died or stalled: its lease ran out in attempt ' || attempt_count || ' of ' || max_attempts,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE status = 'running' AND worker_expires_at < {{now}}
   AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))
RETURNING id, job_name, status
"""

# --- by hand ---------------------------------------------------------------------------------------------------------

CANCEL = """
UPDATE jobs
   SET completed_at = CASE status WHEN 'pending' THEN {now} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'pending' THEN 'cancelled' ELSE status END,
       updated_at = {now}
 WHERE id = :id AND status IN ('pending', 'running')
RETURNING status
"""

RETRY = """
UPDATE jobs
   SET status = 'pending', attempt_count = 0, scheduled_for = {now}, progress = 0, progress_message = NULL,
       error = NULL, cancel_requested = false, worker_started_at = NULL, completed_at = NULL, updated_at = {now}
 WHERE id = :id AND status IN ('failed', 'cancelled')
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running'))
RETURNING id
"""

# --- read ------------------------------------------------------------------------------------------------------------

GET = f"SELECT {JOB_COLUMNS} FROM jobs WHERE id = :id"

LIST = f"""
SELECT {JOB_COLUMNS} FROM jobs
 WHERE (:status IS NULL OR status = :status) AND (:job_name IS NULL OR job_name = :job_name)
   AND (:queue IS NULL OR queue = :queue) AND (:correlation_id IS NULL OR correlation_id = :correlation_id)
   AND (:before IS NULL OR id < :before)
 ORDER BY id DESC LIMIT :limit
"""

COUNT = """
SELECT job_name, status, count(*) AS count FROM jobs
 WHERE :since IS NULL OR created_at >= :since
 GROUP BY job_name, status ORDER BY job_name, status
"""

COUNT_DUE = f"SELECT count(*) AS count FROM jobs WHERE {_KNOWN} AND {_DUE}"

NEXT_DUE = f"SELECT min(COALESCE(scheduled_for, 0)) - {{now}} AS wait FROM jobs WHERE {_KNOWN}"

# --- schedules -------------------------------------------------------------------------------------------------------

SAVE_SCHEDULES = """
INSERT INTO cron_jobs (id, job_name, name, cron_expression, timezone, misfire, params, enabled, created_at, updated_at)
SELECT value->>'id', value->>'job_name', value->>'name', value->>'cron_expression', value->>'timezone',
       value->>'misfire', value->>'params', value->>'enabled', {now}, {now}
  FROM json_each(:schedules) WHERE true
    ON CONFLICT (id) DO UPDATE
   SET job_name = excluded.job_name, name = excluded.name, params = excluded.params,
       cron_expression = excluded.cron_expression, timezone = excluded.timezone, misfire = excluded.misfire,
       next_run_at = CASE WHEN (cron_jobs.cron_expression, cron_jobs.timezone, cron_jobs.misfire)
                             = (excluded.cron_expression, excluded.timezone, excluded.misfire)
                     THEN cron_jobs.next_run_at END,
       updated_at = {now}
"""

LIST_SCHEDULES = f"SELECT {SCHEDULE_COLUMNS} FROM cron_jobs ORDER BY job_name, name"

ENABLE_SCHEDULE = """
UPDATE cron_jobs
   SET enabled = CASE WHEN :enabled = 1 THEN true ELSE false END,
       next_run_at = CASE WHEN :enabled = 1 AND enabled THEN next_run_at END,
       updated_at = {now}
 WHERE id = :id RETURNING id
"""

DUE_SCHEDULES = f"""
SELECT {SCHEDULE_COLUMNS} FROM cron_jobs
 WHERE enabled AND job_name IN (SELECT value FROM json_each(:job_names))
   AND (next_run_at IS NULL OR next_run_at <= {{now}})
 ORDER BY job_name, name
"""

NOW = "SELECT {now} AS now"

# A slot makes a job only if it is newer than any slot that fired (so it stays fired when its job is deleted) and if no
# job has its id, which is computed from schedule and slot (so two schedulers that fire at once make one job).
FIRE = f"""{_NEW_JOBS}
 WHERE EXISTS (SELECT 1 FROM cron_jobs
                WHERE id = :schedule_id AND enabled
                  AND (last_run_at IS NULL OR last_run_at < value->>'scheduled_for'))
    ON CONFLICT DO NOTHING
RETURNING id
"""

FIRED = """
UPDATE cron_jobs
   SET next_run_at = CASE WHEN cron_expression = :cron_expression AND timezone = :timezone THEN :next_run_at
                     ELSE next_run_at END,
       last_job_id = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot THEN last_job_id
                     ELSE COALESCE((SELECT max(id) FROM jobs
                                     WHERE id IN (SELECT value->>'id' FROM json_each(:jobs)
                                                   WHERE last_run_at IS NULL
                                                      OR last_run_at < value->>'scheduled_for')), last_job_id) END,
       last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= :last_slot THEN last_run_at ELSE :last_slot END,
       updated_at = {now}
 WHERE id = :schedule_id AND enabled
"""
