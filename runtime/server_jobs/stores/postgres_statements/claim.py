"""Claim jobs, without limits and with limits."""

from __future__ import annotations

from ..statements.common import CLAIM_COLUMNS
from ..statements.settle import RELEASED_ERROR, RELEASED_ERROR_CLASS
from .common import LEASE
from .groups import KNOWN_VALUES, STARTABLE, UNLESS_LOCKED, any_due, due_of_group, first_due

_KNOWN = f"""status = 'pending' AND {STARTABLE}
   AND (job_name, spec_version) IN (SELECT value->>0, CAST(value->>1 AS integer) FROM {KNOWN_VALUES})
   AND (CAST(:queues AS json) IS NULL OR queue IN (SELECT json_array_elements_text(CAST(:queues AS json))))"""
_DUE = "scheduled_for <= {now}"
_UNPAUSED = "queue NOT IN (SELECT name FROM paused_queues)"
WAITING = f"{_KNOWN} AND {_DUE} AND {_UNPAUSED}"
# `status || ''` matches no index of pending jobs, so that the planner looks jobs up by their id.
_STILL_WAITING = WAITING.replace("status = 'pending'", "status || '' = 'pending'")
UNLIMITED = "concurrency_key IS NULL"
LIMITED = "concurrency_key IS NOT NULL"

_MAY_WAIT = "attempt_count = 0 AND max_attempts > 1"
_MUST_START = "(attempt_count > 0 OR max_attempts = 1)"


def _first_of_due(condition: str, most: str) -> str:
    return f"""(SELECT id FROM due WHERE {condition}
    ORDER BY priority DESC, scheduled_for, id LIMIT CAST({most} AS integer))"""


# All of the most urgent jobs that may wait for a slot, and a bounded number of the others.
_CHOSEN = f"""chosen AS (
  SELECT id FROM due WHERE {_MAY_WAIT}
  UNION ALL
  {_first_of_due(_MUST_START, ":slots")})"""
_CHOSEN_OF_BOTH_KINDS = f"""chosen AS (
  SELECT id FROM due WHERE {_MAY_WAIT} AND NOT is_limited
  UNION ALL
  {_first_of_due(f"{_MAY_WAIT} AND is_limited", ":limited")}
  UNION ALL
  {_first_of_due(_MUST_START, ":slots")})"""

_CLAIM = f"""
UPDATE jobs
   SET status = 'running', attempt_count = attempt_count + 1, fencing_token = CAST(:batch AS text) || id,
       worker_started_at = {{now}}, worker_expires_at = {{now}} + {LEASE}, worker_id = CAST(:worker_id AS text),
       progress = 0, progress_message = NULL, updated_at = {{now}}
 WHERE %s
RETURNING {CLAIM_COLUMNS}"""
_IN_ORDER = f"SELECT {CLAIM_COLUMNS} FROM claimed ORDER BY priority DESC, scheduled_for, id"
CLAIMED: str | None = None  # the claim returns the jobs
PACKED_CLAIMED: str | None = None
PACKED_COMPLETE: tuple[str, str] | None = None
_CHOSEN_IDS = "jobs.id = ANY(ARRAY(SELECT id FROM chosen))"

# Commit without waiting for the disk. If a crash of the server undoes a claim or a renewal, another worker may claim
# the job, and the fencing token refuses the outcome of this one. The next stored outcome flushes them as well. Claims
# of jobs with limits wait for the disk: after a crash the running jobs must still count.
UNFLUSHED = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL"

# Jobs without limits.
CLAIM = f"""
WITH due AS MATERIALIZED (
  {first_due(UNLIMITED, ":limit", lock=UNLESS_LOCKED)}),
{_CHOSEN},
claimed AS ({_CLAIM % f"{_CHOSEN_IDS} AND {UNFLUSHED}"}, priority)
{_IN_ORDER}"""

# Until a vacuum, the index has entries of every job claimed from the head of a group, and a claim from the head reads
# them again. This claim starts behind the job `after`.
CLAIM_NEXT: str | None = f"""
WITH due AS MATERIALIZED (
  SELECT found.* FROM (
    SELECT job_name, spec_version, queue, priority, scheduled_for, id FROM jobs
     WHERE id = :after AND queue NOT IN (SELECT name FROM paused_queues)) AS of_group
   CROSS JOIN LATERAL ({due_of_group(UNLIMITED, "CAST(:limit AS integer)", lock=UNLESS_LOCKED)}) AS found),
{_CHOSEN},
claimed AS ({_CLAIM % f"{_CHOSEN_IDS} AND {UNFLUSHED}"}, priority)
{_IN_ORDER}"""

CLAIM_ONE = _CLAIM % f"id = :id AND {_KNOWN}"

RELEASE_UNANSWERED = f"""
WITH unanswered AS MATERIALIZED (
  SELECT jobs.id FROM jobs
   WHERE status = 'running'
     AND left(fencing_token, 32) = ANY(ARRAY(SELECT json_array_elements_text(CAST(:batches AS json))))
   FOR UPDATE SKIP LOCKED)
UPDATE jobs
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = {RELEASED_ERROR}, error_class = {RELEASED_ERROR_CLASS},
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {{now}} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM unanswered))
RETURNING id
"""


_LIMITS = """SELECT DISTINCT value->>0 AS job_name, CAST(value->>2 AS integer) AS concurrency,
                    CAST(value->>3 AS integer) AS rate, CAST(value->>4 AS bigint) * interval '1 millisecond' AS period,
                    value->>5 = '1' AS has_one_concurrency_key, value->>6 = '1' AS has_one_rate_key
                FROM json_array_elements(CAST(:known AS json)) AS known (value)
               WHERE value->>2 IS NOT NULL OR value->>3 IS NOT NULL"""
LIMITED_NAMES = f"SELECT job_name FROM ({_LIMITS}) AS limits"

# Jobs stored under another spec may have keys other than the single key of today's limit.
_OTHER_KEY = f"""((
  SELECT id FROM jobs WHERE status = 'pending' AND {LIMITED} AND job_name = stated.job_name AND %s
   ORDER BY job_name, concurrency_key, rate_key LIMIT 1) IS NOT NULL)"""  # not EXISTS, which might read all of them
_OTHER_CONCURRENCY_KEY = _OTHER_KEY % "concurrency_key > ''"
_OTHER_RATE_KEY = _OTHER_KEY % "concurrency_key = '' AND rate_key > ''"


# Whether CLAIM would find a job.
DUE = any_due(UNLIMITED)

# Jobs of limited names that a release without the limit stored.
_KEYLESS = f"AND value->>0 IN ({LIMITED_NAMES})"
ADOPTABLE = any_due(UNLIMITED, names=_KEYLESS)
ADOPT = f"""
WITH keyless AS MATERIALIZED ({first_due(UNLIMITED, ":limit", lock=UNLESS_LOCKED, names=_KEYLESS)})
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE jobs.id = ANY(ARRAY(SELECT id FROM keyless))
RETURNING id
"""

ADOPT_RUNNING = f"""
WITH keyless AS MATERIALIZED (
  SELECT id FROM jobs WHERE status = 'running' AND {UNLIMITED} AND job_name IN ({LIMITED_NAMES}) {UNLESS_LOCKED})
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE id = ANY(ARRAY(SELECT id FROM keyless))
RETURNING id
"""

DISMISS = f"""
WITH name AS MATERIALIZED (
  SELECT value->>0 AS job_name FROM json_array_elements(CAST(:known AS json)) AS known (value) EXCEPT {LIMITED_NAMES}),
former AS MATERIALIZED (
  SELECT waiting.* FROM name CROSS JOIN LATERAL (
    SELECT jobs.id FROM jobs
     WHERE status = 'pending' AND concurrency_key IS NOT NULL AND jobs.job_name = name.job_name
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT (SELECT CAST(:limit AS integer)) {UNLESS_LOCKED}) AS waiting
   LIMIT (SELECT CAST(:limit AS integer)))
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL WHERE jobs.id = ANY(ARRAY(SELECT id FROM former))
RETURNING id
"""

LIMITED_DUE = any_due(LIMITED, beyond=":beyond")

# Claims of jobs with limits run one after another, because each has to count the commits of the one before. Its
# statement starts once it has the lock, which the commit releases. The lock is a row: relatives of PostgreSQL may have
# no advisory locks. The conflict locks the row, and the condition keeps it unchanged. The planner estimates a cost at
# which it would compile the claim (JIT), which takes a second, so the transaction turns that off.
LOCK_LIMITS: str | None = """
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT '(limits)', '(limits)', '', timestamptz 'epoch', timestamptz '9999-12-31 UTC'
 WHERE set_config('jit', 'off', true) IS NOT NULL AND set_config('lock_timeout', '5s', true) IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE false
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
lane AS (
  SELECT found.* FROM seeds {_LANE_AFTER.format(lane="seeds", operator=">=")}
   UNION
  SELECT found.* FROM lane {_LANE_AFTER.format(lane="lane", operator=">")}),
lanes AS MATERIALIZED (SELECT * FROM lane LIMIT CAST(:lanes AS integer)),
open_lanes AS (
  SELECT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name) LEFT JOIN running USING (job_name, concurrency_key)
   WHERE (concurrency IS NULL OR COALESCE(count, 0) < concurrency)
     AND (rate IS NULL OR rate > {_starts("lanes", "lanes.rate_key")})),
heads AS MATERIALIZED (
  SELECT head.id FROM open_lanes AS lane CROSS JOIN LATERAL (
    SELECT jobs.id FROM jobs WHERE {WAITING} AND {LIMITED} AND job_name = lane.job_name
       AND concurrency_key = lane.concurrency_key AND rate_key = lane.rate_key
     ORDER BY job_name, concurrency_key, rate_key, priority DESC, scheduled_for, id
     LIMIT CAST(:limit AS integer)) AS head
   LIMIT CAST(:window AS integer)),
"""


def _claim_limited(lanes: str, ids: str) -> str:
    return f"""
WITH RECURSIVE limits AS MATERIALIZED (
  SELECT job_name, concurrency, rate, period,
         has_one_concurrency_key AND NOT {_OTHER_CONCURRENCY_KEY} AS has_one_concurrency_key,
         has_one_rate_key AND NOT {_OTHER_CONCURRENCY_KEY} AND NOT {_OTHER_RATE_KEY} AS has_one_rate_key
    FROM ({_LIMITS}) AS stated),
running AS MATERIALIZED (
  SELECT job_name, concurrency_key, count(*) AS count FROM jobs
   WHERE status = 'running' AND {LIMITED} GROUP BY job_name, concurrency_key),
open_name AS MATERIALIZED (
  SELECT job_name, (concurrency IS NOT NULL AND NOT COALESCE(has_one_concurrency_key, FALSE))
                   OR (rate IS NOT NULL AND NOT COALESCE(has_one_rate_key, FALSE)) AS has_lanes
    FROM limits
   WHERE (has_one_concurrency_key AND concurrency <= (
            SELECT COALESCE(max(count), 0) FROM running
             WHERE running.job_name = limits.job_name AND running.concurrency_key = '')) IS NOT TRUE
     AND (has_one_rate_key AND rate <= {_starts("limits", "''")}) IS NOT TRUE),
walk AS MATERIALIZED ({first_due(LIMITED, ":window", names="AND value->>0 IN (SELECT job_name FROM open_name)")}),
{lanes}candidates AS MATERIALIZED (
  SELECT jobs.id, priority, scheduled_for, job_name, concurrency_key, COALESCE(rate_key, '') AS rate_key,
         concurrency, rate, period
    FROM jobs JOIN limits USING (job_name) WHERE jobs.id = ANY(ARRAY({ids}))),
started AS MATERIALIZED (
  SELECT job_name, rate_key, {_starts("candidates", "candidates.rate_key")} AS starts
    FROM candidates WHERE rate IS NOT NULL GROUP BY job_name, rate_key, period),
possible AS (
  SELECT candidates.*, concurrency - COALESCE(count, 0) AS room, rate - starts AS rate_room,
         row_number() OVER (PARTITION BY job_name, rate_key {_BY_URGENCY}) AS rate_position
    FROM candidates LEFT JOIN running USING (job_name, concurrency_key) LEFT JOIN started USING (job_name, rate_key)
   WHERE concurrency IS NULL OR COALESCE(count, 0) < concurrency),
allowed AS (
  SELECT id, room, row_number() OVER (PARTITION BY job_name, concurrency_key {_BY_URGENCY}) AS position
    FROM possible WHERE rate_room IS NULL OR rate_position <= rate_room),
unlimited AS MATERIALIZED (
  {first_due(UNLIMITED, ":unlimited", lock=UNLESS_LOCKED, names=f"AND value->>0 NOT IN ({LIMITED_NAMES})")}),
due AS MATERIALIZED (
  SELECT jobs.id, attempt_count, max_attempts, priority, scheduled_for, {LIMITED} AS is_limited
    FROM jobs
   WHERE jobs.id = ANY(ARRAY(SELECT id FROM allowed WHERE room IS NULL OR position <= room
                               UNION ALL SELECT id FROM unlimited))
     AND {_STILL_WAITING} AND ({LIMITED} OR job_name NOT IN ({LIMITED_NAMES}))
   ORDER BY priority DESC, scheduled_for, id LIMIT CAST(:limit AS integer) {UNLESS_LOCKED}),
{_CHOSEN_OF_BOTH_KINDS},
claimed AS (
  {_CLAIM % _CHOSEN_IDS}, priority, concurrency_key, rate_key, fencing_token, worker_started_at),
recorded AS (
  INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
  SELECT fencing_token, job_name, COALESCE(rate_key, ''), worker_started_at, worker_started_at + period
    FROM claimed JOIN limits USING (job_name) WHERE {LIMITED} AND rate IS NOT NULL)
{_IN_ORDER}"""


# Reads the first `window` pending jobs.
CLAIM_LIMITED = _claim_limited("", "SELECT id FROM walk")

# Also reads the first jobs of some lanes (the jobs of a name with the same keys), so that a full lane does not hide the
# others behind its backlog: `lanes` of them, from the first one of each name on, and from others on.
CLAIM_LANES = _claim_limited(_LANES, "SELECT id FROM walk UNION ALL SELECT id FROM heads")

RECORD_STARTS: str | None = None  # the claim records them

FORGET_STARTS = """
DELETE FROM job_starts
 WHERE id = ANY(ARRAY(SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000
                         FOR UPDATE SKIP LOCKED))
"""
