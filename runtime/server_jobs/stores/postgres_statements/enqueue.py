"""Store new jobs, or put them in the place of unfinished ones."""

from __future__ import annotations

from ..columns import GIVEN_TYPES, NEW_COLUMNS, new_values
from ..statements.common import CLAIM_COLUMNS
from ..statements.enqueue import INTO_PENDING, IS_REPLACED, KEEPS_KEY, OWNS_KEY, has_free_key, replacing, slots
from .common import LEASE, elements, moment

_NOW = "{now}"
_SCHEDULED = moment("CAST(:scheduled_for AS bigint)")
_DUE_AT = f"COALESCE({_SCHEDULED}, {{now}} + CAST(:delay AS bigint) * interval '1 millisecond')"
_EXPIRES_AFTER = "CAST(:expires_after AS bigint) * interval '1 millisecond'"
# The parameters of INSERT and REPLACE with a list for each field that differs between jobs.
_LISTS = {
    "id": "ids",
    "params": "params",
    "unique_key": "unique_keys",
    "concurrency_key": "concurrency_keys",
    "rate_key": "rate_keys",
}


def _parameter(column: str) -> str:
    return f"CAST(:{column} AS {GIVEN_TYPES[column]})"


def _in_row(column: str) -> str:
    return f"new.{column}"


def _shared_or_own(column: str) -> str:
    return f"new.{column}" if column in _LISTS else _parameter(column)


_OTHERS_IN_ROW = "scheduled_for bigint, delay bigint, expires_after bigint, gives_way integer"
_GIVEN_IN_ROW = ", ".join(f"{column} {kind}" for column, kind in GIVEN_TYPES.items())
NEW = f"json_to_recordset(CAST(:jobs AS json)) AS new ({_GIVEN_IN_ROW}, {_OTHERS_IN_ROW})"
_DUE_IN_ROW = f"COALESCE({moment('new.scheduled_for')}, {{now}} + new.delay * interval '1 millisecond')"
_EXPIRES_AFTER_IN_ROW = "new.expires_after * interval '1 millisecond'"


def start_time(moment: str) -> str:
    return f"to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"


NEW_JOBS = f"{slots(_in_row, _DUE_IN_ROW, _EXPIRES_AFTER_IN_ROW, start_time)}\n  FROM {NEW}"
HAS_FREE_KEY = has_free_key(_in_row)

# The loser of a race for a unique key waits here for the end of the winner's transaction. The statement itself limits
# the wait, because a pooler would lose a setting of the session. Keys are sorted, so that two batches do not deadlock.
BOUNDED = "(SELECT set_config('lock_timeout', '5s', true)) IS NOT NULL"
WAIT_LIMIT = f"\n WHERE {BOUNDED}"
AND_WAIT_LIMIT = f" AND {BOUNDED}"
# An outcome waits briefly for a locked row, because other outcomes wait behind it.
SOON = "(SELECT set_config('lock_timeout', '250ms', true)) IS NOT NULL"

INSERT = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_shared_or_own, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}
  FROM unnest({", ".join(f"CAST(:{name} AS text[])" for name in _LISTS.values())})
       AS new ({", ".join(_LISTS)}){WAIT_LIMIT}
    ON CONFLICT DO NOTHING
RETURNING id
"""
PACKED_INSERT: str | None = None
PACKED_INSERTED: str | None = None

INSERT_ONE = f"""
INSERT INTO jobs ({NEW_COLUMNS})
SELECT {new_values(_parameter, due=_DUE_AT, expires_after=_EXPIRES_AFTER)}{WAIT_LIMIT}
    ON CONFLICT DO NOTHING
RETURNING id
"""

HAS_KEY = f"unique_key = ANY(ARRAY({elements('unique_keys')})) AND unique_key IS NOT NULL"
KEY_OWNERS = f"""
SELECT unique_key, id FROM jobs
 WHERE {HAS_KEY} AND {KEEPS_KEY}
UNION ALL
SELECT NULL, id FROM jobs WHERE id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))
"""

REPLACED_JOBS = f"SELECT unique_key, id FROM jobs WHERE {HAS_KEY} AND {IS_REPLACED}"

START = f"""
INSERT INTO jobs ({NEW_COLUMNS}, attempt_count, fencing_token, worker_started_at, worker_expires_at)
SELECT {new_values(_parameter, due=_NOW, expires_after=_EXPIRES_AFTER, status="'running'")}, 1,
       CAST(:batch AS text) || :id, {{now}}, {{now}} + {LEASE}
 WHERE {BOUNDED} AND NOT EXISTS (SELECT 1 FROM jobs WHERE unique_key = CAST(:unique_key AS text) AND {IS_REPLACED})
    ON CONFLICT DO NOTHING
RETURNING {CLAIM_COLUMNS}
"""


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

AUDIT_REPLACE = f"""
INSERT INTO job_audit (id, at, actor, action, target, job_name, detail)
SELECT CAST(:audit_id AS text) || '-' || id, {{now}}, :actor, 'replace', id, job_name,
       'new params, priority ' || priority
  FROM jobs JOIN jsonb_each_text(CAST(:keys AS jsonb)) AS new ON unique_key = new.key
 WHERE unique_key IS NOT NULL AND {OWNS_KEY} AND status = 'pending' AND (start_before < {{now}}) IS NOT TRUE
   AND NOT EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = new.value)
"""

_OR_REPLACE = f"""ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND {OWNS_KEY} DO UPDATE
   {INTO_PENDING.replace("{reschedules}", "CAST(:reschedules AS integer)")}""".replace(
    "RETURNING id, unique_key", "RETURNING jobs.id, jobs.unique_key"
)


def _if_new(insert: str, job_id: str) -> str:
    """Return an insert that skips jobs whose id is stored: one statement has one place for conflicts."""
    stored = f"EXISTS (SELECT 1 FROM jobs AS stored WHERE stored.id = {job_id})"
    return insert.replace(WAIT_LIMIT, f"\n WHERE NOT {stored}{AND_WAIT_LIMIT}")


REPLACE = replacing(_if_new(INSERT, "new.id"), "RETURNING id\n", _OR_REPLACE)
REPLACE_ONE = replacing(_if_new(INSERT_ONE, "CAST(:id AS text)"), "RETURNING id\n", _OR_REPLACE)
