"""The SQL statements of the engine, for SQLite and its relatives: one statement per move of the state machine.

SQL cannot call `domain.lifecycle`, so the moves exist again here and in `postgres_statements`. The conformance suite
compares all three with the table in `domain.transitions`.

`{now}` stands for the time of the database, in milliseconds since the epoch. Lists travel as one JSON parameter: a
batch of any size is one statement, within the limit of 100 parameters of Cloudflare D1. Each write after a claim has
the condition that the claim is not stale, and returns the rows that it changed.
"""

from __future__ import annotations

from ..domain.history import ATTEMPTS_KEPT, MOST_HELD, MOST_HOLDERS
from ..domain.record import LEASE_EXPIRED, MOST_LATE, SHORT_ERROR, SHORT_PARAMS, UNREADABLE, WAITS, Outcome
from . import schedule_sets
from .columns import GIVEN_TYPES, JOB_COLUMNS, NEW_COLUMNS, SUMMARY_COLUMNS, new_values
from .groups import LIMITED, STARTABLE, UNLIMITED, URGENCY, any_due, awaited, first_due
from .job_filters import matching
from .rows import timestamp
from .statistics import StatisticsDialect, enqueued_counts, failure_groups, queue_states

SCHEDULE_COLUMNS = (
    "id, job_name, name, cron_expression, timezone, misfire, misfire_limit, params, enabled, last_run_at, next_run_at, "
    "last_job_id"
)

CLAIM_FIELDS = "id, job_name, spec_version, params, attempt_count, max_attempts, correlation_id, headers, batch_id"
CLAIM_COLUMNS = f"{CLAIM_FIELDS}, COALESCE(scheduled_for, created_at) AS due_at"
ATTEMPT_COLUMNS = "job_id, attempt, outcome, error, error_class, traceback, worker_id, started_at, ended_at"

GIVEN_NOW = ":now"  # replaces `{now}` if a test sets the clock

NEEDED = {
    "cron_jobs": "misfire_limit",
    "job_starts": "id",
    "paused_queues": "name",
    "job_audit": "id",
    "job_attempts": "slot",
    "job_workers": "id",
    "job_counts": "minute",
}
"""The newest column of each table except `jobs`. A database with these columns is new enough."""

# Fails if a table or a column is missing.
PROBE = f"""
SELECT {JOB_COLUMNS}, {", ".join(f"(SELECT {column} FROM {table} LIMIT 1)" for table, column in NEEDED.items())}
  FROM jobs LIMIT 0
"""
PING = "SELECT 1"

# A failed job whose params could not be read.
PARKED = f"(status = 'failed' AND COALESCE(substr(error, 1, {len(UNREADABLE)}), '') = '{UNREADABLE}')"


def value(name: str, kind: str) -> str:
    """Return the SQL of a parameter. `kind` is its type, which only PostgreSQL needs."""
    del kind
    return f":{name}"


def _elements(name: str) -> str:
    return f"SELECT value FROM json_each(:{name})"


def jobs_by(index: str) -> str:
    """Return the table of jobs, with the index to use."""
    return f"jobs INDEXED BY {index}"


OF_QUEUES = f"queue IN ({_elements('queues')})"

# The condition of a filter.
_MATCHES = f"{matching(value, _elements, lambda name: f'{{now}} - :{name}')}\n   AND (:parked = 0 OR {PARKED})"

# --- enqueue ---------------------------------------------------------------------------------------------------------

_NOW = "{now}"
_DUE_AT = "COALESCE(:scheduled_for, {now} + :delay)"
_DUE_IN_ROW = "COALESCE(value->>'scheduled_for', {now} + (value->>'delay'))"
_EXPIRES_AFTER, _EXPIRES_AFTER_IN_ROW = ":expires_after", "(value->>'expires_after')"
# The parameter `jobs` of INSERT has an element per id: the params, or a list of the params and the three keys.
_OWN = {
    "id": "key",
    "params": "CASE type WHEN 'array' THEN value->>0 ELSE value END",
    "unique_key": "CASE type WHEN 'array' THEN value->>1 END",
    "concurrency_key": "CASE type WHEN 'array' THEN value->>2 END",
    "rate_key": "CASE type WHEN 'array' THEN value->>3 END",
}


def _parameter(column: str) -> str:
    return f":{column}"


def _in_row(column: str) -> str:
    return f"value->>'{column}'"


def _shared_or_own(column: str) -> str:
    return _OWN.get(column, f":{column}")


_NEW_JOBS = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_in_row, due=_DUE_IN_ROW, expires_after=_EXPIRES_AFTER_IN_ROW)}
  FROM json_each(:jobs)
"""

# For jobs that differ only in params and keys, as jobs of one call usually do. Half the work of INSERT.
PACKED_INSERT: str | None = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_shared_or_own, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}
  FROM json_each(:jobs)
 WHERE true
    ON CONFLICT DO NOTHING
"""
INSERT = INSERT_MANY = f"{PACKED_INSERT}RETURNING id"
WAIT_LIMIT = AND_WAIT_LIMIT = ""  # the busy timeout of the connection limits each wait

# The stored jobs as one text. The rows of one statement have consecutive numbers.
PACKED_INSERTED: str | None = """
SELECT json_group_array(id) AS packed FROM jobs
 WHERE rowid > last_insert_rowid() - changes() AND rowid <= last_insert_rowid()
"""

# One job, the usual case.
INSERT_ONE = f"""
INSERT INTO jobs ({NEW_COLUMNS})
VALUES ({new_values(_parameter, due=_DUE_AT, expires_after=_EXPIRES_AFTER)})
    ON CONFLICT DO NOTHING
RETURNING id
"""

# The owner of a unique key. A late job gives it up to a new job, and a replaced one has given it up.
OWNS_KEY = "status IN ('pending', 'running') AND replaced_by IS NULL"
IS_LATE = "(status = 'pending' AND start_before < {now})"
KEEPS_KEY = f"{OWNS_KEY} AND {IS_LATE} IS NOT TRUE"
IS_REPLACED = "status = 'running' AND replaced_by IS NOT NULL"

# The jobs with these unique keys, and the stored jobs among these ids without a key.
KEY_OWNERS = f"""
SELECT unique_key, id FROM jobs
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND {KEEPS_KEY}
UNION ALL
SELECT NULL, id FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))
"""

# Running jobs that gave up these keys.
REPLACED_JOBS = f"""
SELECT unique_key, id FROM jobs
 WHERE unique_key IN (SELECT value FROM json_each(:unique_keys)) AND {IS_REPLACED}
"""

START = f"""
INSERT INTO jobs ({NEW_COLUMNS}, attempt_count, fencing_token, worker_started_at, worker_expires_at)
SELECT {new_values(_parameter, due=_NOW, expires_after=_EXPIRES_AFTER, status="running")}, 1,
       :batch || :id, {{now}}, {{now}} + :lease
 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = :unique_key AND {IS_REPLACED})
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""

# --- replace ---------------------------------------------------------------------------------------------------------

# The parameter `keys` has the id of the new job by unique key. Executed before the new jobs are stored.
SUPERSEDE = f"""
UPDATE jobs INDEXED BY jobs_unique_key
   SET replaced_by = new.value, updated_at = {{now}}
  FROM json_each(:keys) AS new
 WHERE unique_key = new.key AND {OWNS_KEY} AND status <> 'pending'
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value)
RETURNING id
"""

# The new job in the place of a pending one, as if that one were new.
_KEPT = ("id", "job_name", "unique_key")
INTO_PENDING = f"""SET {", ".join(f"{column} = excluded.{column}" for column in GIVEN_TYPES if column not in _KEPT)},
       scheduled_for = CASE {{reschedules}} WHEN 1 THEN excluded.scheduled_for ELSE jobs.scheduled_for END,
       start_before = CASE {{reschedules}} WHEN 1 THEN excluded.start_before
                      ELSE COALESCE(jobs.scheduled_for, jobs.created_at)
                           + (excluded.start_before - excluded.scheduled_for) END,
       attempt_count = 0, progress = 0, progress_message = NULL, error = NULL, error_class = NULL,
       worker_started_at = NULL, worker_id = NULL, updated_at = {{now}}
 WHERE jobs.status = 'pending' AND (jobs.start_before < {{now}}) IS NOT TRUE
RETURNING id, unique_key
"""
_OR_REPLACE = f"""ON CONFLICT (id) DO NOTHING
    ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND {OWNS_KEY} DO UPDATE
   {INTO_PENDING.replace("{reschedules}", ":reschedules")}"""


def replacing(insert: str, returning: str, or_replace: str) -> str:
    """Return an insert that puts its jobs in the place of pending ones."""
    return insert.replace(f"ON CONFLICT DO NOTHING\n{returning}", or_replace)


REPLACE = replacing(INSERT, "RETURNING id", _OR_REPLACE)
REPLACE_ONE = replacing(INSERT_ONE, "RETURNING id\n", _OR_REPLACE)

# --- claim -----------------------------------------------------------------------------------------------------------

_KNOWN = f"""status = 'pending' AND {STARTABLE}
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
       worker_started_at = {now}, worker_expires_at = {now} + :lease, worker_id = :worker_id, progress = 0,
       progress_message = NULL, updated_at = {now}
 WHERE %s
"""

# Jobs without limits.
CLAIM = f"WITH due AS MATERIALIZED ({first_due(UNLIMITED, ':limit')})" + _CLAIM % _CHOSEN

CLAIM_NEXT: str | None = None  # entries leave the index at once, so the first job is always at its head

# Whether CLAIM would find a job.
DUE = any_due(UNLIMITED)

CLAIM_ONE = f"{_CLAIM % f'id = :id AND {_KNOWN}'}RETURNING {CLAIM_COLUMNS}"

# The jobs of those claims, found by the start of their tokens in an index of all running jobs.
_CLAIMED = "status = 'running' AND worker_expires_at IS NOT NULL AND substr(fencing_token, 1, 32) = :batch"
CLAIMED: str | None = f"SELECT {CLAIM_COLUMNS} FROM jobs INDEXED BY jobs_lease WHERE {_CLAIMED} {URGENCY}"

# The same as one text, for databases where each row is slow. JSON cannot express every value of other programs.
PACKED_CLAIMED: str | None = f"""
SELECT json_group_array(json_array(CAST(id AS TEXT), CAST(job_name AS TEXT), CAST(spec_version AS INTEGER),
                                   CAST(params AS TEXT), CAST(attempt_count AS INTEGER), CAST(max_attempts AS INTEGER),
                                   CAST(correlation_id AS TEXT), CAST(headers AS TEXT),
                                   CAST(batch_id AS TEXT), CAST(due_at AS INTEGER))) AS packed
  FROM ({CLAIMED})
"""

# Release jobs whose claim was never answered: no worker runs them.
RELEASE_UNANSWERED = """
UPDATE jobs INDEXED BY jobs_lease
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = COALESCE('replaced by the job ' || replaced_by, error),
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {now} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE status = 'running' AND worker_expires_at IS NOT NULL
   AND substr(fencing_token, 1, 32) IN (SELECT value FROM json_each(:batches))
RETURNING id
"""

# --- limits ----------------------------------------------------------------------------------------------------------

# A job with limits has two keys. A separate statement claims these jobs, with separate indexes.
_LIMITS = """SELECT DISTINCT value->>0 AS job_name, value->>2 AS concurrency, value->>3 AS rate, value->>4 AS period,
                     value->>5 AS has_one_concurrency_key, value->>6 AS has_one_rate_key
                FROM json_each(:known) WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL"""
_LIMITED_NAMES = f"SELECT job_name FROM ({_LIMITS})"

# Jobs stored under another spec may have keys other than the single key of today's limit.
_OTHER_KEY = """EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_limited_lane
                          WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = stated.job_name
                            AND %s)"""
_OTHER_CONCURRENCY_KEY = _OTHER_KEY % "concurrency_key > ''"
_OTHER_RATE_KEY = _OTHER_KEY % "concurrency_key = '' AND rate_key > ''"

# Jobs of limited names that a release without the limit stored get the keys of limits that depend on no values.
_KEYLESS = f"AND value->>0 IN ({_LIMITED_NAMES})"
ADOPTABLE = any_due(UNLIMITED, names=_KEYLESS)
ADOPT = f"""
UPDATE jobs SET concurrency_key = '', rate_key = '', scheduled_for = COALESCE(scheduled_for, created_at)
 WHERE id IN (SELECT id FROM ({first_due(UNLIMITED, ":limit", names=_KEYLESS)}))
RETURNING id
"""

# Their runs count too. A job whose spec lost its limits is claimed like any other job again.
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

# SQLite allows only one writing transaction.
LOCK_LIMITS: str | None = None

# The first job of the lane after another one. Not `(concurrency_key, rate_key) > (…)`: for a pair, SQLite starts at the
# lane itself and reads all its jobs.
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


# Reads the first `window` pending jobs.
CLAIM_LIMITED = _claim_limited("", "SELECT id FROM walk")

# Also reads the first jobs of some lanes (the jobs of a name with the same keys), so that a full lane does not hide the
# others behind its backlog: `lanes` lanes of each name from the first on, and as many from another one on.
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

# Looks up the rules instead of joining them, because D1 would count each row of each job. A quoted JSON key cannot
# contain quotes, which no job name has.
_IS_EXPIRED = f"""NOT {PARKED}
   AND (jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' *'))
        OR CASE WHEN instr(jobs.job_name, '"') = 0
                THEN jobs.completed_at < {{now}} - (:rules->>(jobs.status || ' ' || jobs.job_name)) END)"""
# The jobs of the step, or the given ones.
_STEP = f"""SELECT id FROM (SELECT id FROM jobs WHERE :ids IS NULL AND id > :after ORDER BY id LIMIT :limit)
    UNION ALL {_elements("ids")}"""
_PRUNABLE = f"id IN ({_STEP}) AND {_IS_EXPIRED}\n   AND {_MATCHES}"

PRUNE_RANGE = f"SELECT max(id) AS last, count(*) AS count FROM ({_LOOKED_AT})"

PRUNE = f"DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id"

# Executed before the jobs are deleted, in the same transaction.
_ATTEMPTS_OF = "DELETE FROM job_attempts WHERE job_id IN (SELECT id FROM jobs WHERE %s)"
PRUNE_ATTEMPTS: str | None = _ATTEMPTS_OF % _PRUNABLE

PRUNABLE = f"SELECT id FROM jobs WHERE {_PRUNABLE}"

# The cursor of pruners that run one step and exit, stored in a row among the starts: no job has this name, and the row
# is never deleted. The cursor moves past a step without jobs to delete, and stays before a step with some. The
# statement reads each row of the step once. It writes nothing if all jobs are one step and none can be deleted.
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
 WHERE {_NOT_STALE.format("outcome")}
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
 WHERE {_NOT_STALE.format("outcome")}
{_RETURNED}
"""

# The jobs that COMPLETE will complete, as one text instead of a row for each.
_WILL_COMPLETE = f"FROM {_COMPLETED} CROSS JOIN jobs WHERE {_NOT_STALE.format('outcome')}"
PACKED_COMPLETE: tuple[str, str] | None = (
    f"SELECT json_group_array(outcome.id) AS packed {_WILL_COMPLETE}",
    COMPLETE.replace(_RETURNED, ""),
)

_EXPIRED_STATUS = NOT_COMPLETED.format(final="attempt_count >= max_attempts")
_LEASE_EXPIRED = (
    "'the worker died or stalled: its lease expired in attempt ' || attempt_count || ' of ' || max_attempts"
)
_OVERDUE = """status = 'running' AND worker_expires_at < {now}
   AND fencing_token NOT IN (SELECT value FROM json_each(:except_for))"""

MOST_EXPIRED: int | None = None
# One compare-and-swap without ids read earlier, so that a lease renewed in the meantime is not touched.
EXPIRE = f"""
UPDATE jobs
   SET status = {_EXPIRED_STATUS},
       scheduled_for = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN {{now}} + abs(random() % (:jitter + 1))
                       ELSE scheduled_for END,
       completed_at = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       error = {_LEASE_EXPIRED}, error_class = '{LEASE_EXPIRED}',
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE {_OVERDUE}
RETURNING id, job_name, status
"""

# --- batches ----------------------------------------------------------------------------------------------------------

_WAITS = str(timestamp(WAITS))
# Whether no job of the batch of a completion job is unfinished. Not EXISTS, for which PostgreSQL might read all jobs.
HAS_ENDED = """(SELECT one.id FROM {jobs} WHERE one.batch_id = jobs.id AND one.status IN ('pending', 'running')
                    AND one.id <> jobs.id LIMIT 1) IS NULL"""
_ENDED = f"""status = 'pending' AND id = batch_id AND scheduled_for = {_WAITS}
   AND (:batch_ids IS NULL OR id IN ({_elements("batch_ids")}))
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


# --- late jobs -------------------------------------------------------------------------------------------------------

CANCEL_LATE_ONES = """
UPDATE jobs
   SET status = 'cancelled', error = 'expired: it had to start by ' || {time} || ' UTC', error_class = NULL,
       completed_at = {{now}}, updated_at = {{now}}
 WHERE {condition}
RETURNING id, job_name
"""
_START_TIME = "datetime(start_before / 1000, 'unixepoch')"
CANCEL_LATE = CANCEL_LATE_ONES.format(
    time=_START_TIME,
    condition=f"""id IN (
 SELECT id FROM jobs INDEXED BY jobs_start_before
  WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}
  ORDER BY start_before LIMIT {MOST_LATE})""",
)
CANCEL_LATE_OWNERS = CANCEL_LATE_ONES.format(
    time=_START_TIME,
    condition=f"unique_key IN ({_elements('unique_keys')}) AND {OWNS_KEY} AND {IS_LATE}",
)

# --- statistics ------------------------------------------------------------------------------------------------------

_STATISTICS = StatisticsDialect(
    jobs=jobs_by,
    most="COALESCE(:most, -1)",
    queues=f"(:queues IS NULL OR {OF_QUEUES})",
    ago=lambda milliseconds: f"({{now}} - {milliseconds})",
    first_id=lambda moment: f"printf('%08x-%04x', {moment} / 65536, {moment} % 65536)",
)
QUEUE_STATES = queue_states(_STATISTICS)
FAILURE_GROUPS = failure_groups(_STATISTICS)
ENQUEUED_COUNTS = enqueued_counts(_STATISTICS)

# A minute, and 0 for all minutes together.
ADD_COUNTS = """
INSERT INTO job_counts (minute, queue, job_name, completed, failed, retried)
SELECT moment.minute, value->>'queue', value->>'job_name', value->>'completed', value->>'failed', value->>'retried'
  FROM json_each(:counts) CROSS JOIN (SELECT {now} / 60000 * 60000 AS minute UNION ALL SELECT 0) AS moment
 WHERE true
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = completed + excluded.completed, failed = failed + excluded.failed,
       retried = retried + excluded.retried
"""
FINISHED_COUNTS = """
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= :since AND minute <= :until ORDER BY minute, queue, job_name
"""
FORGET_COUNTS = "DELETE FROM job_counts WHERE minute > 0 AND minute < {now} - :age RETURNING minute"

# --- history ---------------------------------------------------------------------------------------------------------

# Attempts that did not complete. Executed before the move that ends them, in the same transaction and under the same
# condition. The slot limits the rows of a job.
_NEXT_NUMBER = "COALESCE((SELECT max(number) FROM job_attempts AS earlier WHERE earlier.job_id = {job}), 0) + 1"
_REPLACED_COLUMNS = ("number", *ATTEMPT_COLUMNS.split(", ")[1:])
REPLACED = "    ON CONFLICT (job_id, slot) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _REPLACED_COLUMNS
)
_RECORD = f"""
INSERT INTO job_attempts (slot, number, {ATTEMPT_COLUMNS})
SELECT number %% {ATTEMPTS_KEPT}, number, {ATTEMPT_COLUMNS}
  FROM (SELECT {_NEXT_NUMBER.format(job="jobs.id")} AS number, jobs.id AS job_id, attempt_count AS attempt, %s,
               worker_id, COALESCE(worker_started_at, {{now}}) AS started_at, {{now}} AS ended_at
          FROM %s)
 WHERE true
{REPLACED}
"""
RECORD_ATTEMPTS: str | None = _RECORD % (
    """outcome.ended AS outcome, outcome.error AS error, outcome.error_class AS error_class,
               outcome.traceback AS traceback""",
    f"""(SELECT key AS id, value->>'token' AS token, value->>'ended' AS ended, value->>'error' AS error,
                       value->>'error_class' AS error_class, value->>'traceback' AS traceback
                  FROM json_each(:items)) AS outcome CROSS JOIN jobs
         WHERE outcome.ended IS NOT NULL AND {_NOT_STALE.format("outcome")}""",
)
RECORD_EXPIRED: str | None = _RECORD % (
    f"'{Outcome.EXPIRED}' AS outcome, {_LEASE_EXPIRED} AS error, '{LEASE_EXPIRED}' AS error_class, NULL AS traceback",
    f"jobs WHERE {_OVERDUE}",
)

ATTEMPTS = f"SELECT {ATTEMPT_COLUMNS} FROM job_attempts WHERE job_id = :id ORDER BY number"

# Due jobs of the queue of a pending job that are claimed before it: with a higher priority, or due before it.
_IS_AHEAD = (
    "jobs.priority > :priority AND (scheduled_for IS NULL OR scheduled_for <= {now})",
    "jobs.priority = :priority AND scheduled_for <= min({now}, :due) AND (scheduled_for, jobs.id) < (:due, :id)",
    "jobs.priority = :priority AND scheduled_for IS NULL AND (0, jobs.id) < (:due, :id)",
)


def _ahead(kind: str, index: str) -> str:
    found = "\n     UNION ALL\n    ".join(
        f"""SELECT 1 FROM (SELECT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known)) AS known
     CROSS JOIN jobs INDEXED BY {index}
     WHERE status = 'pending' AND {kind} AND jobs.job_name = known.job_name
       AND jobs.spec_version = known.spec_version AND jobs.queue = :queue AND {condition}"""
        for condition in _IS_AHEAD
    )
    return f"SELECT 1 FROM ({found})"


AHEAD = f"""
SELECT {{now}} AS now, (
  SELECT count(*) FROM (
    {_ahead(UNLIMITED, "jobs_unlimited_group")}
     UNION ALL
    {_ahead(LIMITED, "jobs_limited_group")}
     LIMIT :most)) AS ahead
"""
# The running jobs with the same concurrency key, and the start that leaves the period of the rate next.
HOLDERS = f"""
SELECT id, count(*) OVER () AS count FROM jobs
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND job_name = :job_name
   AND concurrency_key = :concurrency_key
 ORDER BY id LIMIT {MOST_HOLDERS}
"""
RATE_FREE_AT = """
SELECT started_at + :period AS free_at FROM job_starts
 WHERE job_name = :job_name AND rate_key = :rate_key AND started_at >= {now} - :period
 ORDER BY started_at DESC LIMIT 1 OFFSET :limit - 1
"""

HELD_JOBS = f"""
SELECT id FROM jobs WHERE status = 'running' AND worker_expires_at IS NOT NULL AND worker_id = :id
 UNION
SELECT job_id FROM job_attempts WHERE worker_id = :id AND outcome = '{Outcome.EXPIRED}'
 ORDER BY id LIMIT {MOST_HELD}
"""

# A worker that was taken for dead comes back with its next report.
REPORT_WORKER = """
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at
"""
REPORT_TICK = """
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :known, {now}, {now}, {now} + :lease)
    ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, concurrency = excluded.concurrency, version = excluded.version, known = excluded.known,
       last_seen_at = excluded.last_seen_at,
       expires_at = max(excluded.expires_at, excluded.last_seen_at + 2 * (excluded.last_seen_at - last_seen_at))
"""
REMOVE_WORKER = "DELETE FROM job_workers WHERE id = :id"
FORGET_WORKERS = "DELETE FROM job_workers WHERE expires_at < {now} - :age RETURNING id"
WORKERS = """
SELECT job_workers.id AS id, host, pid, queues, concurrency, version, known, started_at, last_seen_at,
       expires_at >= {now} AS is_alive, COALESCE(held.count, 0) AS running
  FROM job_workers LEFT JOIN (
       SELECT worker_id, count(*) AS count FROM jobs
        WHERE status = 'running' AND worker_expires_at IS NOT NULL GROUP BY worker_id) AS held
    ON held.worker_id = job_workers.id
 ORDER BY job_workers.id
"""

# --- by hand ---------------------------------------------------------------------------------------------------------

# Each move is for many jobs. A row is changed only if the state machine allows it and the row matches the filter.
_GIVEN = f"id IN ({_elements('ids')})"
AMONG_IDS = f"{_GIVEN} AND "
_CANCELLABLE = f"{_GIVEN} AND (status IN ('pending', 'running') OR {PARKED})\n   AND {_MATCHES}"
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
      AND {_MATCHES}) WHERE is_first)"""
PUT_BACK = """status = 'pending', attempt_count = 0, progress = 0, progress_message = NULL, start_before = NULL,
       scheduled_for = CASE WHEN id = batch_id AND scheduled_for = {waits} THEN scheduled_for ELSE {{now}} END,
       error = NULL, error_class = NULL, cancel_requested = false, worker_started_at = NULL, worker_id = NULL,
       completed_at = NULL, replaced_by = NULL, updated_at = {{now}}"""
_PUT_BACK = PUT_BACK.format(waits=_WAITS)
RETRY = f"""
UPDATE jobs
   SET {_PUT_BACK}
 WHERE {_RETRYABLE}
RETURNING id
"""

STATUSES = f"SELECT id, status FROM jobs WHERE {_GIVEN} AND {_MATCHES}"

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

_DELETABLE = f"{_GIVEN} AND status <> 'running'\n   AND {_MATCHES}"
DELETE = f"DELETE FROM jobs WHERE {_DELETABLE} RETURNING id"
DELETE_ATTEMPTS: str | None = _ATTEMPTS_OF % _DELETABLE

# --- audit -----------------------------------------------------------------------------------------------------------

# Each is executed before the move that it records, in the same transaction and under the same condition.
_AUDIT = """
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || id, {{now}}, :actor, '{action}', id, job_name, {detail} FROM jobs WHERE {condition}
"""
# `{detail}` of a running job that is asked to stop.
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

# --- find ------------------------------------------------------------------------------------------------------------

# `{scanned}` is the query of the ids of a step, `{rows}` the query of its rows. Text alone narrows the documents: see
# `domain.search`.
FIND_RANGE = "SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM ({scanned}) AS scanned"
_SEARCHED_TEXT = "CASE :part WHEN 'result' THEN COALESCE(CAST(result AS TEXT), '') ELSE CAST(params AS TEXT) END"
FIND = f"""
SELECT id, job_name, status, CAST(params AS TEXT) AS params, CAST(result AS TEXT) AS result FROM ({{rows}}) AS jobs
 WHERE {_MATCHES}
   AND (:part IS NULL OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr({_SEARCHED_TEXT}, value) > 0)
        OR (:is_number = 1 AND {_SEARCHED_TEXT} GLOB '*[0-9][eE]*'))
 ORDER BY id
"""

# --- read ------------------------------------------------------------------------------------------------------------

GET = f"SELECT {JOB_COLUMNS} FROM jobs WHERE id = :id"

_LISTED = f"""FROM jobs
 WHERE {{among}}{_MATCHES}
   AND (:before IS NULL OR id < :before)
 ORDER BY id DESC LIMIT :limit"""
LIST = f"SELECT {JOB_COLUMNS} {_LISTED}"

# Job rows without the long columns.
SUMMARIES = f"SELECT {SUMMARY_COLUMNS}, {PARKED} AS is_parked"
SUMMARY = f"{SUMMARIES} FROM jobs WHERE id = :id"
LIST_SUMMARIES = f"{SUMMARIES} {_LISTED}"
PREVIEWS = f"{SUMMARIES}, spec_version, substr(error, 1, {SHORT_ERROR}) AS error"


def previewed(page: str, bytes_of_params: str) -> str:
    """Return the query of a page with the params that are short. It reads no params of jobs outside of the page."""
    params = f"SELECT params FROM jobs WHERE jobs.id = page.id AND {bytes_of_params} <= {SHORT_PARAMS}"
    return f"SELECT page.*, ({params}) AS params FROM ({page}) AS page"


# See `pages`. The source has the order of the page. With another ORDER BY, SQLite would read all of it.
PAGE = previewed(f"{PREVIEWS} FROM {{source}} AS jobs WHERE {_MATCHES} LIMIT :page", "length(CAST(params AS BLOB))")
OF_GROUP = "{jobs} ON {group}"
LOOK_UP = "CROSS JOIN jobs ON jobs.id = chosen.id"

ALLOW_SCAN: str | None = None  # scans are not avoided here
COUNT = f"""
SELECT job_name, status, count(*) AS count, sum(CASE WHEN {PARKED} THEN 1 ELSE 0 END) AS parked FROM jobs
 WHERE :since IS NULL OR created_at >= :since
 GROUP BY job_name, status ORDER BY job_name, status
"""

# Jobs with and without limits have separate indexes.
_DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"

# The kinds of pending work, and whether the rows have the labels of the specs.
PENDING_WORK = f"""
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND worker_expires_at < {{now}})
         AS has_expired,
       EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_start_before
                WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}) AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs
                WHERE {_DUE_SCHEDULE} AND job_name IN (SELECT value->>0 FROM json_each(:known))) AS has_due_schedule,
       EXISTS ({any_due(UNLIMITED)}) OR EXISTS ({any_due(LIMITED)}) AS has_due_job,
       EXISTS ({_MISLABELLED}) AS has_mislabelled,
       EXISTS ({ENDED_BATCHES.replace(":batch_ids", "NULL")}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known AND last_seen_at > {{now}} - :tick_interval)
         AS has_due_report
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

# A slot makes a job only if it is newer than every fired slot (so it stays fired after its job is deleted) and if no
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
