"""The columns of the table `jobs`, listed once: by the fields of `JobRecord`, `JobSummary` and `NewJob`.

To add a column, change the places below. Inserts and reads follow. Then run `server-jobs generate`, which writes the
migration, and commit `generated/`.

====================  =================================================================================
a column              change
====================  =================================================================================
every column          `schema`, and `JobRecord` in `domain.record`
if callers give it    `NewJob` in `domain.record`, `domain.enqueue_options`, `definition`,
                      `templates/jobs.ts.jinja` of the generator; for HTTP `http.jobs`
if a claim writes it  `claim`, `retry` and `_Changes` in `domain.lifecycle`,
                      `_CLAIM`, `START` and `RETRY` in both modules of statements;
                      `ClaimRequest` and `rows.request_parameters`, if the worker gives the value
if handlers read it   `Claim` in `domain.record`, `CLAIM_COLUMNS` and `PACKED_CLAIMED` in `statements`,
                      `rows`, `memory`
to filter by it       `JobFilter` in `domain.record`, `matches` in `domain.search`, `job_filters`;
                      `http.jobs`, `job_filter` of the commands
to show it            `inspection.job_document`, `http.openapi`, the command `show`,
                      `templates/jobs.ts.jinja`; for views `OWN_COLUMNS` of the generator
====================  =================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import get_type_hints

from ..domain.record import JobRecord, JobSummary, NewJob

JOB_COLUMNS = ", ".join(field.name for field in fields(JobRecord))
SUMMARY_COLUMNS = ", ".join(field.name for field in fields(JobSummary) if field.name != "is_parked")

_NOT_GIVEN = ("shard_key", "scheduled_for", "delay", "expires_after", "on_conflict")
GIVEN_TYPES: Mapping[str, str] = {
    name: "integer" if kind is int else "text"
    for name, kind in get_type_hints(NewJob).items()
    if name not in _NOT_GIVEN
}
"""The columns that the caller of an insert gives, except for its times, and their types in SQL."""

NEW_COLUMNS = ", ".join((*GIVEN_TYPES, "scheduled_for", "start_before", "status", "created_at", "updated_at"))


def new_values(given: Callable[[str], str], *, due: str, expires_after: str, status: str = "'pending'") -> str:
    """Return the SQL of the values for `NEW_COLUMNS`. `given` returns the expression of a given column.

    `due`, `expires_after` and `status` are expressions too.
    """
    return ", ".join((*map(given, GIVEN_TYPES), due, f"{due} + {expires_after}", status, "{now}", "{now}"))
