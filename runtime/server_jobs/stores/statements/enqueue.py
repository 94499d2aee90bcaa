"""Store new jobs, or put them in the place of unfinished ones."""

from __future__ import annotations

from collections.abc import Callable

from ..columns import GIVEN_TYPES, NEW_COLUMNS, new_values
from .common import CLAIM_COLUMNS

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
    return f"(value->>'{column}')"


def _shared_or_own(column: str) -> str:
    return _OWN.get(column, f":{column}")


def late_error(start_time: str) -> str:
    """Return SQL for the error of a late job. `lifecycle.expiry_reason` has the same text."""
    return f"'expired: it had to start by ' || {start_time} || ' UTC'"


def slots(given: Callable[[str], str], due: str, expires_after: str, start_time: Callable[[str], str]) -> str:
    """Return the insert of the jobs of slots, without its source.

    A job that is late already, and gives way to the job of a later slot with its unique key, is stored as cancelled.
    """
    is_over = f"{given('gives_way')} = 1 AND {due} + {expires_after} < {{now}}"
    status = f"CASE WHEN {is_over} THEN 'cancelled' ELSE 'pending' END"
    return f"""
INSERT INTO jobs ({NEW_COLUMNS}, error, completed_at)
SELECT {new_values(given, due=due, expires_after=expires_after, status=status)},
       CASE WHEN {is_over} THEN {late_error(start_time(f"({due} + {expires_after})"))} END,
       CASE WHEN {is_over} THEN {{now}} END"""


def has_free_key(given: Callable[[str], str]) -> str:
    """Return the condition that no earlier job owns the unique key of a job that may be stored as cancelled."""
    return f"""({given("gives_way")} IS NULL OR NOT EXISTS (
        SELECT 1 FROM jobs AS owner WHERE owner.unique_key = {given("unique_key")}
           AND owner.status IN ('pending', 'running') AND owner.replaced_by IS NULL))"""


def start_time(moment: str) -> str:
    """Return SQL for a time as text, without its zone."""
    return f"datetime({moment} / 1000, 'unixepoch')"


NEW_JOBS = f"{slots(_in_row, _DUE_IN_ROW, _EXPIRES_AFTER_IN_ROW, start_time)}\n  FROM json_each(:jobs)"
HAS_FREE_KEY = has_free_key(_in_row)

# For jobs that differ only in params and keys, as jobs of one call usually do. Half the work of INSERT.
PACKED_INSERT: str | None = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_shared_or_own, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}
  FROM json_each(:jobs)
 WHERE true
    ON CONFLICT DO NOTHING
"""
INSERT = f"{PACKED_INSERT}RETURNING id"
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
SELECT {new_values(_parameter, due=_NOW, expires_after=_EXPIRES_AFTER, status="'running'")}, 1,
       :batch || :id, {{now}}, {{now}} + :lease
 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = :unique_key AND {IS_REPLACED})
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""


# The parameter `keys` has the id of the new job by unique key. Executed before the new jobs are stored.
SUPERSEDE = f"""
UPDATE jobs INDEXED BY jobs_unique_key
   SET replaced_by = new.value, updated_at = {{now}}
  FROM json_each(:keys) AS new
 WHERE unique_key = new.key AND {OWNS_KEY} AND status <> 'pending'
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value)
RETURNING id
"""

# The parameter `keys` as for SUPERSEDE. Executed after the new jobs are stored: the pending jobs that they changed.
AUDIT_REPLACE = f"""
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT :audit_id || '-' || jobs.id, {{now}}, :actor, 'replace', jobs.id, job_name, 'new params, priority ' || priority
  FROM json_each(:keys) AS new JOIN jobs INDEXED BY jobs_unique_key ON unique_key = new.key
 WHERE {OWNS_KEY} AND status = 'pending' AND (start_before < {{now}}) IS NOT TRUE
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value)
"""

# The new job in the place of a pending one, as if that one were new.
_KEPT = ("id", "job_name", "unique_key")
INTO_PENDING = f"""SET {", ".join(f"{column} = excluded.{column}" for column in GIVEN_TYPES if column not in _KEPT)},
       scheduled_for = CASE {{reschedules}} WHEN 1 THEN excluded.scheduled_for ELSE jobs.scheduled_for END,
       start_before = CASE {{reschedules}} WHEN 1 THEN excluded.start_before
                      ELSE jobs.scheduled_for + (excluded.start_before - excluded.scheduled_for) END,
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
