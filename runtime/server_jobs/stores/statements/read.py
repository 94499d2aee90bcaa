"""Read, list and count jobs."""

from __future__ import annotations

from ...domain.record import SHORT_ERROR, SHORT_PARAMS
from ..columns import JOB_COLUMNS, SUMMARY_COLUMNS
from .claim import MISLABELLED, WAITING
from .common import MATCHES, OF_QUEUES, PARKED
from .groups import LIMITED, UNLIMITED, any_due, awaited
from .maintenance import ENDED_BATCHES
from .schedules import DUE_SCHEDULE

# `{scanned}` is the query of the ids of a step, `{rows}` the query of its rows. Text alone narrows the documents: see
# `domain.search`.
FIND_RANGE = "SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM ({scanned}) AS scanned"
_SEARCHED_TEXT = "CASE :part WHEN 'result' THEN COALESCE(CAST(result AS TEXT), '') ELSE CAST(params AS TEXT) END"
FIND = f"SELECT id, job_name, status FROM ({{rows}}) AS jobs WHERE {MATCHES} ORDER BY id"
DOCUMENT_BYTES = "length(CAST(params AS BLOB)) + COALESCE(length(CAST(result AS BLOB)), 0)"


def search_range(matches: str, most_bytes: str) -> str:
    """Return the query of the first and last id of a step that ends after `most_bytes` bytes of matching jobs."""
    return f"""
SELECT min(id) AS first, max(id) AS last, count(*) AS count, max(scanned) AS scanned
  FROM (SELECT id, count(*) OVER () AS scanned,
               sum(bytes) OVER (ORDER BY id {{direction}} ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before
          FROM (SELECT id, CASE WHEN {matches} THEN bytes ELSE 0 END AS bytes FROM ({{rows}}) AS jobs) AS measured
       ) AS added
 WHERE bytes_before < {most_bytes}
"""


SEARCH_RANGE = search_range(MATCHES, ":most_bytes")
SEARCH = f"""
SELECT id, job_name, status, CASE WHEN {DOCUMENT_BYTES} <= :longest THEN CAST(params AS TEXT) END AS params,
       CASE WHEN {DOCUMENT_BYTES} <= :longest THEN CAST(result AS TEXT) END AS result
  FROM ({{rows}}) AS jobs
 WHERE {MATCHES}
   AND (EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr({_SEARCHED_TEXT}, value) > 0)
        OR (:is_number = 1 AND {_SEARCHED_TEXT} GLOB '*[0-9][eE]*'))
 ORDER BY id
"""


GET = f"SELECT {JOB_COLUMNS} FROM jobs WHERE id = :id"

_LISTED = f"""FROM jobs
 WHERE {{among}}{MATCHES}
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
PAGE = previewed(f"{PREVIEWS} FROM {{source}} AS jobs WHERE {MATCHES} LIMIT :page", "length(CAST(params AS BLOB))")
OF_GROUP = "{jobs} ON {group}"
LOOK_UP = "CROSS JOIN jobs ON jobs.id = chosen.id"

ALLOW_SCAN: str | None = None  # scans are not avoided here
AVOID_JIT: str | None = None
PLAN_ANEW: str | None = None
COUNT = f"""
SELECT job_name, status, count(*) AS count, sum(CASE WHEN {PARKED} THEN 1 ELSE 0 END) AS parked FROM {{counted}}
 WHERE :since IS NULL OR created_at >= :since
 GROUP BY job_name, status ORDER BY job_name, status
"""

# The kinds of pending work, and whether the rows have the labels of the specs.
PENDING_WORK = f"""
SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_lease WHERE status = 'running' AND worker_expires_at < {{now}})
         AS has_expired,
       EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_start_before
                WHERE status = 'pending' AND start_before IS NOT NULL AND start_before < {{now}}) AS has_late,
       EXISTS (SELECT 1 FROM cron_jobs
                WHERE {DUE_SCHEDULE} AND job_name IN (SELECT value->>0 FROM json_each(:known))) AS has_due_schedule,
       EXISTS ({any_due(UNLIMITED)}) OR EXISTS ({any_due(LIMITED)}) AS has_due_job,
       EXISTS ({MISLABELLED}) AS has_mislabelled,
       EXISTS ({ENDED_BATCHES.replace(":batch_ids", "NULL")}) AS has_ended_batch,
       NOT EXISTS (SELECT 1 FROM job_workers
                    WHERE id = :tick_id AND known = :tick_known AND last_seen_at > {{now}} - :tick_interval)
         AS has_due_report
"""

# Jobs with and without limits have separate indexes.
COUNT_DUE = f"""
SELECT sum(count) AS count
  FROM (SELECT count(*) AS count FROM jobs WHERE {WAITING} AND concurrency_key IS NULL
         UNION ALL SELECT count(*) FROM jobs WHERE {WAITING} AND concurrency_key IS NOT NULL)
"""

UPCOMING_WORK = f"""
SELECT min(due) - {{now}} AS until_due, min(later) - {{now}} AS until_later,
       (SELECT worker_expires_at FROM jobs INDEXED BY jobs_lease
         WHERE status = 'running' AND (:queues IS NULL OR {OF_QUEUES})
           AND (job_name, spec_version) IN (SELECT value->>0, value->>1 FROM json_each(:known))
         ORDER BY worker_expires_at LIMIT 1) - {{now}} AS until_lease_end,
       (SELECT min(COALESCE(next_run_at, 0)) FROM cron_jobs
         WHERE enabled AND job_name IN (SELECT value->>0 FROM json_each(:known))) - {{now}} AS until_slot
  FROM (SELECT due, later FROM ({awaited(UNLIMITED)}) UNION ALL SELECT due, later FROM ({awaited(LIMITED)}))
"""
