"""SQL that finds the most urgent pending jobs on SQLite, Turso and D1, at a cost that is independent of other pending
jobs.

A group has the pending jobs of one name, version, queue and priority; in the index they are adjacent, most urgent
first. A claim finds its groups with one search of the index each, and skips any number of jobs of other names, versions
and queues. Then it merges the heads of these groups.

The statement names the index, because SQLite might choose another one and sort all pending jobs. CROSS JOIN keeps the
written order of the tables.
"""

from __future__ import annotations

UNLIMITED = "concurrency_key IS NULL"
LIMITED = "concurrency_key IS NOT NULL"
URGENCY = "ORDER BY priority DESC, scheduled_for, id"
_INDEXES = {UNLIMITED: "jobs_unlimited_group", LIMITED: "jobs_limited_group"}
_PAUSED = "SELECT name FROM paused_queues"
_COLUMNS = "id, attempt_count, max_attempts, priority, scheduled_for, job_name"
_DUE = "jobs.scheduled_for <= {now}"
STARTABLE = """attempt_count < max_attempts AND (start_before IS NULL OR start_before >= {now})
         AND (jobs.unique_key IS NULL OR NOT EXISTS (
              SELECT 1 FROM jobs AS replaced INDEXED BY jobs_replaced
               WHERE replaced.status = 'running' AND replaced.replaced_by IS NOT NULL
                 AND replaced.unique_key = jobs.unique_key))"""
"""Whether the state machine allows a claim of this pending job. It waits for a running job that it replaces."""


def pending_groups(kind: str, names: str = "") -> str:
    """Return the common table expression `pending_group`: the groups of jobs of this kind that the request may take.

    `names` restricts the known names.
    """
    return f"""known_job AS MATERIALIZED (
  SELECT DISTINCT value->>0 AS job_name, value->>1 AS spec_version FROM json_each(:known) WHERE true {names}),
any_queue (job_name, spec_version, queue) AS (
  SELECT job_name, spec_version, ({_first(kind, "queue", "known_job", "true")}) FROM known_job WHERE :queues IS NULL
   UNION ALL
  SELECT job_name, spec_version, ({_first(kind, "queue", "any_queue", "jobs.queue > any_queue.queue")})
    FROM any_queue WHERE queue IS NOT NULL),
open_queue AS (
  SELECT job_name, spec_version, queue FROM any_queue WHERE queue NOT IN ({_PAUSED})
   UNION
  SELECT job_name, spec_version, value FROM known_job CROSS JOIN json_each(:queues) WHERE value NOT IN ({_PAUSED})),
some_group (job_name, spec_version, queue, priority) AS (
  SELECT job_name, spec_version, queue, ({_first(kind, "priority", "open_queue", "jobs.queue = open_queue.queue")})
    FROM open_queue
   UNION ALL
  SELECT job_name, spec_version, queue,
         ({_first(kind, "priority", "some_group", "jobs.queue = some_group.queue AND priority < some_group.priority")})
    FROM some_group WHERE priority IS NOT NULL),
pending_group AS MATERIALIZED (
  SELECT count(*) OVER () AS groups, job_name, spec_version, queue, priority
    FROM some_group
   WHERE priority IS NOT NULL)"""


def _first(kind: str, column: str, known: str, condition: str) -> str:
    direction = " DESC" if column == "priority" else ""
    return f"""SELECT {column} FROM jobs INDEXED BY {_INDEXES[kind]}
      WHERE status = 'pending' AND {kind} AND jobs.job_name = {known}.job_name
        AND jobs.spec_version = {known}.spec_version AND {condition} ORDER BY {column}{direction} LIMIT 1"""


def _of_group(kind: str, condition: str) -> str:
    return f"""status = 'pending' AND {kind} AND jobs.job_name = of_group.job_name
         AND jobs.spec_version = of_group.spec_version AND jobs.queue = of_group.queue
         AND jobs.priority = of_group.priority AND {STARTABLE} AND {condition}"""


def _due_of_only_group(kind: str, limit: str) -> str:
    columns = _COLUMNS.replace(", ", ", jobs.")
    return f"""SELECT * FROM (
    SELECT jobs.{columns} FROM pending_group AS of_group CROSS JOIN jobs INDEXED BY {_INDEXES[kind]}
     WHERE {_of_group(kind, _DUE)} AND of_group.groups = 1 LIMIT {limit})"""


def _first_of_group(kind: str, of: str, condition: str) -> str:
    """Return an expression for the id of the first job of a group under this condition."""
    return f"""(SELECT jobs.id FROM jobs INDEXED BY {_INDEXES[kind]}
        WHERE {_of_group(kind, condition).replace("of_group.", f"{of}.")}
        ORDER BY jobs.scheduled_for, jobs.id LIMIT 1)"""


def first_due(kind: str, limit: str, *, names: str = "") -> str:
    """Return a query for the most urgent due jobs that the request may take.

    A single group is read in its order. Several groups are merged: the queue of the recursion has the next job of each
    group. Each step returns the most urgent one, and replaces it by its successor in the group.
    """
    same_time = "jobs.scheduled_for = merged.scheduled_for AND jobs.id > merged.id"
    later = f"jobs.scheduled_for > merged.scheduled_for AND {_DUE}"
    successor = ",\n      ".join(_first_of_group(kind, "merged", one) for one in (same_time, later))
    return f"""WITH RECURSIVE {pending_groups(kind, names)},
merged ({_COLUMNS}, spec_version, queue) AS (
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, of_group.priority, jobs.scheduled_for, of_group.job_name,
         of_group.spec_version, of_group.queue
    FROM pending_group AS of_group CROSS JOIN jobs ON jobs.id = {_first_of_group(kind, "of_group", _DUE)}
   WHERE of_group.groups > 1
   UNION ALL
  SELECT jobs.id, jobs.attempt_count, jobs.max_attempts, merged.priority, jobs.scheduled_for, merged.job_name,
         merged.spec_version, merged.queue
    FROM merged CROSS JOIN jobs ON jobs.id = COALESCE(
      {successor})
   ORDER BY 4 DESC, 5, 1 LIMIT {limit})
  {_due_of_only_group(kind, limit)}
   UNION ALL
  SELECT {_COLUMNS} FROM merged
   {URGENCY} LIMIT {limit}"""


def any_due(kind: str, *, beyond: str = "0", names: str = "") -> str:
    """Return a query that finds a row if more than `beyond` jobs are due that the request may take."""
    return f"""SELECT due FROM (WITH RECURSIVE {pending_groups(kind, names)}
  SELECT 1 AS due FROM pending_group AS of_group CROSS JOIN jobs INDEXED BY {_INDEXES[kind]}
   WHERE {_of_group(kind, _DUE)}) LIMIT 1 OFFSET {beyond}"""


def awaited(kind: str) -> str:
    """Return a query for when the first job of each group that the request may take is due.

    `later` is the time of the first job that is not due yet.
    """

    def first(condition: str) -> str:
        return f"""(SELECT jobs.scheduled_for FROM jobs INDEXED BY {_INDEXES[kind]}
      WHERE {_of_group(kind, condition)} ORDER BY jobs.scheduled_for LIMIT 1)"""

    return f"""WITH RECURSIVE {pending_groups(kind)}
  SELECT {first("true")} AS due, {first("jobs.scheduled_for > {now}")} AS later
    FROM pending_group AS of_group"""
