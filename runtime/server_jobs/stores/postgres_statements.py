"""The statements of `statements`, name by name, for PostgreSQL, where many transactions run at the same time.

* Times are `timestamptz`; a length of time, and a moment that is a parameter, are milliseconds. `{now}` is the moment
  at which the statement began. Casts are written CAST, as `:name` is a parameter.
* Rows are locked in one order, or skipped when locked, so that two batches cannot wait for each other.
* The plan must not depend on statistics: those of a queue are wrong as soon as they are taken. Where the planner would
  have a choice it is given none: an ordered scan of an index by a limit that it cannot know, look-ups by the place of
  a row or by its primary key, and sessions that avoid to read a whole table (`postgres_driver.session_settings`).
"""

from __future__ import annotations

from . import schedule_sets
from .postgres_groups import KNOWN_VALUES, UNLESS_LOCKED, any_due, awaited, due_of_group, first_due
from .statements import (
    CLAIM_COLUMNS,
    GET,
    HAS_EXPIRED,
    JOB_COLUMNS,
    LIST_SCHEDULES,
    NEEDED,
    NOW,
    PARKED,
    PAUSE_QUEUE,
    PAUSED_QUEUES,
    PING,
    PRUNE_PLACE,
    RESUME_QUEUE,
    SCHEDULE_COLUMNS,
    SEARCH_RANGE,
    SUMMARIES,
    SUMMARY,
)

__all__ = [
    "GET",
    "LIST_SCHEDULES",
    "NOW",
    "PAUSED_QUEUES",
    "PAUSE_QUEUE",
    "PING",
    "RESUME_QUEUE",
    "SEARCH_RANGE",
    "SUMMARY",
]

# Fails if a table or a column is missing. It reads the catalog only: a role need not be allowed to read every table.
PROBE = "SELECT " + ", ".join(
    f"has_column_privilege(regclass '{table}', '{column}', 'SELECT')"
    for table, columns in {"jobs": JOB_COLUMNS, **NEEDED}.items()
    for column in columns.split(", ")
)

_LEASE = "CAST(:lease AS bigint) * interval '1 millisecond'"


def _moment(milliseconds: str) -> str:
    """The moment of milliseconds since the epoch, exact to the end of the calendar (one interval times them is not)."""
    return (
        f"timestamptz 'epoch' + {milliseconds} / 1000 * interval '1 second'"
        f" + {milliseconds} % 1000 * interval '1 millisecond'"
    )


GIVEN_NOW = f"({_moment('CAST(:now AS bigint)')})"

# --- enqueue ---------------------------------------------------------------------------------------------------------

_NEW = """json_to_recordset(CAST(:jobs AS json)) AS new (
       id text, job_name text, params text, queue text, priority integer, spec_version integer, max_attempts integer,
       scheduled_for bigint, delay bigint, unique_key text, correlation_id text,
       concurrency_key text, rate_key text)"""

_NEW_JOBS = f"""
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
SELECT new.id, new.job_name, new.params, 'pending', new.queue, new.priority, new.spec_version, new.max_attempts,
       COALESCE({_moment("new.scheduled_for")}, {{now}} + new.delay * interval '1 millisecond'),
       new.unique_key, new.correlation_id, new.concurrency_key, new.rate_key, {{now}}, {{now}}
  FROM {_NEW}"""

# A loser of a race for a unique key waits here for the end of the winner's transaction, but not longer: bounded by the
# statement itself, as a setting of the session is lost behind poolers. They are given in the order of their keys, so
# that two batches do not wait for each other.
_BOUNDED = "(SELECT set_config('lock_timeout', '5s', true)) IS NOT NULL"
# An outcome waits for a row that somebody has locked, but not for long: other outcomes wait behind it.
_SOON = "(SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL"

# OFFSET keeps the planner from asking four times for each job whether it has keys.
INSERT = f"""
WITH made AS (
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
SELECT key, :job_name, CASE WHEN has_keys THEN value->>0 ELSE value #>> '{{}}' END, 'pending', :queue,
       CAST(:priority AS integer), CAST(:spec_version AS integer), CAST(:max_attempts AS integer),
       COALESCE({_moment("CAST(:scheduled_for AS bigint)")},
                {{now}} + CAST(:delay AS bigint) * interval '1 millisecond'),
       CASE WHEN has_keys THEN value->>1 END, CAST(:correlation_id AS text), CASE WHEN has_keys THEN value->>2 END,
       CASE WHEN has_keys THEN value->>3 END, {{now}}, {{now}}
  FROM (SELECT key, value, json_typeof(value) = 'array' AS has_keys
          FROM json_each(CAST(:jobs AS json)) OFFSET 0) AS new
 WHERE {_BOUNDED}
    ON CONFLICT DO NOTHING
RETURNING id)
SELECT json_agg(id) AS packed FROM made
"""
PACKED_INSERT: str | None = None  # it packs them in any case
PACKED_INSERTED: str | None = None

INSERT_ONE = f"""
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at)
SELECT :id, :job_name, :params, 'pending', :queue, CAST(:priority AS integer), CAST(:spec_version AS integer),
       CAST(:max_attempts AS integer),
       COALESCE({_moment("CAST(:scheduled_for AS bigint)")},
                {{now}} + CAST(:delay AS bigint) * interval '1 millisecond'),
       CAST(:unique_key AS text), CAST(:correlation_id AS text), CAST(:concurrency_key AS text),
       CAST(:rate_key AS text), {{now}}, {{now}}
 WHERE {_BOUNDED}
    ON CONFLICT DO NOTHING
RETURNING id
"""

HOLDERS = """
SELECT unique_key, id FROM jobs
 WHERE unique_key = ANY(ARRAY(SELECT json_array_elements_text(CAST(:unique_keys AS json))))
   AND unique_key IS NOT NULL AND status IN ('pending', 'running')
UNION ALL
SELECT NULL, id FROM jobs WHERE id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))
"""

START = f"""
INSERT INTO jobs (id, job_name, params, status, queue, priority, spec_version, max_attempts, scheduled_for, unique_key,
                  correlation_id, concurrency_key, rate_key, created_at, updated_at, attempt_count, fencing_token,
                  worker_started_at, worker_expires_at)
SELECT :id, :job_name, :params, 'running', :queue, CAST(:priority AS integer), CAST(:spec_version AS integer),
       CAST(:max_attempts AS integer), {{now}}, CAST(:unique_key AS text), CAST(:correlation_id AS text),
       CAST(:concurrency_key AS text), CAST(:rate_key AS text), {{now}}, {{now}}, 1,
       CAST(:batch AS text) || :id, {{now}}, {{now}} + {_LEASE}
 WHERE {_BOUNDED}
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""

# --- claim -----------------------------------------------------------------------------------------------------------

_KNOWN = f"""status = 'pending' AND attempt_count < max_attempts
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
       worker_started_at = {{now}}, worker_expires_at = {{now}} + {_LEASE}, progress = 0, progress_message = NULL,
       updated_at = {{now}}
 WHERE %s
RETURNING {CLAIM_COLUMNS}"""
_IN_ORDER = f"SELECT {CLAIM_COLUMNS} FROM claimed ORDER BY priority DESC, scheduled_for NULLS FIRST, id"
CLAIMED: str | None = None  # the claim answers itself
PACKED_CLAIMED: str | None = None
PACKED_COMPLETE: tuple[str, str] | None = None
# They are locked by now, so a place holds what it held. (A job that changed between the statement's snapshot and its
# lock is not seen at its new place; the next claim takes it.)
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

# Until a vacuum, the index keeps the entries of all jobs that were claimed from the head of a group, and a claim that
# begins at the head passes over them. This one begins behind the job `after`.
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

GIVE_BACK = """
WITH unanswered AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
   WHERE status = 'running'
     AND left(fencing_token, 32) = ANY(ARRAY(SELECT json_array_elements_text(CAST(:batches AS json))))
   FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'pending' END,
       completed_at = CASE WHEN cancel_requested THEN {now} END,
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

# Jobs that were stored under another spec may have other keys than the only one of today's limit.
_OTHER_KEY = f"""((
  SELECT id FROM jobs WHERE status = 'pending' AND {_LIMITED} AND job_name = stated.job_name AND %s
   ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL)"""  # not EXISTS, for which all may be read
_OTHER_CONCURRENCY_KEY = _OTHER_KEY % "concurrency_key > ''"
_OTHER_RATE_KEY = _OTHER_KEY % "concurrency_key = '' AND rate_key > ''"


# Whether CLAIM would find any.
DUE = any_due(_UNLIMITED)

# Jobs of limited names that somebody stored who knew of no limit.
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

# Claims of jobs with limits go one after another: each counts what the one before has committed, because its own
# statement begins when it holds the lock, which is given back by the commit. The planner takes that statement for so
# costly that it would be compiled (JIT), which takes a second: not in this transaction.
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


# Looks at the first `window` jobs that wait.
CLAIM_LIMITED = _claim_limited("", "SELECT place FROM walk")

# Looks also at the first jobs of some lanes (the jobs of a name with the same keys), so that a full lane does not hide
# the others behind its backlog: at `lanes` of each name from the first on, and as many from another one on.
CLAIM_LANES = _claim_limited(_LANES, "SELECT place FROM walk UNION ALL SELECT place FROM heads")

RECORD_STARTS: str | None = None  # the claim does it

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
_PRUNABLE = f"id = ANY(ARRAY({_LOOKED_AT})) AND {_IS_EXPIRED}"

PRUNE_RANGE = f"SELECT max(id) AS last, count(*) AS count FROM ({_LOOKED_AT}) AS looked_at"

PRUNE = f"DELETE FROM jobs WHERE {_PRUNABLE} RETURNING id"

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

# Locked in the order of their ids. Looked up by the primary key and nothing else: `status || ''` is not a condition
# that an index fits, and so keeps the planner from walking through all that runs. What is to be written stands in one
# object by the job's id, since a join could be done by comparing each with each.
_HELD = """items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id),
held AS MATERIALIZED (
  SELECT id FROM jobs WHERE id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items)) ORDER BY id FOR UPDATE"""
_HELD_SOON = _HELD.replace(" ORDER BY", f" AND {_SOON} ORDER BY")
# The fence before every write under a claim: a stale claim has another token, and changes no row.
_FENCE = "jobs.status || '' = 'running'\n   AND jobs.fencing_token = "
_NOT_STALE = f"{_FENCE}items.by_id -> jobs.id ->> 'token'"
_LOCKED = "jobs.id = ANY(ARRAY(SELECT id FROM held))"


def _item(name: str, type_name: str = "text") -> str:
    value = f"(items.by_id -> jobs.id ->> '{name}')"
    return value if type_name == "text" else f"CAST({value} AS {type_name})"


# A row that another transaction has locked is skipped: waiting for it would cost the leases of all the others. It is
# returned without `cancel_requested` if the claim stands as far as can be seen.
RENEW = f"""
WITH {_HELD} SKIP LOCKED),
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
   AND jobs.id <> ALL(ARRAY(SELECT id FROM held)) AND {_NOT_STALE}
"""

# --- settle ----------------------------------------------------------------------------------------------------------

_NOT_COMPLETED = "CASE WHEN cancel_requested THEN 'cancelled' WHEN {final} THEN 'failed' ELSE 'pending' END"
_KIND = _item("kind")
_FAILED_STATUS = _NOT_COMPLETED.format(final=f"attempt_count >= max_attempts OR {_item('delay')} IS NULL")
_RELEASED_STATUS = _NOT_COMPLETED.format(final="false")
_SETTLED_STATUS = (
    f"CASE {_KIND} WHEN 'completed' THEN 'completed' WHEN 'failed' THEN {_FAILED_STATUS} "
    f"WHEN 'released' THEN {_RELEASED_STATUS} ELSE 'cancelled' END"
)

SETTLE = f"""
WITH {_HELD_SOON})
UPDATE jobs
   SET status = {_SETTLED_STATUS},
       result = CASE {_KIND} WHEN 'completed' THEN {_item("result")} ELSE jobs.result END,
       error = CASE {_KIND} WHEN 'completed' THEN NULL WHEN 'released' THEN jobs.error ELSE {_item("error")} END,
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
RETURNING jobs.id, jobs.status
"""

SETTLE_ONE: str | None = None  # a parameter may have a gigabyte

# By the id of the job, what its token begins with and the result are one text. Nothing is locked first: the index is
# gone through in the order of the ids as well, and should the planner choose otherwise, one of two batches is repeated.
COMPLETE = f"""
WITH items AS MATERIALIZED (SELECT CAST(:items AS jsonb) AS by_id)
UPDATE jobs
   SET status = 'completed', result = right(items.by_id ->> jobs.id, -32), error = NULL, progress = 100,
       completed_at = {{now}}, fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
  FROM items
 WHERE jobs.id = ANY(ARRAY(SELECT jsonb_object_keys(by_id) FROM items))
   AND {_FENCE}left(items.by_id ->> jobs.id, 32) || jobs.id AND {_SOON}
RETURNING jobs.id, jobs.status
"""

_EXPIRED_STATUS = _NOT_COMPLETED.format(final="attempt_count >= max_attempts")

# One that is locked is being renewed or settled at this moment, and is left alone. At most so many at a time: a limit
# that the planner knows, and that makes the index of leases the cheapest way whatever it takes the table to be.
MOST_EXPIRED: int | None = 1000
EXPIRE = f"""
WITH overdue AS MATERIALIZED (
  SELECT jobs.ctid AS place FROM jobs
   WHERE status = 'running' AND worker_expires_at < {{now}}
     AND fencing_token <> ALL(ARRAY(SELECT json_array_elements_text(CAST(:except_for AS json))))
   ORDER BY worker_expires_at LIMIT {MOST_EXPIRED} FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = {_EXPIRED_STATUS},
       scheduled_for = CASE {_EXPIRED_STATUS}
                       WHEN 'pending' THEN {{now}} + floor(random() * (CAST(:jitter AS bigint) + 1))
                                                     * interval '1 millisecond'
                       ELSE scheduled_for END,
       completed_at = CASE {_EXPIRED_STATUS} WHEN 'pending' THEN NULL ELSE {{now}} END,
       error = 'the worker died or stalled: its lease ran out in attempt ' || attempt_count || ' of ' || max_attempts,
       fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE jobs.ctid = ANY(ARRAY(SELECT place FROM overdue))
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

_REPAIRABLE = f"""id = :id AND (status = 'pending' OR {PARKED}) AND params = :old_params
   AND spec_version = CAST(:old_version AS integer)
   AND NOT EXISTS (SELECT 1 FROM jobs AS other
                    WHERE other.unique_key = jobs.unique_key AND other.status IN ('pending', 'running')
                      AND other.id <> jobs.id)"""
REPAIR = f"""
UPDATE jobs
   SET status = 'pending', attempt_count = 0, scheduled_for = {{now}}, progress = 0, progress_message = NULL,
       error = NULL, cancel_requested = false, worker_started_at = NULL, completed_at = NULL, updated_at = {{now}},
       params = :params, spec_version = CAST(:spec_version AS integer), concurrency_key = :concurrency_key,
       rate_key = :rate_key
 WHERE {_REPAIRABLE}
RETURNING id
"""

_GIVEN_IDS = "id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json)))) AND status <> 'running'"
DELETE = f"DELETE FROM jobs WHERE {_GIVEN_IDS} RETURNING id"

# --- audit -----------------------------------------------------------------------------------------------------------

# The rows are locked, so that the move that follows in the same transaction finds them under the same condition.
_AUDIT = """
WITH changed AS MATERIALIZED (
  SELECT id, job_name, status, spec_version FROM jobs WHERE {condition} ORDER BY id FOR UPDATE)
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT CAST(:audit_id AS text) || '-' || id, {{now}}, :actor, '{action}', id, job_name, {detail} FROM changed
"""
AUDIT_CANCEL = _AUDIT.format(
    action="cancel",
    condition=_CANCELLABLE,
    detail="CASE status WHEN 'running' THEN 'asked to stop' END",
)
AUDIT_RETRY = _AUDIT.format(action="retry", condition=_RETRYABLE, detail="CAST(NULL AS text)")
AUDIT_REPAIR = _AUDIT.format(
    action="repair",
    condition=_REPAIRABLE,
    detail="'version ' || spec_version || ' to ' || CAST(:spec_version AS integer)",
)
AUDIT_DELETE = _AUDIT.format(action="delete", condition=_GIVEN_IDS, detail="CAST(:detail AS text)")
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

# --- search ----------------------------------------------------------------------------------------------------------

_SEARCHED = "SELECT id FROM jobs WHERE id > :after ORDER BY id LIMIT :limit"
_SEARCHED_TEXT = "CASE CAST(:part AS text) WHEN 'result' THEN COALESCE(result, '') ELSE params END"
SEARCH = f"""
SELECT id, job_name, status, params, result FROM jobs
 WHERE id = ANY(ARRAY({_SEARCHED})) AND (CAST(:job_name AS text) IS NULL OR job_name = :job_name)
   AND (EXISTS (SELECT 1 FROM json_array_elements_text(CAST(:needles AS json)) AS needle
                 WHERE strpos({_SEARCHED_TEXT}, needle) > 0)
        OR (CAST(:is_number AS integer) = 1 AND {_SEARCHED_TEXT} ~ '[0-9][eE]'))
 ORDER BY id
"""

# --- read ------------------------------------------------------------------------------------------------------------

_LISTED = f"""FROM jobs
 WHERE (CAST(:status AS text) IS NULL OR status = :status) AND (CAST(:job_name AS text) IS NULL OR job_name = :job_name)
   AND (CAST(:queue AS text) IS NULL OR queue = :queue)
   AND (CAST(:queues AS json) IS NULL OR queue IN (SELECT json_array_elements_text(CAST(:queues AS json))))
   AND (CAST(:correlation_id AS text) IS NULL OR correlation_id = :correlation_id)
   AND (CAST(:before AS text) IS NULL OR id < :before) AND (CAST(:parked AS integer) = 0 OR {PARKED})
 ORDER BY id DESC LIMIT :limit"""
LIST = f"SELECT {JOB_COLUMNS} {_LISTED}"
LIST_SUMMARIES = f"{SUMMARIES} {_LISTED}"

# The one statement that reads the whole table, in a session that else avoids that.
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

# What there is to do, and whether rows are labelled as the specs say.
SURVEY = f"""
SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'running' AND worker_expires_at < {{now}}) AS has_expired,
       EXISTS (SELECT 1 FROM cron_jobs WHERE {_DUE_SCHEDULE} AND job_name IN ({_KNOWN_NAMES})) AS has_due_schedule,
       EXISTS ({DUE}) OR EXISTS ({any_due(_LIMITED)}) AS has_due_job,
       EXISTS (SELECT 1 FROM ({_KNOWN_NAMES} EXCEPT {_LIMITED_NAMES}) AS name (job_name) CROSS JOIN LATERAL (
                 SELECT 1 FROM jobs WHERE status = 'pending' AND concurrency_key IS NOT NULL
                    AND jobs.job_name = name.job_name LIMIT 1) AS former) AS has_mislabelled
"""

# Another program may have written `infinity`, with which nothing can be reckoned.
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

# The schedule is locked first, and read as it is then: of two schedulers that fire at once the second knows of the
# slots that the first one fired.
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
