"""The statements of `statements` for PostgreSQL, where many transactions run at the same time, with the same names.

The moves of the state machine exist here again; the conformance suite compares them with `domain.transitions`.

* Times are `timestamptz`. Durations, and times that are parameters, are milliseconds. `{now}` is the time at which the
  statement began. Casts are written CAST, because `:name` is a parameter.
* Every statement locks rows in one order, or skips locked rows, so that two batches cannot deadlock.
* No plan depends on statistics, which are outdated as soon as they are collected for a queue. The statements leave the
  planner no choice: an ordered index scan with a limit that it cannot know, look-ups by row location or primary key,
  and session settings that avoid sequential scans (`databases.postgres.driver.session_settings`).
"""

from __future__ import annotations

from ..domain.history import ATTEMPTS_KEPT
from ..domain.record import LEASE_EXPIRED, MOST_LATE, WAITS, Outcome
from . import schedule_sets
from .columns import GIVEN_TYPES, JOB_COLUMNS, NEW_COLUMNS, new_values
from .job_filters import matching
from .postgres_groups import KNOWN_VALUES, STARTABLE, UNLESS_LOCKED, any_due, awaited, due_of_group, first_due
from .statements import (
    ASKED_TO_STOP,
    ATTEMPT_COLUMNS,
    ATTEMPTS,
    BATCH_JOBS,
    CANCEL_LATE_ONES,
    CLAIM_COLUMNS,
    CLAIM_FIELDS,
    COUNT_BATCH,
    FIND_RANGE,
    FIRST_OF_ITS_KEY,
    GET,
    HAS_ENDED,
    HAS_EXPIRED,
    HELD_JOBS,
    HOLDERS,
    INTO_PENDING,
    IS_LATE,
    IS_REPLACED,
    KEEPS_KEY,
    KEY_IS_FREE,
    LIST_SCHEDULES,
    NEEDED,
    NOT_COMPLETED,
    NOW,
    OWNS_KEY,
    PARKED,
    PAUSE_QUEUE,
    PAUSED_QUEUES,
    PING,
    PREVIEWS,
    PRUNE_PLACE,
    PUT_BACK,
    RELEASED_ERROR,
    RELEASED_ERROR_CLASS,
    REMOVE_WORKER,
    REPLACED,
    RESUME_QUEUE,
    SCHEDULE_COLUMNS,
    SUMMARIES,
    SUMMARY,
    WORKERS,
    previewed,
    replacing,
)
from .statistics import StatisticsDialect, enqueued_counts, failure_groups, queue_states

__all__ = [
    "ATTEMPTS",
    "BATCH_JOBS",
    "COUNT_BATCH",
    "FIND_RANGE",
    "GET",
    "HELD_JOBS",
    "HOLDERS",
    "LIST_SCHEDULES",
    "NOW",
    "PAUSED_QUEUES",
    "PAUSE_QUEUE",
    "PING",
    "REMOVE_WORKER",
    "RESUME_QUEUE",
    "SUMMARY",
    "WORKERS",
]

# Fails if a table or a column is missing. It reads the catalog only: a role need not be allowed to read every table.
PROBE = "SELECT " + ", ".join(
    f"has_column_privilege(regclass '{table}', '{column}', 'SELECT')"
    for table, columns in {"jobs": JOB_COLUMNS, **NEEDED}.items()
    for column in columns.split(", ")
)

_LEASE = "CAST(:lease AS bigint) * interval '1 millisecond'"


def _moment(milliseconds: str) -> str:
    """Return SQL for a time from milliseconds since the epoch. An interval times the number would lose precision."""
    return (
        f"timestamptz 'epoch' + {milliseconds} / 1000 * interval '1 second'"
        f" + {milliseconds} % 1000 * interval '1 millisecond'"
    )


GIVEN_NOW = f"({_moment('CAST(:now AS bigint)')})"


def value(name: str, kind: str) -> str:
    """Return the SQL of a parameter of this type."""
    return f"CAST(:{name} AS {kind})"


def _elements(name: str) -> str:
    return f"SELECT json_array_elements_text(CAST(:{name} AS json))"


def _ago(name: str) -> str:
    return f"{{now}} - CAST(:{name} AS bigint) * interval '1 millisecond'"


def jobs_by(index: str) -> str:
    """Return the table of jobs. The server chooses the index that has the condition of the query."""
    del index
    return "jobs"


OF_QUEUES = f"queue = ANY(ARRAY({_elements('queues')}))"

# The condition of a filter.
_MATCHES = f"{matching(value, _elements, _ago)}\n   AND (CAST(:parked AS integer) = 0 OR {PARKED})"

# --- enqueue ---------------------------------------------------------------------------------------------------------

_NOW = "{now}"
_SCHEDULED = _moment("CAST(:scheduled_for AS bigint)")
_DUE_AT = f"COALESCE({_SCHEDULED}, {{now}} + CAST(:delay AS bigint) * interval '1 millisecond')"
_EXPIRES_AFTER = "CAST(:expires_after AS bigint) * interval '1 millisecond'"
_OWN = {
    "id": "key",
    "params": "CASE WHEN has_keys THEN value->>0 ELSE value #>> '{}' END",
    "unique_key": "CASE WHEN has_keys THEN value->>1 END",
    "concurrency_key": "CASE WHEN has_keys THEN value->>2 END",
    "rate_key": "CASE WHEN has_keys THEN value->>3 END",
}


def _parameter(column: str) -> str:
    return f"CAST(:{column} AS {GIVEN_TYPES[column]})"


def _in_row(column: str) -> str:
    return f"new.{column}"


def _shared_or_own(column: str) -> str:
    return _OWN.get(column) or _parameter(column)


_TIMES_IN_ROW = "scheduled_for bigint, delay bigint, expires_after bigint"
_GIVEN_IN_ROW = ", ".join(f"{column} {kind}" for column, kind in GIVEN_TYPES.items())
_NEW = f"json_to_recordset(CAST(:jobs AS json)) AS new ({_GIVEN_IN_ROW}, {_TIMES_IN_ROW})"
_DUE_IN_ROW = f"COALESCE({_moment('new.scheduled_for')}, {{now}} + new.delay * interval '1 millisecond')"
_EXPIRES_AFTER_IN_ROW = "new.expires_after * interval '1 millisecond'"

_NEW_JOBS = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_in_row, due=_DUE_IN_ROW, expires_after=_EXPIRES_AFTER_IN_ROW)}
  FROM {_NEW}"""

# The loser of a race for a unique key waits here for the end of the winner's transaction. The statement itself limits
# the wait, because a pooler would lose a setting of the session. Keys are sorted, so that two batches do not deadlock.
_BOUNDED = "(SELECT set_config('lock_timeout', '5s', true)) IS NOT NULL"
WAIT_LIMIT = f"\n WHERE {_BOUNDED}"
AND_WAIT_LIMIT = f" AND {_BOUNDED}"
# An outcome waits briefly for a locked row, because other outcomes wait behind it.
_SOON = "(SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL"

# OFFSET keeps the planner from reading each job's keys four times.
INSERT_MANY = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_shared_or_own, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}
  FROM (SELECT key, value, json_typeof(value) = 'array' AS has_keys
          FROM json_each(CAST(:jobs AS json)) OFFSET 0) AS new{WAIT_LIMIT}
    ON CONFLICT DO NOTHING
RETURNING id
"""
INSERT = f"WITH made AS ({INSERT_MANY})\nSELECT json_agg(id) AS packed FROM made"
PACKED_INSERT: str | None = None  # INSERT packs its rows in any case
PACKED_INSERTED: str | None = None

INSERT_ONE = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_parameter, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}{WAIT_LIMIT}
    ON CONFLICT DO NOTHING
RETURNING id
"""

_HAS_KEY = f"unique_key = ANY(ARRAY({_elements('unique_keys')})) AND unique_key IS NOT NULL"
KEY_OWNERS = f"""
SELECT unique_key, id FROM jobs
 WHERE {_HAS_KEY} AND {KEEPS_KEY}
UNION ALL
SELECT NULL, id FROM jobs WHERE id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))
"""

REPLACED_JOBS = f"SELECT unique_key, id FROM jobs WHERE {_HAS_KEY} AND {IS_REPLACED}"

START = f"""
INSERT INTO jobs ({NEW_COLUMNS}, attempt_count, fencing_token, worker_started_at, worker_expires_at)
SELECT {new_values(_parameter, due=_NOW, expires_after=_EXPIRES_AFTER, status="running")}, 1,
       CAST(:batch AS text) || :id, {{now}}, {{now}} + {_LEASE}
 WHERE {_BOUNDED} AND NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = CAST(:unique_key AS text) AND {IS_REPLACED})
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""

# --- replace ---------------------------------------------------------------------------------------------------------

# A running job that settles first keeps its key. Rows are locked in the order of their ids, as everywhere.
SUPERSEDE = f"""
WITH keys AS MATERIALIZED (SELECT CAST(:keys AS jsonb) AS by_key),
owner AS MATERIALIZED (
  SELECT id, unique_key FROM jobs
   WHERE unique_key = ANY(ARRAY(SELECT jsonb_object_keys(by_key) FROM keys)) AND unique_key IS NOT NULL
     AND {OWNS_KEY} AND status <> 'pending'{AND_WAIT_LIMIT}
   ORDER BY id FOR UPDATE)
UPDATE jobs SET replaced_by = keys.by_key ->> jobs.unique_key, updated_at = {{now}}
  FROM keys
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM owner))
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = keys.by_key ->> jobs.unique_key)
RETURNING jobs.id
"""

_OR_REPLACE = f"""ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND {OWNS_KEY} DO UPDATE
   {INTO_PENDING.replace("{reschedules}", "CAST(:reschedules AS integer)")}""".replace(
    "RETURNING id, unique_key", "RETURNING jobs.id, jobs.unique_key"
)


def _if_new(insert: str, job_id: str) -> str:
    """Return an insert that skips jobs whose id is stored: one statement has one place for conflicts."""
    stored = f"EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = {job_id})"
    return insert.replace(WAIT_LIMIT, f"\n WHERE NOT {stored}{AND_WAIT_LIMIT}")


REPLACE = replacing(_if_new(INSERT_MANY, "new.key"), "RETURNING id\n", _OR_REPLACE)
REPLACE_ONE = replacing(_if_new(INSERT_ONE, "CAST(:id AS text)"), "RETURNING id\n", _OR_REPLACE)

# --- claim -----------------------------------------------------------------------------------------------------------

_KNOWN = f"""status = 'pending' AND {STARTABLE}
   AND (job_name, spec_version) IN (SELECT value->>0, CAST(value->>1 AS integer) FROM {KNOWN_VALUES})
   AND (CAST(:queues AS json) IS NULL OR queue IN (SELECT json_array_elements_text(CAST(:queues AS json))))"""
_DUE = "(scheduled_for IS NULL OR scheduled_for <= {now})"
_UNPAUSED = "queue NOT IN (SELECT name FROM paused_queues)"
_WAITING = f"{_KNOWN} AND {_DUE} AND {_UNPAUSED}"
_UNLIMITED = "concurrency_key IS NULL"
_LIMITED = "concurrency_key IS NOT NULL"

_MAY_WAIT = "attempt_count = 0 AND max_attempts > 1"
_MUST_START = "(attempt_count > 0 OR max_attempts = 1)"


def _first_of_due(condition: str, most: str) -> str:
    return f"""(SELECT place FROM due WHERE {condition}
    ORDER BY priority DESC, scheduled_for NULLS FIRST, id LIMIT CAST({most} AS integer))"""


# All of the most urgent jobs that may wait for a slot, and a bounded number of the others.
_CHOSEN = f"""chosen AS (
  SELECT place FROM due WHERE {_MAY_WAIT}
  UNION ALL
  {_first_of_due(_MUST_START, ":slots")})"""
_CHOSEN_OF_BOTH_KINDS = f"""chosen AS (
  SELECT place FROM due WHERE {_MAY_WAIT} AND NOT is_limited
  UNION ALL
  {_first_of_due(f"{_MAY_WAIT} AND is_limited", ":limited")}
  UNION ALL
  {_first_of_due(_MUST_START, ":slots")})"""

_CLAIM = f"""
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = CAST(:batch AS text) || id,
       worker_started_at = {{now}}, worker_expires_at = {{now}} + {_LEASE}, worker_id = CAST(:worker_id AS text),
       progress = 0, progress_message = NULL, updated_at = {{now}}
 WHERE %s
RETURNING {CLAIM_COLUMNS}"""
_IN_ORDER = f"SELECT {CLAIM_FIELDS}, due_at FROM claimed ORDER BY priority DESC, scheduled_for NULLS FIRST, id"
CLAIMED: str | None = None  # the claim returns the jobs
PACKED_CLAIMED: str | None = None
PACKED_COMPLETE: tuple[str, str] | None = None
# The jobs are locked, so their places do not change. The statement does not see a job that changed between its snapshot
# and its lock; the next claim takes it.
_CHOSEN_PLACES = "jobs.ctid = ANY(ARRAY(SELECT place FROM chosen))"

# Commit without waiting for the disk. If a crash of the server undoes a claim or a renewal, another worker may claim
# the job, and the fencing token refuses the outcome of this one. The next stored outcome flushes them as well. Claims
# of jobs with limits wait for the disk: after a crash the running jobs must still count.
_UNFLUSHED = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL"

# Jobs without limits.
CLAIM = f"""
WITH due AS MATERIALIZED (
  {first_due(_UNLIMITED, ":limit", lock=UNLESS_LOCKED)}),
{_CHOSEN},
claimed AS ({_CLAIM % f"{_CHOSEN_PLACES} AND {_UNFLUSHED}"}, priority, scheduled_for)
{_IN_ORDER}"""

# Until a vacuum, the index has entries of every job claimed from the head of a group, and a claim from the head reads
# them again. This claim starts behind the job `after`.
CLAIM_NEXT: str | None = f"""
WITH due AS MATERIALIZED (
  SELECT found.* FROM (
    SELECT job_name, spec_version, queue, priority, scheduled_for, id FROM jobs
     WHERE id = :after AND queue NOT IN (SELECT name FROM paused_queues)) AS of_group
   CROSS JOIN LATERAL ({due_of_group(_UNLIMITED, "CAST(:limit AS integer)", lock=UNLESS_LOCKED)}) AS found),
{_CHOSEN},
claimed AS ({_CLAIM % f"{_CHOSEN_PLACES} AND {_UNFLUSHED}"}, priority, scheduled_for)
{_IN_ORDER}"""

CLAIM_ONE = _CLAIM % f"id = :id AND {_KNOWN}"

RELEASE_UNANSWERED = """
WITH unanswered AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
   WHERE status = 'running'
     AND left(fencing_token, 32) = ANY(ARRAY(SELECT json_array_elements_text(CAST(:batches AS json))))
   FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = COALESCE('replaced by the job ' || replaced_by, error),
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {now} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {now}
 WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM unanswered))
RETURNING id
"""

# --- limits ----------------------------------------------------------------------------------------------------------

_LIMITS = """SELECT DISTINCT value->>0 AS job_name, CAST(value->>2 AS integer) AS concurrency,
                    CAST(value->>3 AS integer) AS rate, CAST(value->>4 AS bigint) * interval '1 millisecond' AS period,
                    value->>5 = '1' AS has_one_concurrency_key, value->>6 = '1' AS has_one_rate_key
                FROM json_array_elements(CAST(:known AS json)) AS known (value)
               WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL"""
_LIMITED_NAMES = f"SELECT job_name FROM ({_LIMITS}) AS limits"

# Jobs stored under another spec may have keys other than the single key of today's limit.
_OTHER_KEY = f"""((
  SELECT id FROM jobs WHERE status = 'pending' AND {_LIMITED} AND job_name = stated.job_name AND %s
   ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL)"""  # not EXISTS, which might read all of them
_OTHER_CONCURRENCY_KEY = _OTHER_KEY % "concurrency_key > ''"
_OTHER_RATE_KEY = _OTHER_KEY % "concurrency_key = '' AND rate_key > ''"


# Whether CLAIM would find a job.
DUE = any_due(_UNLIMITED)

# Jobs of limited names that a release without the limit stored.
_KEYLESS = f"AND value->>0 IN ({_LIMITED_NAMES})"
ADOPTABLE = any_due(_UNLIMITED, names=_KEYLESS)
ADOPT = f"""
WITH keyless AS MATERIALIZED ({first_due(_UNLIMITED, ":limit", lock=UNLESS_LOCKED, names=_KEYLESS)})
UPDATE jobs SET concurrency_key = '', rate_key = '', scheduled_for = COALESCE(scheduled_for, created_at)
 WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM keyless))
RETURNING id
"""

ADOPT_RUNNING = f"""
WITH keyless AS MATERIALIZED (
  SELECT id FROM jobs WHERE status = 'running' AND {_UNLIMITED} AND job_name IN ({_LIMITED_NAMES}) {UNLESS_LOCKED})
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE id = ANY(ARRAY(SELECT id FROM keyless))
RETURNING id
"""

DISMISS = f"""
WITH name AS MATERIALIZED (
  SELECT value->>0 AS job_name FROM json_array_elements(CAST(:known AS json)) AS known (value) EXCEPT {_LIMITED_NAMES}),
former AS MATERIALIZED (
  SELECT waiting.* FROM name CROSS JOIN LATERAL (
    SELECT jobs.ctid AS place FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = name.job_name
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT (SELECT CAST(:limit AS integer)) {UNLESS_LOCKED}) AS waiting
   LIMIT (SELECT CAST(:limit AS integer)))
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM former))
RETURNING id
"""

LIMITED_DUE = any_due(_LIMITED, beyond=":beyond")

# Claims of jobs with limits run one after another, because each has to count the commits of the one before. Its
# statement starts once it has the lock, which the commit releases. The planner estimates a cost at which it would
# compile the statement (JIT), which takes a second, so the transaction turns that off.
LOCK_LIMITS: str | None = """
SELECT set_config('jit', 'off', true), set_config('lock_timeout', '5s', true),
       pg_advisory_xact_lock(7310579, 1) IS NULL AS locked
"""

_BY_URGENCY = "ORDER BY priority DESC, scheduled_for, id"
_LANE_AFTER = """CROSS JOIN LATERAL (
    SELECT job_name, concurrency_key, rate_key FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND job_name = {lane}.job_name
       AND (concurrency_key, rate_key) {operator} ({lane}.concurrency_key, {lane}.rate_key)
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id LIMIT 1) AS found"""
_SEED = "FROM open_name WHERE has_lanes AND (SELECT count(*) FROM walk) >= CAST(:window AS bigint)"
_STARTS = """(SELECT count(*) FROM job_starts AS start
      WHERE start.job_name = {of}.job_name AND start.rate_key = {key} AND start.started_at >= {now} - period)"""


def _starts(of: str, key: str) -> str:
    return _STARTS.format(of=of, key=key, now="{now}")


_LANES = f"""seeds AS (
  SELECT job_name, '' AS concurrency_key, '' AS rate_key {_SEED}
   UNION ALL SELECT job_name, CAST(:start AS text), '' {_SEED}
   UNION ALL SELECT job_name, '', CAST(:start AS text) {_SEED}),
lanes AS (
  SELECT found.*, 1 AS number FROM seeds {_LANE_AFTER.format(lane="seeds", operator=">=")}
   UNION ALL
  SELECT found.*, number + 1 FROM lanes {_LANE_AFTER.format(lane="lanes", operator=">")}
   WHERE number < CAST(:lanes AS integer)),
open_lanes AS (
  SELECT DISTINCT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name) LEFT JOIN running USING (job_name, concurrency_key)
   WHERE (concurrency IS NULL OR COALESCE(count, 0) < concurrency)
     AND (rate IS NULL OR rate > {_starts("lanes", "lanes.rate_key")})),
heads AS MATERIALIZED (
  SELECT head.place FROM open_lanes AS lane CROSS JOIN LATERAL (
    SELECT jobs.ctid AS place FROM jobs WHERE {_WAITING} AND {_LIMITED} AND job_name = lane.job_name
       AND concurrency_key = lane.concurrency_key AND rate_key = lane.rate_key
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT CAST(:limit AS integer)) AS head
   LIMIT CAST(:window AS integer)),
"""


def _claim_limited(lanes: str, places: str) -> str:
    return f"""
WITH RECURSIVE limits AS MATERIALIZED (
  SELECT job_name, concurrency, rate, period,
         has_one_concurrency_key AND NOT {_OTHER_CONCURRENCY_KEY} AS has_one_concurrency_key,
         has_one_rate_key AND NOT {_OTHER_CONCURRENCY_KEY} AND NOT {_OTHER_RATE_KEY} AS has_one_rate_key
    FROM ({_LIMITS}) AS stated),
running AS MATERIALIZED (
  SELECT job_name, concurrency_key, count(*) AS count FROM jobs
   WHERE status = 'running' AND {_LIMITED} GROUP BY job_name, concurrency_key),
open_name AS MATERIALIZED (
  SELECT job_name, (concurrency IS NOT NULL AND NOT COALESCE(has_one_concurrency_key, FALSE))
                   OR (rate IS NOT NULL AND NOT COALESCE(has_one_rate_key, FALSE)) AS has_lanes
    FROM limits
   WHERE (has_one_concurrency_key AND concurrency <= (
            SELECT COALESCE(max(count), 0) FROM running
             WHERE running.job_name = limits.job_name AND running.concurrency_key = '')) IS NOT TRUE
     AND (has_one_rate_key AND rate <= {_starts("limits", "''")}) IS NOT TRUE),
walk AS MATERIALIZED ({first_due(_LIMITED, ":window", names="AND value->>0 IN (SELECT job_name FROM open_name)")}),
{lanes}candidates AS MATERIALIZED (
  SELECT jobs.ctid AS place, id, priority, scheduled_for, job_name, concurrency_key, rate_key, concurrency, rate, period
    FROM jobs JOIN limits USING (job_name) WHERE jobs.ctid = ANY(ARRAY({places}))),
started AS MATERIALIZED (
  SELECT job_name, rate_key, {_starts("candidates", "candidates.rate_key")} AS starts
    FROM candidates WHERE rate IS NOT NULL GROUP BY job_name, rate_key, period),
possible AS (
  SELECT candidates.*, concurrency - COALESCE(count, 0) AS room, rate - starts AS rate_room,
         row_number() OVER (PARTITION BY job_name, rate_key {_BY_URGENCY}) AS rate_position
    FROM candidates LEFT JOIN running USING (job_name, concurrency_key) LEFT JOIN started USING (job_name, rate_key)
   WHERE concurrency IS NULL OR COALESCE(count, 0) < concurrency),
allowed AS (
  SELECT place, room, row_number() OVER (PARTITION BY job_name, concurrency_key {_BY_URGENCY}) AS position
    FROM possible WHERE rate_room IS NULL OR rate_position <= rate_room),
unlimited AS MATERIALIZED (
  {first_due(_UNLIMITED, ":unlimited", lock=UNLESS_LOCKED, names=f"AND value->>0 NOT IN ({_LIMITED_NAMES})")}),
due AS MATERIALIZED (
  SELECT jobs.ctid AS place, id, attempt_count, max_attempts, priority, scheduled_for, {_LIMITED} AS is_limited
    FROM jobs
   WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM allowed WHERE room IS NULL OR position <= room
                               UNION ALL SELECT place FROM unlimited))
     AND {_WAITING} AND ({_LIMITED} OR job_name NOT IN ({_LIMITED_NAMES}))
   ORDER BY priority DESC, scheduled_for NULLS FIRST, id LIMIT CAST(:limit AS integer) {UNLESS_LOCKED}),
{_CHOSEN_OF_BOTH_KINDS},
claimed AS (
  {_CLAIM % _CHOSEN_PLACES}, priority, scheduled_for, concurrency_key, rate_key, fencing_token, worker_started_at),
recorded AS (
  INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
  SELECT fencing_token, job_name, rate_key, worker_started_at, worker_started_at + period
    FROM claimed JOIN limits USING (job_name) WHERE {_LIMITED} AND rate IS NOT NULL)
{_IN_ORDER}"""


# Reads the first `window` pending jobs.
CLAIM_LIMITED = _claim_limited("", "SELECT place FROM walk")

# Also reads the first jobs of some lanes (the jobs of a name with the same keys), so that a full lane does not hide the
# others behind its backlog: `lanes` lanes of each name from the first on, and as many from another one on.
CLAIM_LANES = _claim_limited(_LANES, "SELECT place FROM walk UNION ALL SELECT place FROM heads")

RECORD_STARTS: str | None = None  # the claim records them

FORGET_STARTS = """
DELETE FROM job_starts
 WHERE id = ANY(ARRAY(SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000
                         FOR UPDATE SKIP LOCKED))
"""

# --- prune -----------------------------------------------------------------------------------------------------------

_LOOKED_AT = "SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT :limit"
_AGE = "CAST(CAST(:rules AS jsonb)->>({rule}) AS bigint) * interval '1 millisecond'"
_IS_EXPIRED = f"""NOT {PARKED}
   AND (jobs.completed_at < {{now}} - {_AGE.format(rule="jobs.status || ' *'")}
        OR jobs.completed_at < {{now}} - {_AGE.format(rule="jobs.status || ' ' || jobs.job_name")})"""
# The jobs of the step, or the given ones.
_STEP = f"""SELECT id FROM (
    SELECT id FROM jobs WHERE CAST(:ids AS json) IS NULL AND id > :after ORDER BY id LIMIT :limit) AS step
    UNION ALL {_elements("ids")}"""
_PRUNABLE = f"id = ANY(ARRAY({_STEP})) AND {_IS_EXPIRED}\n   AND {_MATCHES}"

PRUNE_RANGE = f"SELECT max(id) AS last, count(*) AS count FROM ({_LOOKED_AT}) AS looked_at"


_FORGOTTEN = "forgotten AS (DELETE FROM job_attempts WHERE job_id = ANY(ARRAY(SELECT id FROM deleted)))"
PRUNE = f"""
WITH deleted AS (DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id),
{_FORGOTTEN}
SELECT id FROM deleted
"""

PRUNABLE = f"SELECT id FROM jobs WHERE {_PRUNABLE}"

PRUNE_MOVE = f"""
WITH place AS MATERIALIZED (
  SELECT COALESCE((SELECT rate_key FROM job_starts WHERE id = '{PRUNE_PLACE}'), '') AS after),
step AS MATERIALIZED (
  SELECT max(id) AS last, count(*) AS count, COALESCE(bool_or(is_expired), false) AS has_expired
    FROM (SELECT id, {_IS_EXPIRED} AS is_expired FROM jobs
           WHERE id > (SELECT after FROM place) ORDER BY id LIMIT CAST(:limit AS bigint)) AS looked_at)
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '{PRUNE_PLACE}', CASE WHEN has_expired THEN '{HAS_EXPIRED}' ELSE '{PRUNE_PLACE}' END,
       CASE WHEN has_expired THEN after WHEN count < CAST(:limit AS bigint) THEN '' ELSE last END,
       {{now}}, {{now}} + interval '100 years'
  FROM place, step WHERE has_expired OR after <> '' OR count >= CAST(:limit AS bigint)
    ON CONFLICT (id) DO UPDATE SET job_name = excluded.job_name, rate_key = excluded.rate_key
RETURNING rate_key AS after, job_name = '{HAS_EXPIRED}' AS has_expired
"""

# --- while it runs ---------------------------------------------------------------------------------------------------

# Locked in the order of their ids. `status || ''` matches no index, so the planner uses the primary key instead of
# reading all running jobs. The new values are one object by job id, because a join might compare each with each.
_LOCKED_ROWS = """items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id),
locked AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items)) ORDER BY id FOR UPDATE"""
_LOCKED_ROWS_SOON = _LOCKED_ROWS.replace(" ORDER BY", f" AND {_SOON} ORDER BY")
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
     SET worker_expires_at = {{now}} + {_LEASE}, progress = {_item("progress", "integer")},
         progress_message = {_item("message")}, updated_at = {{now}}
    FROM items
   WHERE {_LOCKED} AND {_NOT_STALE} AND {_UNFLUSHED}
  RETURNING jobs.id, cancel_requested)
SELECT id, cancel_requested FROM renewed
 UNION ALL
SELECT jobs.id, CAST(NULL AS boolean) FROM jobs, items
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND jobs.id <> ALL(ARRAY(SELECT id FROM locked)) AND {_NOT_STALE}
"""

# --- settle ----------------------------------------------------------------------------------------------------------

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
   AND {_FENCE}left(items.by_id ->> jobs.id, 32) || jobs.id AND {_SOON}
RETURNING jobs.id, jobs.status
"""

_EXPIRED_STATUS = NOT_COMPLETED.format(final="attempt_count >= max_attempts")

# A locked job is being renewed or settled, and is left alone. The limit is a constant, so that the planner prefers the
# index of leases for any statistics of the table.
MOST_EXPIRED: int | None = 1000
_EXPIRED_ATTEMPTS = f"""
    SELECT {_NEXT_NUMBER.format(job="expired.id")} AS number, id AS job_id, attempt_count AS attempt,
           '{Outcome.EXPIRED}' AS outcome, error, error_class, CAST(NULL AS text) AS traceback, worker_id,
           COALESCE(worker_started_at, {{now}}) AS started_at, {{now}} AS ended_at
      FROM expired"""
EXPIRE = f"""
WITH overdue AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
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
 WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM overdue))
RETURNING id, job_name, status, attempt_count, error, error_class, worker_id, worker_started_at),
{_recorded(_EXPIRED_ATTEMPTS)}
SELECT id, job_name, status FROM expired
"""

# --- batches ----------------------------------------------------------------------------------------------------------

_WAITS = f"timestamptz '{WAITS.isoformat()}'"


def _ended(batch_ids: str = "CAST(:batch_ids AS json)") -> str:
    return f"""SELECT jobs.ctid AS place FROM jobs
   WHERE status = 'pending' AND id = batch_id AND scheduled_for = {_WAITS}
     AND ({batch_ids} IS NULL OR id = ANY(ARRAY(SELECT json_array_elements_text({batch_ids}))))
     AND {HAS_ENDED.format(jobs="jobs AS one")}"""


ENDED_BATCHES = _ended()
END_BATCHES = f"""
WITH ended AS MATERIALIZED (
  {_ended()} FOR UPDATE SKIP LOCKED)
UPDATE jobs SET scheduled_for = {{now}}, updated_at = {{now}}
 WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM ended))
RETURNING id
"""


# --- late jobs -------------------------------------------------------------------------------------------------------

# A locked job is being claimed or changed, and is left alone.
_START_TIME = "to_char(start_before AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
CANCEL_LATE = f"""
WITH late AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
   WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}
   ORDER BY start_before LIMIT {MOST_LATE} FOR UPDATE SKIP LOCKED)
{CANCEL_LATE_ONES.format(time=_START_TIME, condition="jobs.ctid = ANY(ARRAY(SELECT place FROM late))")}"""
CANCEL_LATE_OWNERS = f"""
WITH late AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
   WHERE {_HAS_KEY} AND {OWNS_KEY} AND {IS_LATE}{AND_WAIT_LIMIT}
   ORDER BY id FOR UPDATE)
{CANCEL_LATE_ONES.format(time=_START_TIME, condition="jobs.ctid = ANY(ARRAY(SELECT place FROM late))")}"""

# --- statistics ------------------------------------------------------------------------------------------------------

# The bound is a subquery, because the planner must not know it: it would plan each query again.
_STATISTICS = StatisticsDialect(
    jobs=jobs_by,
    most="(SELECT CAST(:most AS integer))",
    queues=f"(CAST(:queues AS json) IS NULL OR {OF_QUEUES})",
    ago=lambda milliseconds: f"({{now}} - interval '{milliseconds} milliseconds')",
    first_id=lambda moment: (
        f"overlay(lpad(to_hex(CAST(floor(extract(epoch FROM {moment}) * 1000) AS bigint)), 12, '0')"
        " PLACING '-' FROM 9 FOR 0)"
    ),
)
QUEUE_STATES = queue_states(_STATISTICS)
FAILURE_GROUPS = failure_groups(_STATISTICS)
ENQUEUED_COUNTS = enqueued_counts(_STATISTICS)

# Rows in the order of their keys, so that two workers cannot deadlock.
ADD_COUNTS = f"""
INSERT INTO job_counts AS counted (minute, queue, job_name, completed, failed, retried)
SELECT moment.minute, new.queue, new.job_name, new.completed, new.failed, new.retried
  FROM json_to_recordset(CAST(:counts AS json)) AS new (
       queue text, job_name text, completed bigint, failed bigint, retried bigint)
 CROSS JOIN (VALUES (date_trunc('minute', {{now}}, 'UTC')), (timestamptz 'epoch')) AS moment (minute)
 WHERE {_UNFLUSHED} AND {_SOON}
 ORDER BY moment.minute, new.queue, new.job_name
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = counted.completed + excluded.completed, failed = counted.failed + excluded.failed,
       retried = counted.retried + excluded.retried
"""
FINISHED_COUNTS = f"""
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= {_moment("CAST(:since AS bigint)")} AND minute <= {_moment("CAST(:until AS bigint)")}
 ORDER BY minute, queue, job_name
"""
FORGET_COUNTS = """
DELETE FROM job_counts
 WHERE minute > timestamptz 'epoch' AND minute < {now} - CAST(:age AS bigint) * interval '1 millisecond'
RETURNING minute
"""

# --- history ---------------------------------------------------------------------------------------------------------

RECORD_ATTEMPTS: str | None = None  # the moves record them
RECORD_EXPIRED: str | None = None
PRUNE_ATTEMPTS: str | None = None  # deleted with their jobs
DELETE_ATTEMPTS: str | None = None

# The jobs that are claimed before this one. With an order and a limit, the planner walks along the index.
_IS_AHEAD = (
    ("jobs.priority > CAST(:priority AS integer) AND (scheduled_for IS NULL OR scheduled_for <= {now})"),
    (
        f"jobs.priority = CAST(:priority AS integer) AND scheduled_for <= {{now}}"
        f" AND (scheduled_for, jobs.id) < ({_moment('CAST(:due AS bigint)')}, :id)"
    ),
    (
        "jobs.priority = CAST(:priority AS integer) AND scheduled_for IS NULL"
        f" AND (timestamptz 'epoch', jobs.id) < ({_moment('CAST(:due AS bigint)')}, :id)"
    ),
)


def _ahead(kind: str) -> str:
    found = "\n       UNION ALL\n      ".join(
        f"""(SELECT 1 FROM jobs
        WHERE status = 'pending' AND {kind} AND jobs.job_name = value->>0
          AND jobs.spec_version = CAST(value->>1 AS integer) AND jobs.queue = :queue
          AND {condition}
        ORDER BY jobs.priority DESC, scheduled_for, jobs.id LIMIT (SELECT CAST(:most AS integer)))"""
        for condition in _IS_AHEAD
    )
    return f"SELECT 1 FROM {KNOWN_VALUES} CROSS JOIN LATERAL (\n      {found}) AS found"


AHEAD = f"""
SELECT {{now}} AS now, (
  SELECT count(*) FROM (
    {_ahead(_UNLIMITED)}
     UNION ALL
    {_ahead(_LIMITED)}
     LIMIT (SELECT CAST(:most AS integer))) AS before_it) AS ahead
"""
RATE_FREE_AT = """
SELECT started_at + CAST(:period AS bigint) * interval '1 millisecond' AS free_at FROM job_starts
 WHERE job_name = :job_name AND rate_key = :rate_key
   AND started_at >= {now} - CAST(:period AS bigint) * interval '1 millisecond'
 ORDER BY started_at DESC LIMIT 1 OFFSET CAST(:limit AS bigint) - 1
"""

REPORT_WORKER = f"""
INSERT INTO job_workers (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
SELECT CAST(:id AS text), CAST(:host AS text), CAST(:pid AS integer), CAST(:queues AS text),
       CAST(:concurrency AS integer), CAST(:version AS text), CAST(:known AS text), {{now}}, {{now}}, {{now}} + {_LEASE}
 WHERE {_UNFLUSHED}
    ON CONFLICT (id) DO UPDATE SET last_seen_at = excluded.last_seen_at, expires_at = excluded.expires_at
"""
REPORT_TICK = """
INSERT INTO job_workers AS last
       (id, host, pid, queues, concurrency, version, known, started_at, last_seen_at, expires_at)
VALUES (:id, :host, CAST(:pid AS integer), :queues, :concurrency, :version, :known, {now}, {now},
        {now} + CAST(:lease AS bigint) * interval '1 millisecond')
    ON CONFLICT (id) DO UPDATE
   SET host = excluded.host, concurrency = excluded.concurrency, version = excluded.version, known = excluded.known,
       last_seen_at = excluded.last_seen_at,
       expires_at = GREATEST(excluded.expires_at,
                             excluded.last_seen_at + 2 * (excluded.last_seen_at - last.last_seen_at))
"""
FORGET_WORKERS = """
DELETE FROM job_workers WHERE expires_at < {now} - CAST(:age AS bigint) * interval '1 millisecond' RETURNING id
"""

# --- by hand ---------------------------------------------------------------------------------------------------------

# Each move locks its rows in the order of their ids, under its condition. The audit log gets an entry per changed row.
_GIVEN = f"id = ANY(ARRAY({_elements('ids')}))"
AMONG_IDS = f"{_GIVEN} AND "


def _locked(condition: str, columns: str = "id") -> str:
    return f"""locked AS MATERIALIZED (
  SELECT {columns} FROM jobs WHERE {_GIVEN} AND {condition}
   AND {_MATCHES}
   AND {_BOUNDED}
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

_PUT_BACK = PUT_BACK.format(waits=_WAITS)
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

STATUSES = f"SELECT id, status FROM jobs WHERE {_GIVEN} AND {_MATCHES}"

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
{_FORGOTTEN},
{_audited("delete", "deleted")}
SELECT id FROM deleted
"""

# --- audit -----------------------------------------------------------------------------------------------------------

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

# --- find ------------------------------------------------------------------------------------------------------------

_SEARCHED_TEXT = "CASE CAST(:part AS text) WHEN 'result' THEN COALESCE(result, '') ELSE params END"
FIND = f"""
SELECT id, job_name, status, params, result FROM ({{rows}}) AS jobs
 WHERE {_MATCHES}
   AND (CAST(:part AS text) IS NULL
        OR EXISTS (SELECT 1 FROM json_array_elements_text(CAST(:needles AS json)) AS needle
                    WHERE strpos({_SEARCHED_TEXT}, needle) > 0)
        OR (CAST(:is_number AS integer) = 1 AND {_SEARCHED_TEXT} ~ '[0-9][eE]'))
 ORDER BY id
"""

# --- read ------------------------------------------------------------------------------------------------------------

_LISTED = f"""FROM jobs
 WHERE {{among}}{_MATCHES}
   AND (CAST(:before AS text) IS NULL OR id < :before)
 ORDER BY id DESC LIMIT :limit"""
LIST = f"SELECT {JOB_COLUMNS} {_LISTED}"
LIST_SUMMARIES = f"{SUMMARIES} {_LISTED}"

# See `pages`. OFFSET keeps the planner from any other order of the rows.
# `octet_length` knows the length of a long text without reading it.
PAGE = previewed(
    f"{PREVIEWS} FROM {{source}} AS jobs WHERE {_MATCHES} ORDER BY id DESC LIMIT :page", "octet_length(params)"
)
OF_GROUP = "LATERAL (SELECT id FROM {jobs} WHERE {group} ORDER BY {order} LIMIT {most}) AS jobs"
LOOK_UP = "CROSS JOIN LATERAL (SELECT {columns} FROM jobs WHERE jobs.id = chosen.id OFFSET 0) AS jobs"

# The only statement that reads the whole table, in a session that avoids that otherwise.
ALLOW_SCAN: str | None = "SELECT set_config('enable_seqscan', 'on', true)"
COUNT = f"""
SELECT job_name, status, count(*) AS count, sum(CASE WHEN {PARKED} THEN 1 ELSE 0 END) AS parked FROM jobs
 WHERE CAST(:since AS bigint) IS NULL OR created_at >= {_moment(":since")}
 GROUP BY job_name, status ORDER BY job_name, status
"""

COUNT_DUE = f"""
SELECT sum(count) AS count
  FROM (SELECT count(*) AS count FROM jobs WHERE {_WAITING} AND {_UNLIMITED}
         UNION ALL SELECT count(*) FROM jobs WHERE {_WAITING} AND {_LIMITED}) AS due
"""

_DUE_SCHEDULE = "enabled AND (next_run_at IS NULL OR next_run_at <= {now})"
_KNOWN_NAMES = "SELECT value->>0 FROM json_array_elements(CAST(:known AS json)) AS known (value)"

# The kinds of pending work, and whether the rows have the labels of the specs.
PENDING_WORK = f"""
SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND worker_expires_at < {{now}}) AS has_expired,
       EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}})
         AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs WHERE {_DUE_SCHEDULE} AND job_name IN ({_KNOWN_NAMES})) AS has_due_schedule,
       EXISTS ({DUE}) OR EXISTS ({any_due(_LIMITED)}) AS has_due_job,
       EXISTS (SELECT 1 FROM ({_KNOWN_NAMES} EXCEPT {_LIMITED_NAMES}) AS name (job_name) CROSS JOIN LATERAL (
                 SELECT 1 FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
                    AND jobs.job_name = name.job_name LIMIT 1) AS former) AS has_mislabelled,
       EXISTS ({_ended("CAST(NULL AS json)")}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known
                      AND last_seen_at > {{now}} - CAST(:tick_interval AS bigint) * interval '1 millisecond')
         AS has_due_report
"""

# Another program may have written `infinity`, which breaks arithmetic.
NEXT_DUE = f"""
SELECT CAST(ceil(extract(epoch FROM min(LEAST(GREATEST(COALESCE(due, timestamptz 'epoch'), timestamptz 'epoch'),
                                              timestamptz '9999-12-31 UTC')) - {{now}}) * 1000) AS bigint) AS wait
  FROM (SELECT due FROM ({awaited(_UNLIMITED)}) AS unlimited
        UNION ALL
        SELECT due FROM ({awaited(_LIMITED)}) AS limited) AS next
"""

# --- schedules -------------------------------------------------------------------------------------------------------

_SETS = """json_to_recordset(CAST(:sets AS json)) AS sets (
       job_name text, fingerprint text, has_schedules integer)"""
_SCHEDULES = """json_to_recordset(CAST(:schedules AS json)) AS new (
       id text, job_name text, name text, cron_expression text, timezone text, misfire text,
       misfire_limit integer, params text, enabled boolean)"""


def _of_sets(template: str) -> str:
    return template.format(
        sets=_SETS,
        schedules=_SCHEDULES,
        grace="CAST(:grace AS bigint) * interval '1 millisecond'",
        far="{now} + interval '100 years'",
        columns=SCHEDULE_COLUMNS,
        now="{now}",
    )


SAVE_SCHEDULES = _of_sets(schedule_sets.SAVE_ANY)
TAKE_OVER_SCHEDULES = _of_sets(schedule_sets.TAKE_OVER)
UNAPPLIED_SCHEDULES = _of_sets(schedule_sets.UNAPPLIED)
FORGET_WITHDRAWAL = schedule_sets.FORGET_WITHDRAWAL
APPLY_SCHEDULES = tuple(map(_of_sets, schedule_sets.APPLY))

ENABLE_SCHEDULE = """
UPDATE cron_jobs
   SET enabled = CASE WHEN CAST(:enabled AS integer) = 1 THEN true ELSE false END,
       next_run_at = CASE WHEN :enabled = 1 AND enabled THEN next_run_at END,
       updated_at = {now}
 WHERE id = :id RETURNING id
"""

DUE_SCHEDULES = f"""
SELECT {SCHEDULE_COLUMNS} FROM cron_jobs
 WHERE {_DUE_SCHEDULE} AND job_name = ANY(ARRAY(SELECT json_array_elements_text(CAST(:job_names AS json))))
 ORDER BY job_name, name
"""

# The schedule is locked first and then read again: if two schedulers fire at once, the second one sees the slots that
# the first one fired.
FIRE = f"""
WITH schedule AS MATERIALIZED (
  SELECT last_run_at FROM cron_jobs WHERE id = :schedule_id AND enabled FOR UPDATE)
{_NEW_JOBS} CROSS JOIN schedule
 WHERE (schedule.last_run_at IS NULL OR schedule.last_run_at < {_moment("new.scheduled_for")}) AND {_BOUNDED}
 ORDER BY new.unique_key, new.id
    ON CONFLICT DO NOTHING
RETURNING id
"""

_LAST_SLOT = _moment("CAST(:last_slot AS bigint)")

FIRED = f"""
UPDATE cron_jobs
   SET next_run_at = CASE WHEN cron_expression = :cron_expression AND timezone = :timezone
                     THEN {_moment("CAST(:next_run_at AS bigint)")} ELSE next_run_at END,
       last_job_id = CASE WHEN CAST(:last_slot AS bigint) IS NULL OR last_run_at >= {_LAST_SLOT} THEN last_job_id
                     ELSE COALESCE((SELECT max(jobs.id) FROM jobs
                                     WHERE id = ANY(ARRAY(SELECT new.id FROM {_NEW}
                                                           WHERE last_run_at IS NULL
                                                              OR last_run_at < {_moment("new.scheduled_for")}))),
                                   last_job_id) END,
       last_run_at = CASE WHEN :last_slot IS NULL OR last_run_at >= {_LAST_SLOT} THEN last_run_at
                     ELSE {_LAST_SLOT} END,
       updated_at = {{now}}
 WHERE id = :schedule_id AND enabled
"""
