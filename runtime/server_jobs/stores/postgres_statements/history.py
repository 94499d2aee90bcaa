"""Statistics, earlier attempts, and workers."""

from __future__ import annotations

from ..statistics import StatisticsDialect, enqueued_counts, failure_groups, queue_states
from .claim import LIMITED, UNFLUSHED, UNLIMITED
from .common import LEASE, OF_QUEUES, jobs_by, moment
from .enqueue import SOON
from .groups import KNOWN_VALUES

# Each bound is a subquery, because the planner must not know it: it would plan each query again.
_STATISTICS = StatisticsDialect(
    jobs=jobs_by,
    most="(SELECT CAST(:most AS integer))",
    most_failed="(SELECT CAST(:most_failed AS integer))",
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
 WHERE {UNFLUSHED} AND {SOON}
 ORDER BY moment.minute, new.queue, new.job_name
    ON CONFLICT (minute, queue, job_name) DO UPDATE SET
       completed = counted.completed + excluded.completed, failed = counted.failed + excluded.failed,
       retried = counted.retried + excluded.retried
"""
FINISHED_COUNTS = f"""
SELECT minute, queue, job_name, completed, failed, retried FROM job_counts
 WHERE minute >= {moment("CAST(:since AS bigint)")} AND minute <= {moment("CAST(:until AS bigint)")}
 ORDER BY minute, queue, job_name
"""
FORGET_COUNTS = """
DELETE FROM job_counts
 WHERE minute > timestamptz 'epoch' AND minute < {now} - CAST(:age AS bigint) * interval '1 millisecond'
RETURNING minute
"""


RECORD_ATTEMPTS: str | None = None  # the moves record them
RECORD_EXPIRED: str | None = None
PRUNE_ATTEMPTS: str | None = None  # deleted with their jobs
DELETE_ATTEMPTS: str | None = None

# The jobs that are claimed before this one. With an order and a limit, the planner walks along the index.
_IS_AHEAD = (
    "jobs.priority > CAST(:priority AS integer) AND scheduled_for <= {now}",
    (
        f"jobs.priority = CAST(:priority AS integer) AND scheduled_for <= {{now}}"
        f" AND (scheduled_for, jobs.id) < ({moment('CAST(:due AS bigint)')}, :id)"
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
    {_ahead(UNLIMITED)}
     UNION ALL
    {_ahead(LIMITED)}
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
       CAST(:concurrency AS integer), CAST(:version AS text), CAST(:known AS text), {{now}}, {{now}}, {{now}} + {LEASE}
 WHERE {UNFLUSHED}
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
