"""SQL that finds the most urgent pending jobs on PostgreSQL, at a cost that is independent of other pending jobs.

A group has the pending jobs of one name, version, queue and priority; in the index they are adjacent, most urgent
first. A claim finds its groups with one search of the index each, and skips any number of jobs of other names, versions
and queues. Then it merges the heads of these groups.

The conditions on `json_typeof` are always true. The planner assumes that they are selective, which keeps its estimate
below the cost at which PostgreSQL compiles a statement (JIT).
"""

from __future__ import annotations

KNOWN_VALUES = "json_array_elements(CAST(:known AS json)) AS known (value)"
_PAUSED = "SELECT name FROM paused_queues"
_URGENCY = "ORDER BY priority DESC, scheduled_for, id"
# A subquery, because the planner must not know the value: it would plan each claim again.
_LIMIT = "(SELECT CAST({limit} AS integer))"
UNLESS_LOCKED = "FOR UPDATE OF jobs SKIP LOCKED"
# The few keys are read once, and only if a job with a key is reached. A search for each job would raise the estimate.
STARTABLE = """attempt_count < max_attempts AND (start_before IS NULL OR start_before >= {now})
         AND (jobs.unique_key IS NULL OR jobs.unique_key <> ALL(ARRAY(
              SELECT replaced.unique_key FROM jobs AS replaced
               WHERE replaced.status = 'running' AND replaced.replaced_by IS NOT NULL
                 AND replaced.unique_key IS NOT NULL)))"""


def pending_groups(kind: str, names: str = "") -> str:
    """Return the common table expression `pending_group`: the groups of jobs of this kind that the request may take.

    `scheduled_for` and `id` belong to the group's first job. `names` restricts the known names.
    """
    return f"""known AS MATERIALIZED (
  SELECT DISTINCT value->>0 AS job_name, CAST(value->>1 AS integer) AS spec_version FROM {KNOWN_VALUES}
   WHERE json_typeof(value) = 'array' {names}),
asked AS MATERIALIZED (
  SELECT job_name, spec_version, NULL AS asked_queue FROM known WHERE (SELECT CAST(:queues AS json)) IS NULL
   UNION ALL
  SELECT DISTINCT job_name, spec_version, name.value #>> '{{}}' FROM known
   CROSS JOIN (SELECT value FROM json_array_elements(CAST(:queues AS json)) AS queues (value)
                WHERE json_typeof(value) = 'string') AS name
   WHERE name.value #>> '{{}}' NOT IN ({_PAUSED})),
head AS (
  SELECT asked.*, found.* FROM asked CROSS JOIN LATERAL (
    {_head_of(kind, "asked", "asked.asked_queue IS NULL")}
    UNION ALL
    {_head_of(kind, "asked", "jobs.queue = asked.asked_queue")}
    LIMIT 1) AS found
   UNION ALL
  SELECT head.job_name, head.spec_version, head.asked_queue, found.* FROM head CROSS JOIN LATERAL (
    {_head_of(kind, "head", f"jobs.queue = head.queue AND priority < head.priority AND head.queue NOT IN ({_PAUSED})")}
    UNION ALL
    {_head_of(kind, "head", "jobs.queue > head.queue AND head.asked_queue IS NULL")}
    LIMIT 1) AS found),
pending_group AS MATERIALIZED (
  SELECT row_number() OVER () AS number, job_name, spec_version, queue, priority, scheduled_for, id
    FROM head WHERE queue NOT IN ({_PAUSED}) AND json_typeof(to_json(priority)) = 'number')"""


def _head_of(kind: str, known: str, condition: str) -> str:
    return f"""(SELECT queue, priority, scheduled_for, id FROM jobs
      WHERE status = 'pending' AND {kind} AND jobs.job_name = {known}.job_name
        AND jobs.spec_version = {known}.spec_version AND {condition}
      ORDER BY queue, priority DESC, scheduled_for, id LIMIT 1)"""


def due_of_group(kind: str, limit: str, *, due: str = "{now}", lock: str = "") -> str:
    """Return a query for the first due jobs of the current group, which is named `of_group`."""
    # Start at the first job, so that index entries of deleted jobs are read only once.
    condition = (
        f"jobs.scheduled_for <= {due} AND (jobs.scheduled_for, jobs.id) >= (of_group.scheduled_for, of_group.id)"
    )
    return _some_of_group(kind, condition, limit, lock)


def _some_of_group(kind: str, condition: str, limit: str, lock: str) -> str:
    return f"""SELECT jobs.id, attempt_count, max_attempts, jobs.priority, jobs.scheduled_for FROM jobs
       WHERE status = 'pending' AND {kind} AND jobs.job_name = of_group.job_name
         AND jobs.spec_version = of_group.spec_version AND jobs.queue = of_group.queue
         AND jobs.priority = of_group.priority AND {STARTABLE} AND {condition}
       ORDER BY jobs.scheduled_for, jobs.id LIMIT {_scalar(limit)} {lock}"""


def _scalar(limit: str) -> str:
    return limit if limit.isdecimal() else f"(SELECT {limit})"


def first_due(kind: str, limit: str, *, lock: str = "", names: str = "") -> str:
    """Return a query for the most urgent due jobs that the request may take.

    A single group returns all of them. From each of several groups, `share` jobs are read, in total twice the requested
    number. The last requested job among these is a bound: a group whose share ends before the bound is read up to it.
    Then each group returns its jobs among the most urgent, and only these are locked. If another transaction has locked
    some, the group returns the next ones.
    """
    asked = _LIMIT.format(limit=limit)
    return f"""WITH RECURSIVE {pending_groups(kind, names)},
size AS MATERIALIZED (
  SELECT count(*) AS groups, 1 + 2 * {asked} / GREATEST(count(*), 1) AS share FROM pending_group),
shallow AS MATERIALIZED (
  SELECT of_group.number, found.* FROM (SELECT * FROM pending_group WHERE (SELECT groups FROM size) > 1) AS of_group
   CROSS JOIN LATERAL ({due_of_group(kind, "share FROM size")}) AS found),
bound AS MATERIALIZED (
  SELECT priority, scheduled_for FROM shallow {_URGENCY} OFFSET {asked} - 1 LIMIT 1),
deep AS MATERIALIZED (
  SELECT pending_group.*, CASE WHEN pending_group.priority = bound.priority THEN bound.scheduled_for END AS until
    FROM (SELECT number, max(scheduled_for) AS last FROM shallow GROUP BY number
          HAVING count(*) >= (SELECT share FROM size)) AS cut
    JOIN pending_group USING (number) LEFT JOIN bound ON true
   WHERE bound.priority IS NULL OR pending_group.priority > bound.priority
      OR pending_group.priority = bound.priority AND last <= bound.scheduled_for),
merged AS (
  SELECT number FROM (
    SELECT number, priority, scheduled_for, id FROM shallow WHERE number NOT IN (SELECT number FROM deep)
     UNION ALL
    SELECT of_group.number, found.priority, found.scheduled_for, found.id FROM deep AS of_group
     CROSS JOIN LATERAL ({due_of_group(kind, asked, due="LEAST({now}, of_group.until)")}) AS found) AS candidate
   {_URGENCY} LIMIT {asked}),
part AS MATERIALIZED (
  SELECT number, count(*) AS part FROM merged GROUP BY number
   UNION ALL
  SELECT number, {asked} FROM pending_group WHERE (SELECT groups FROM size) = 1)
SELECT * FROM (
  SELECT found.* FROM (SELECT pending_group.*, part FROM part JOIN pending_group USING (number)) AS of_group
   CROSS JOIN LATERAL ({due_of_group(kind, "of_group.part", lock=lock)}) AS found
   LIMIT (SELECT {asked})) AS due LIMIT 10000"""


def any_due(kind: str, *, beyond: str = "", names: str = "") -> str:
    """Return a query that finds a row if a job is due that the request may take, or more than `beyond` of them."""
    limit = f"{_LIMIT.format(limit=beyond)} + 1" if beyond else "1"
    return f"""WITH RECURSIVE {pending_groups(kind, names)}
SELECT 1 AS due FROM pending_group AS of_group CROSS JOIN LATERAL ({due_of_group(kind, limit)}) AS found
 LIMIT 1{f" OFFSET {_LIMIT.format(limit=beyond)}" if beyond else ""}"""


def awaited(kind: str) -> str:
    """Return a query for when the first job of each group that the request may take is due.

    `later` is the time of the first job that is not due yet.
    """
    return f"""WITH RECURSIVE {pending_groups(kind)}
SELECT found.scheduled_for AS due,
       (SELECT scheduled_for FROM ({_some_of_group(kind, "jobs.scheduled_for > {now}", "1", "")}) AS later) AS later
  FROM pending_group AS of_group
 CROSS JOIN LATERAL ({due_of_group(kind, "1", due="timestamptz 'infinity'")}) AS found"""
