"""Claim jobs, without limits and with limits."""

from __future__ import annotations

from .common import CLAIM_COLUMNS
from .groups import LIMITED, STARTABLE, UNLIMITED, URGENCY, any_due, first_due
from .settle import RELEASED_ERROR, RELEASED_ERROR_CLASS

_KNOWN = f"""status = 'pending' AND {STARTABLE}
   AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
   AND (:queues IS NULL OR queue IN (SELECT value FROM json_each(:queues)))"""
_DUE = "scheduled_for <= {now}"
_UNPAUSED = "queue NOT IN (SELECT name FROM paused_queues)"
WAITING = f"{_KNOWN} AND {_DUE} AND {_UNPAUSED}"
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
                                   CAST(batch_id AS TEXT), CAST(queue AS TEXT),
                                   CAST(scheduled_for AS INTEGER))) AS packed
  FROM ({CLAIMED})
"""

# Release jobs whose claim was never answered: no worker runs them.
RELEASE_UNANSWERED = f"""
UPDATE jobs INDEXED BY jobs_lease
   SET status = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN 'cancelled' ELSE 'pending' END,
       error = {RELEASED_ERROR}, error_class = {RELEASED_ERROR_CLASS},
       completed_at = CASE WHEN cancel_requested OR replaced_by IS NOT NULL THEN {{now}} END,
       attempt_count = attempt_count - 1, fencing_token = NULL, worker_expires_at = NULL, updated_at = {{now}}
 WHERE status = 'running' AND worker_expires_at IS NOT NULL
   AND substr(fencing_token, 1, 32) IN (SELECT value FROM json_each(:batches))
RETURNING id
"""


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
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE id IN (SELECT id FROM ({first_due(UNLIMITED, ":limit", names=_KEYLESS)}))
RETURNING id
"""

# Their runs count too. A job whose spec lost its limits is claimed like any other job again.
ADOPT_RUNNING = f"""
UPDATE jobs SET concurrency_key = '', rate_key = ''
 WHERE status = 'running' AND concurrency_key IS NULL AND job_name IN ({_LIMITED_NAMES})
RETURNING id
"""
MISLABELLED = f"""SELECT id FROM jobs INDEXED BY jobs_limited_lane
               WHERE status = 'pending' AND concurrency_key IS NOT NULL
                 AND job_name IN (SELECT value->>0 FROM json_each(:known) EXCEPT {_LIMITED_NAMES})"""
DISMISS = f"""
UPDATE jobs SET concurrency_key = NULL, rate_key = NULL
 WHERE id IN ({MISLABELLED} LIMIT :limit)
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
  SELECT found.job_name, found.concurrency_key, found.rate_key
    FROM seeds JOIN jobs AS found ON found.id = {_LANE_AFTER.format(lane="seeds", operator=">=")}
   UNION
  SELECT found.job_name, found.concurrency_key, found.rate_key
    FROM lanes JOIN jobs AS found ON found.id = {_LANE_AFTER.format(lane="lanes", operator=">")}
   LIMIT :lanes),
open_lanes AS (
  SELECT job_name, concurrency_key, rate_key
    FROM lanes JOIN limits USING (job_name) LEFT JOIN running USING (job_name, concurrency_key)
   WHERE (concurrency IS NULL OR COALESCE(count, 0) < concurrency)
     AND (rate IS NULL OR rate > {_STARTS.format(of="lanes", key="lanes.rate_key")})),
heads AS MATERIALIZED (
  SELECT head.id FROM open_lanes AS lane JOIN jobs AS head ON head.id IN (
    SELECT id FROM jobs WHERE {WAITING} AND concurrency_key IS NOT NULL AND job_name = lane.job_name
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
  SELECT {_DUE_COLUMNS}, job_name, concurrency_key, COALESCE(rate_key, '') AS rate_key, concurrency, rate, period
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
# others behind its backlog: `lanes` of them, from the first one of each name on, and from others on.
CLAIM_LANES = _claim_limited(_LANES, "SELECT id FROM walk UNION SELECT id FROM heads")

RECORD_STARTS: str | None = f"""
INSERT INTO job_starts (id, job_name, rate_key, started_at, expires_at)
SELECT fencing_token, job_name, COALESCE(rate_key, ''), worker_started_at, worker_started_at + period
  FROM jobs JOIN ({_LIMITS}) USING (job_name)
 WHERE status = 'running' AND concurrency_key IS NOT NULL AND rate IS NOT NULL AND {_CLAIMED}
"""

FORGET_STARTS = """
DELETE FROM job_starts
 WHERE id IN (SELECT id FROM job_starts WHERE expires_at < {now} ORDER BY expires_at LIMIT 1000)
"""
