"""The columns of the table `jobs` that the caller of an insert gives.

a column              change
====================  =================================================================================
every column          `schema`, `JobRecord` in `domain.record`, and the fragment `job_columns`
if callers give it    `NewJob` in `domain.record`, `domain.enqueue_options`, `definition`, `enqueue.sql` of both,
                      `new_columns`, `templates/jobs.ts.jinja` of the generator; for HTTP `http.routes.enqueuing`
if a claim writes it  `claim`, `retry` and `_Changes` in `domain.lifecycle`, the claims, `START` and `put_back`;
                      `ClaimRequest` and `parameters.request_parameters`, if the worker gives the value
if handlers read it   `Claim` in `domain.record`, `claim_columns` and `PACKED_CLAIMED`, `rows`, `memory`
to filter by it       `JobFilter` in `domain.record`, `matches` in `domain.search`, `filter_parameters`, `matches` in
                      `common.sql` of both dialects; `http.routes.jobs`, `job_filter` of the commands
to show it            `inspection.job_document`, `http.openapi`, the command `show`,
                      `templates/jobs.ts.jinja`; for views `OWN_COLUMNS` of the generator
====================  =================================================================================
=======
A test compares the fragment of columns with the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_type_hints

from server_jobs.domain.record import NewJob

_NOT_GIVEN = ("shard_key", "scheduled_for", "delay", "expires_after", "on_conflict")
GIVEN_TYPES: Mapping[str, str] = {
    name: "integer" if kind is int else "text"
    for name, kind in get_type_hints(NewJob).items()
    if name not in _NOT_GIVEN
}
"""The columns that the caller of an insert gives, except for its times, and their types in SQL."""

NEW_COLUMNS = ", ".join((*GIVEN_TYPES, "scheduled_for", "start_before", "status", "created_at", "updated_at"))
"""The columns of an insert, as the fragment `new_columns`."""
