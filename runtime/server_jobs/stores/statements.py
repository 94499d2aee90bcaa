"""Every SQL statement of the engine: each move of `lifecycle` in one statement.

`{now}` stands for the database's clock, in milliseconds since the epoch. Lists travel as one JSON parameter, so that a
batch of any size is one statement (and within Cloudflare D1's limit of 100 parameters). Each write after a claim
carries the token guard and returns the rows it changed.
"""

from __future__ import annotations

from ..domain.record import UNREADABLE
from . import schedule_sets
from .groups import LIMITED, UNLIMITED, URGENCY, any_due, awaited, first_due

JOB_COLUMNS = (
    "id, job_name, params, result, status, progress, progress_message, error, worker_started_at, worker_expires_at, "
    "attempt_count, max_attempts, scheduled_for, correlation_id, created_at, updated_at, completed_at, queue, "
    "priority, spec_version, fencing_token, unique_key, cancel_requested, concurrency_key, rate_key"
)
SUMMARY_COLUMNS = (
    "id, job_name, status, queue, priority, progress, progress_message, attempt_count, max_attempts, created_at, "
    "updated_at, scheduled_for, completed_at"
)
SCHEDULE_COLUMNS = (
    "id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled, last_run_at, next_run_at, "
    "last_job_id"
)

CLAIM_COLUMNS = "id, job_name, spec_version, params, attempt_count, max_attempts, correlation_id"

GIVEN_NOW = ":now"  # in the place of `{now}`, where a test holds the clock

NEEDED = {"cron_jobs": "misfire_limit", "job_starts": "id", "paused_queues": "name", "job_audit": "id"}
"""The newest column of each table but `jobs`: a database that has them is new enough."""

# Fails if a table or a column is missing.
PROBE = f"""
SELECT {JOB_COLUMNS}, {", ".join(f"(SELECT {column} FROM {table} LIMIT 1)" for table, column in NEEDED.items())}
  FROM jobs LIMIT 0
"""
PING = "SELECT 1"

# A failed job that nobody could read.
PARKED = f"(status = 'failed' AND COALESCE(substr(error, 1, {len(UNREADABLE)}), '') = '{UNREADABLE}')"

# --- enqueue ---------------------------------------------------------------------------------------------------------

_NEW_JOBS = """
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
SELECT value->>'id', value->>'job_name', value->>'params', 'pending', value->>'queue', value->>'priority',
       value->>'spec_version', value->>'max_attempts', COALESCE(value->>'scheduled_for', {now} + (value->>'delay')),
       value->>'unique_key', value->>'correlation_id', value->>'concurrency_key', value->>'rate_key', {now}, {now}
  FROM json_each(:jobs)
"""

# Jobs that differ in their params and keys only, as those of one call nearly always do: half the work of the above.
# By the id of each its params, or, of one with keys, a list of the params and the three keys.
PACKED_INSERT: str | None = """
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
SELECT key, :job_name, CASE type WHEN 'array' THEN value->>0 ELSE value END, 'pending', :queue, :priority,
       :spec_version, :max_attempts, COALESCE(:scheduled_for, {now} + :delay),
       CASE type WHEN 'array' THEN value->>1 END, :correlation_id, CASE type WHEN 'array' THEN value->>2 END,
       CASE type WHEN 'array' THEN value->>3 END, {now}, {now}
  FROM json_each(:jobs)
 WHERE true
    ON CONFLICT DO NOTHING
"""
INSERT = f"{PACKED_INSERT}RETURNING id"

# What it has stored, as one text: the rows of one statement are numbered one after another.
PACKED_INSERTED: str | None = """
SELECT json_group_array(id) AS packed FROM jobs
 WHERE rowid > last_insert_rowid() - changes() AND rowid <= last_insert_rowid()
"""

# One job, as it nearly always is.
INSERT_ONE = """
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
VALUES (:id, :job_name, :params, 'pending', :queue, :priority, :spec_version, :max_attempts,
        COALESCE(:scheduled_for, {now} + :delay), :unique_key, :correlation_id, :concurrency_key, :rate_key, {now},
        {now})
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
                  correlation_id, concurrency_key, rate_key, created_at, updated_at, attempt_count, fencing_token,
                  worker_started_at, worker_expires_at)
VALUES (:id, :job_name, :params, 'running', :queue, :priority, :spec_version, :max_attempts, {{now}}, :unique_key,
        :correlation_id, :concurrency_key, :rate_key, {{now}}, {{now}}, 1, :batch || :id, {{now}}, {{now}} + :lease)
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""

# --- claim -----------------------------------------------------------------------------------------------------------

_KNOWN = """status = 'pending' AND attempt_count < max_attempts
   AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))"""
_DUE = "(scheduled_for IS NULL OR scheduled_for <= {now})"
_UNPAUSED = "queue NOT IN (SELECT name FROM paused_queues)"
_WAITING = f"{_KNOWN} AND {_DUE} AND {_UNPAUSED}"
_DUE_COLUMNS = "id, attempt_count, max_attempts, priority, scheduled_for"
_MAY_WAIT = "attempt_count = 0 AND max_attempts > 1"
_MUST_START = "attempt_count > 0 OR max_attempts = 1"


def _first_of_due(condition: str, most: str) -> str:
    return f"SELECT id FROM (SELECT id FROM due WHERE {condition} {URGENCY} LIMIT COALESCE({most}, -1))"


# All of the most urgent jobs that may wait for a slot, and a bounded number of the others.
_CHOSEN = f"""id IN (
 SELECT id FROM due WHERE {_MAY_WAIT}
 UNION ALL {_first_of_due(_MUST_START, ":slots")})"""
_CHOSEN_OF_BOTH_KINDS = f"""id IN (
 SELECT id FROM due WHERE {_MAY_WAIT} AND NOT is_limited
 UNION ALL {_first_of_due(f"{_MAY_WAIT} AND is_limited", ":limited")}
 UNION ALL {_first_of_due(_MUST_START, ":slots")})"""

_CLAIM = """
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = :batch || id,
       worker_started_at = {now}, worker_expires_at = {now} + :lease, progress = 0, progress_message = NULL,
       updated_at = {now}
 WHERE %s
"""

# Jobs without limits.
CLAIM = f"WITH due AS MATERIALIZED ({first_due(UNLIMITED, ':limit')})" + _CLAIM % _CHOSEN

CLAIM_NEXT: str | None = None  # entries leave the index at once, so the first job is always at its head

# Whether such a claim would find any.
DUE = any_due(UNLIMITED)

CLAIM_ONE = f"{_CLAIM % f'id = :id AND {_KNOWN}'}RETURNING {CLAIM_COLUMNS}"

# What those claims took, found by how their tokens begin in an index of all that runs.
_CLAIMED = "status = 'running' AND worker_expires_at IS NOT NULL AND substr(fencing_token, 1, 32) = :batch"
CLAIMED: str | None = f"SELECT {CLAIM_COLUMNS} FROM jobs INDEXED BY jobs_lease WHERE {_CLAIMED} {URGENCY}"

# The same as one text, for where each row costs more than what is in it. JSON cannot hold what others may have written.
PACKED_CLAIMED: str | None = f"""
SELECT json_group_array(json_array(CAST(id AS TEXT), CAST(job_name AS TEXT), CAST(spec_version AS INTEGER),
                                   CAST(params AS TEXT), CAST(attempt_count AS INTEGER), CAST(max_attempts AS INTEGER),
                                   CAST(correlation_id AS TEXT))) AS packed
  FROM ({CLAIMED})
"""

# What was claimed and never answered, back as it was: nobody runs it.
GIVE_BACK = """
UPDATE jobs INDEXED BY jobs_lease
   SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'pending' END,
       completed_at = CASE WHEN cancel_requested THEN {now} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE status = 'running' AND worker_expires_at IS NOT NULL
   AND substr(fencing_token, 1, 32) IN (SELECT value FROM json_each(:batches))
RETURNING id
"""

# --- limits ----------------------------------------------------------------------------------------------------------

# A job with limits carries two keys. Such jobs are claimed by a statement of their own, from indexes of their own.
_LIMITS = """SELECT DISTINCT value->>0 AS job_name, value->>2 AS concurrency, value->>3 AS rate, value->>4 AS period,
                     value->>5 AS has_one_concurrency_key, value->>6 AS has_one_rate_key
                FROM json_each(:known) WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL"""
_LIMITED_NAMES = f"SELECT job_name FROM ({_LIMITS})"

# Jobs that were stored under another spec may have other keys than the only one of today's limit.
_OTHER_KEY = """EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_limited_lane
                          WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = stated.job_name
                            AND %s)"""
_OTHER_CONCURRENCY_KEY = _OTHER_KEY % "concurrency_key > ''"
_OTHER_RATE_KEY = _OTHER_KEY % "concurrency_key = '' AND rate_key > ''"

# Jobs of limited names that somebody stored who knew of no limit get the keys of those that go by no values.
_KEYLESS = f"AND value->>0 IN ({_LIMITED_NAMES})"
ADOPTABLE = any_due(UNLIMITED, names=_KEYLESS)
ADOPT = f"""
UPDATE jobs SET concurrency_key = '', rate_key = '', scheduled_for = COALESCE(scheduled_for, created_at)
 WHERE id IN (SELECT id FROM ({first_due(UNLIMITED, ":limit", names=_KEYLESS)}))
RETURNING id
"""

# The runs of such jobs count as well, and a job whose spec has lost its limits is claimed like any other again.
ADOPT_RUNNING = f"""
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE status = 'running' AND concurrency_key IS NULL AND job_name IN ({_LIMITED_NAMES})
RETURNING id
"""
_MISLABELLED = f"""SELECT id FROM jobs INDEXED BY jobs_limited_lane
               WHERE status = 'pending' AND concurrency_key IS NOT NULL
                 AND job_name IN (SELECT value->>0 FROM json_each(:known) EXCEPT {_LIMITED_NAMES})"""
DISMISS = f"""
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL
 WHERE id IN ({_MISLABELLED} LIMIT :limit)
RETURNING id
"""

LIMITED_DUE = any_due(LIMITED, beyond=":beyond")

# A transaction that writes is the only one.
LOCK_LIMITS: str | None = None

# The first job of the lane after another one. Not `(concurrency_key, rate_key) > (…)`: for a pair, SQLite begins at the
# lane itself and walks through all its jobs.
_LANE = """SELECT id FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = {lane}.job_name AND"""
_ORDER_OF_LANES = "ORDER BY concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1"
_LANE_AFTER = f"""COALESCE(
    ({_LANE} concurrency_key = {{lane}}.concurrency_key AND rate_key {{operator}} {{lane}}.rate_key {_ORDER_OF_LANES}),
    ({_LANE} concurrency_key > {{lane}}.concurrency_key {_ORDER_OF_LANES}))"""

_STARTS = """(SELECT count(*) FROM job_starts AS start
      WHERE start.job_name = {of}.job_name AND start.rate_key = {key} AND start.started_at >= {{now}} - period)"""
_SEED = "FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= :window"
_LANES = f"""seeds AS (
  SELECT job_name, '' AS concurrency_key, '' AS rate_key {_SEED}
   UNION ALL SELECT job_name, :start, '' {_SEED}
   UNION ALL SELECT job_name, '', :start {_SEED}),
lanes AS (
  SELECT found.job_name, found.concurrency_key, found.rate_key, 1 AS number
    FROM seeds JOIN jobs AS found ON found.id = {_LANE_AFTER.format(lane="seeds", operator=">=")}
   UNION ALL
  SELECT found.job_name, found.concurrency_key, found.rate_key, number + 1
    FROM lanes JOIN jobs AS found ON found.id = {_LANE_AFTER.format(lane="lanes", operator=">")}
   WHERE number < :lanes),
open_lanes AS (
  SELECT DISTINCT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name) LEFT JOIN running USING (job_name, concurrency_key)
   WHERE (concurrency IS NULL OR COALESCE(count, 0) < concurrency)
     AND (rate IS NULL OR rate > {_STARTS.format(of="lanes", key="lanes.rate_key")})),
heads AS MATERIALIZED (
  SELECT head.id FROM open_lanes AS lane JOIN jobs AS head ON head.id IN (
    SELECT id FROM jobs WHERE {_WAITING} AND concurrency_key IS NOT NULL AND job_name = lane.job_name
       AND concurrency_key = lane.concurrency_key AND rate_key = lane.rate_key {URGENCY} LIMIT :limit)
   LIMIT :window),
"""


def _claim_limited(lanes: str, ids: str) -> str:
    starts_of_one_key = _STARTS.format(of="limits", key="''")
    starts = _STARTS.format(of="candidates", key="candidates.rate_key")
    return (
        f"""
WITH RECURSIVE limits AS MATERIALIZED (
  SELECT job_name, concurrency, rate, period,
         has_one_concurrency_key AND NOT {_OTHER_CONCURRENCY_KEY} AS has_one_concurrency_key,
         has_one_rate_key AND NOT {_OTHER_CONCURRENCY_KEY} AND NOT {_OTHER_RATE_KEY} AS has_one_rate_key
    FROM ({_LIMITS}) AS stated),
running AS MATERIALIZED (
  SELECT job_name, concurrency_key, count(*) AS count FROM jobs
   WHERE status = 'running' AND concurrency_key IS NOT NULL GROUP BY job_name, concurrency_key),
open_name AS MATERIALIZED (
  SELECT job_name, (concurrency IS NOT NULL AND NOT COALESCE(has_one_concurrency_key, 0))
                   OR (rate IS NOT NULL AND NOT COALESCE(has_one_rate_key, 0)) AS has_lanes
    FROM limits
   WHERE (has_one_concurrency_key AND concurrency <= (
            SELECT COALESCE(max(count), 0) FROM running
             WHERE running.job_name = limits.job_name AND running.concurrency_key = '')) IS NOT TRUE
     AND (has_one_rate_key AND rate <= {starts_of_one_key}) IS NOT TRUE),
walk AS MATERIALIZED ({first_due(LIMITED, ":window", names="AND value->>0 IN (SELECT job_name FROM open_name)")}),
{lanes}candidates AS MATERIALIZED (
  SELECT {_DUE_COLUMNS}, job_name, concurrency_key, rate_key, concurrency, rate, period
    FROM jobs JOIN limits USING (job_name) WHERE id IN ({ids})),
started AS MATERIALIZED (
  SELECT job_name, rate_key, {starts} AS starts
    FROM candidates WHERE rate IS NOT NULL GROUP BY job_name, rate_key, period),
possible AS (
  SELECT {_DUE_COLUMNS}, job_name, concurrency_key,
         concurrency - COALESCE(count, 0) AS room, rate - starts AS rate_room,
         row_number() OVER (PARTITION BY job_name, rate_key {URGENCY}) AS rate_position
    FROM candidates LEFT JOIN running USING (job_name, concurrency_key) LEFT JOIN started USING (job_name, rate_key)
   WHERE concurrency IS NULL OR COALESCE(count, 0) < concurrency),
allowed AS (
  SELECT {_DUE_COLUMNS}, room, row_number() OVER (PARTITION BY job_name, concurrency_key {URGENCY}) AS position
    FROM possible WHERE rate_room IS NULL OR rate_position <= rate_room),
unlimited AS MATERIALIZED (
  {first_due(UNLIMITED, ":unlimited", names=f"AND value->>0 NOT IN ({_LIMITED_NAMES})")}),
due AS MATERIALIZED (
  SELECT * FROM (SELECT {_DUE_COLUMNS}, 1 AS is_limited FROM allowed WHERE room IS NULL OR position <= room
                  UNION ALL SELECT {_DUE_COLUMNS}, 0 FROM unlimited) {URGENCY} LIMIT :limit)"""
        + _CLAIM % _CHOSEN_OF_BOTH_KINDS
    )


# Looks at the first `window` jobs that wait.
CLAIM_LIMITED = _claim_limited("", "SELECT id FROM walk")

# Looks also at the first jobs of some lanes (the jobs of a name with the same keys), so that a full lane does not hide
# the others behind its backlog: at `lanes` of each name from the first on, and as many from another one on.
CLAIM_LANES = _claim_limited(_LANES, "SELECT id FROM walk UNION SELECT id FROM heads")

RECORD_STARTS: str | None = f"""
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT fencing_token, job_name, rate_key, worker_started_at, worker_started_at + period
  FROM jobs JOIN ({_LIMITS}) USING (job_name)
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND rate IS NOT NULL AND {_CLAIMED}
"""

FORGET_STARTS = """
DELETE FROM job_starts
 WHERE id IN (SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000)
"""

# --- pause -----------------------------------------------------------------------------------------------------------

PAUSE_QUEUE = "INSERT INTO paused_queues (name, paused_at) VALUES (:name, {now}) ON CONFLICT DO NOTHING RETURNING name"

RESUME_QUEUE = "DELETE FROM paused_queues WHERE name = :name RETURNING name"

PAUSED_QUEUES = "SELECT name, paused_at FROM paused_queues ORDER BY name"

# --- prune -----------------------------------------------------------------------------------------------------------

_LOOKED_AT = "SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT :limit"

# By a look into the rules and not by a join with them, of which D1 would count each row of each job. In a quoted key of
# JSON a name must not have quotes, which no job has.
_IS_EXPIRED = f"""NOT {PARKED}
   AND (jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' *'))
        OR CASE WHEN instr(jobs.job_name, '"') = 0
                THEN jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' ' || jobs.job_name)) END)"""
_PRUNABLE = f"id IN ({_LOOKED_AT}) AND {_IS_EXPIRED}"

PRUNE_RANGE = f"SELECT max(id) AS last, count(*) AS count FROM ({_LOOKED_AT})"

PRUNE = f"DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id"

PRUNABLE = f"SELECT id FROM jobs WHERE {_PRUNABLE}"

# How far those have come who walk one step and are gone, in a row among the starts: no job has such a name, and nobody
# forgets it. It moves past a step in which there is nothing to delete, and stays before one in which there is. One
# statement, that reads each row of the step once; it writes nothing where all jobs are one step and none can go.
PRUNE_PLACE = "(prune)"
HAS_EXPIRED = "(prune) found"
_CENTURY = 100 * 365 * 86_400_000
PRUNE_MOVE = f"""
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '{PRUNE_PLACE}'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, count(*) AS count, COALESCE(max(is_expired), 0) AS has_expired
    FROM (SELECT id, {_IS_EXPIRED} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT :limit))
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '{PRUNE_PLACE}', CASE WHEN has_expired THEN '{HAS_EXPIRED}' ELSE '{PRUNE_PLACE}' END,
       CASE WHEN has_expired THEN after WHEN count < :limit THEN '' ELSE last END, {{now}}, {{now}} + {_CENTURY}
  FROM place, step WHERE has_expired OR after <> '' OR count >= :limit
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '{HAS_EXPIRED}' AS has_expired
"""

# --- while it runs ---------------------------------------------------------------------------------------------------

# The fence before every write under a claim: a stale claim has another token, and changes no row.
_NOT_STALE = "jobs.id = {0}.id AND jobs.status = 'running' AND jobs.fencing_token = {0}.token"

RENEW = f"""
UPDATE jobs
   SET worker_expires_at = {{now}} + :lease, progress = beat.progress, progress_message = beat.message,
       updated_at = {{now}}
  FROM (SELECT key AS id, value->>'token' AS token, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)) AS beat
 WHERE {_NOT_STALE.format("beat")}
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

# %s: a row of outcome for each attempt.
_SETTLE = f"""
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
  FROM (%s) AS outcome
 WHERE {_NOT_STALE.format("outcome")}
RETURNING id, status
"""
_OUTCOMES = """SELECT key AS id, value->>'token' AS token, value->>'kind' AS kind, value->>'result' AS result,
               value->>'error' AS error, value->>'delay' AS delay, value->>'progress' AS progress,
               value->>'message' AS message
          FROM json_each(:items)"""
# One attempt, whose result is too long to be within JSON.
_OUTCOME = """SELECT :id AS id, :token AS token, :kind AS kind, :result AS result, :error AS error, :delay AS delay,
               :progress AS progress, :message AS message"""

SETTLE = _SETTLE % _OUTCOMES
SETTLE_ONE: str | None = _SETTLE % _OUTCOME

# As SETTLE, of attempts that completed and have no progress to report: half the work, and nearly all there are. By the
# id of the job, what its token begins with and the result are one text.
_COMPLETED = """(SELECT key AS id, substr(value, 1, 32) || key AS token, substr(value, 33) AS result
          FROM json_each(:items)) AS outcome"""
_RETURNED = "RETURNING id, status"
COMPLETE = f"""
UPDATE jobs
   SET status = 'completed', result = outcome.result, error = NULL, progress = 100, completed_at = {{now}},
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM {_COMPLETED}
 WHERE {_NOT_STALE.format("outcome")}
{_RETURNED}
"""

# The jobs that COMPLETE will complete, as one text instead of a row for each.
_WILL_COMPLETE = f"FROM {_COMPLETED} CROSS JOIN jobs WHERE {_NOT_STALE.format('outcome')}"
PACKED_COMPLETE: tuple[str, str] | None = (
    f"SELECT json_group_array(outcome.id) AS packed {_WILL_COMPLETE}",
    COMPLETE.replace(_RETURNED, ""),
)

_EXPIRED_STATUS = _NOT_COMPLETED.format(final="attempt_count >= max_attempts")

MOST_EXPIRED: int | None = None
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

_CANCELLABLE = f"id = :id AND (status IN ('pending', 'running') OR {PARKED})"
CANCEL = f"""
UPDATE jobs
   SET completed_at = CASE status WHEN 'running' THEN completed_at ELSE {{now}} END,
       cancel_requested = CASE status WHEN 'running' THEN true ELSE cancel_requested END,
       status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
       updated_at = {{now}}
 WHERE {_CANCELLABLE}
RETURNING status
"""

_RETRYABLE = """id = :id AND status IN ('failed', 'cancelled')
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running'))"""
RETRY = f"""
UPDATE jobs
   SET status = 'pending', attempt_count = 0, scheduled_for = {{now}}, progress = 0, progress_message = NULL,
       error = NULL, cancel_requested = false, worker_started_at = NULL, completed_at = NULL, updated_at = {{now}}
 WHERE {_RETRYABLE}
RETURNING id
"""

# One compare-and-swap on what was read: params that somebody has changed, or a worker has begun with, stay.
_REPAIRABLE = f"""id = :id AND (status = 'pending' OR {PARKED}) AND CAST(params AS TEXT) = :old_params
   AND spec_version = :old_version
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
                      AND other.id <> jobs.id)"""
REPAIR = f"""
UPDATE jobs
   SET status = 'pending', attempt_count = 0, scheduled_for = {{now}}, progress = 0, progress_message = NULL,
       error = NULL, cancel_requested = false, worker_started_at = NULL, completed_at = NULL, updated_at = {{now}},
       params = :params, spec_version = :spec_version, concurrency_key = :concurrency_key, rate_key = :rate_key
 WHERE {_REPAIRABLE}
RETURNING id
"""

DELETE = """
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(:ids)) AND status <> 'running' RETURNING id
"""

# --- audit -----------------------------------------------------------------------------------------------------------

# Each is executed before the move that it records, in the same transaction and under the same condition.
_AUDIT = """
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {{now}}, :actor, '{action}', id, job_name, {detail} FROM jobs WHERE {condition}
"""
AUDIT_CANCEL = _AUDIT.format(
    action="cancel",
    condition=_CANCELLABLE,
    detail="CASE status WHEN 'running' THEN 'asked to stop' END",
)
AUDIT_RETRY = _AUDIT.format(action="retry", condition=_RETRYABLE, detail="NULL")
AUDIT_REPAIR = _AUDIT.format(
    action="repair",
    condition=_REPAIRABLE,
    detail="'version ' || spec_version || ' to ' || CAST(:spec_version AS INTEGER)",
)
AUDIT_DELETE = _AUDIT.format(
    action="delete",
    condition="id IN (SELECT value FROM json_each(:ids)) AND status <> 'running'",
    detail=":detail",
)
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

# --- search ----------------------------------------------------------------------------------------------------------

# By text alone, which narrows what is read: see `job_search`.
_SEARCHED = "SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT :limit"
SEARCH_RANGE = f"SELECT max(id) AS last, count(*) AS count FROM ({_SEARCHED}) AS searched"
_SEARCHED_TEXT = "CASE :part WHEN 'result' THEN COALESCE(CAST(result AS TEXT), '') ELSE CAST(params AS TEXT) END"
SEARCH = f"""
SELECT id, job_name, status, CAST(params AS TEXT) AS params, CAST(result AS TEXT) AS result FROM jobs
 WHERE id IN ({_SEARCHED}) AND (:job_name IS NULL OR job_name = :job_name)
   AND (EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr({_SEARCHED_TEXT}, value) > 0)
        OR (:is_number = 1 AND {_SEARCHED_TEXT} GLOB '*[0-9][eE]*'))
 ORDER BY id
"""

# --- read ------------------------------------------------------------------------------------------------------------

GET = f"SELECT {JOB_COLUMNS} FROM jobs WHERE id = :id"

_LISTED = f"""FROM jobs
 WHERE (:status IS NULL OR status = :status) AND (:job_name IS NULL OR job_name = :job_name)
   AND (:queue IS NULL OR queue = :queue)
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))
   AND (:correlation_id IS NULL OR correlation_id = :correlation_id)
   AND (:before IS NULL OR id < :before) AND (:parked = 0 OR {PARKED})
 ORDER BY id DESC LIMIT :limit"""
LIST = f"SELECT {JOB_COLUMNS} {_LISTED}"

# Where jobs are, without what may be long.
SUMMARIES = f"SELECT {SUMMARY_COLUMNS}, {PARKED} AS parked"
SUMMARY = f"{SUMMARIES} FROM jobs WHERE id = :id"
LIST_SUMMARIES = f"{SUMMARIES} {_LISTED}"

ALLOW_SCAN: str | None = None  # scans are not avoided here
COUNT = f"""
SELECT job_name, status, count(*) AS count, sum(CASE WHEN {PARKED} THEN 1 ELSE 0 END) AS parked FROM jobs
 WHERE :since IS NULL OR created_at >= :since
 GROUP BY job_name, status ORDER BY job_name, status
"""

# Jobs without limits and those with are in indexes of their own.
_DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"

# What there is to do, and whether rows are labelled as the specs say.
SURVEY = f"""
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND worker_expires_at < {{now}})
         AS has_expired,
       EXISTS (SELECT 1 FROM cron_jobs
                WHERE {_DUE_SCHEDULE} AND job_name IN (SELECT value->>0 FROM json_each(:known))) AS has_due_schedule,
       EXISTS ({any_due(UNLIMITED)}) OR EXISTS ({any_due(LIMITED)}) AS has_due_job,
       EXISTS ({_MISLABELLED}) AS has_mislabelled
"""

COUNT_DUE = f"""
SELECT sum(count) AS count
  FROM (SELECT count(*) AS count FROM jobs WHERE {_WAITING} AND concurrency_key IS NULL
         UNION ALL SELECT count(*) FROM jobs WHERE {_WAITING} AND concurrency_key IS NOT NULL)
"""

NEXT_DUE = f"""
SELECT min(due) - {{now}} AS wait
  FROM (SELECT due FROM ({awaited(UNLIMITED)}) UNION ALL SELECT due FROM ({awaited(LIMITED)}))
"""

# --- schedules -------------------------------------------------------------------------------------------------------

_SETS = """(SELECT value->>'job_name' AS job_name, value->>'fingerprint' AS fingerprint,
                   value->>'has_schedules' AS has_schedules FROM json_each(:sets)) AS sets"""
_SCHEDULES = """(SELECT value->>'id' AS id, value->>'job_name' AS job_name, value->>'name' AS name,
                   value->>'cron_expression' AS cron_expression, value->>'timezone' AS timezone,
                   value->>'misfire' AS misfire, value->>'misfire_limit' AS misfire_limit, value->>'params' AS params,
                   value->>'enabled' AS enabled FROM json_each(:schedules)) AS new"""


def _of_sets(template: str) -> str:
    return template.format(
        sets=_SETS,
        schedules=_SCHEDULES,
        grace=":grace",
        far=f"{{now}} + {_CENTURY}",
        columns=SCHEDULE_COLUMNS,
        now="{now}",
    )


SAVE_SCHEDULES = _of_sets(schedule_sets.SAVE_ANY)
TAKE_OVER_SCHEDULES = _of_sets(schedule_sets.TAKE_OVER)
UNAPPLIED_SCHEDULES = _of_sets(schedule_sets.UNAPPLIED)
APPLY_SCHEDULES = tuple(map(_of_sets, schedule_sets.APPLY))
FORGET_WITHDRAWAL = schedule_sets.FORGET_WITHDRAWAL

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
 WHERE {_DUE_SCHEDULE} AND job_name IN (SELECT value FROM json_each(:job_names))
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
