"""The columns that every view has: what the table says about a job, whatever its spec says."""

from __future__ import annotations

from collections.abc import Mapping

OWN_COLUMNS: Mapping[str, str] = {
    name: name
    for name in (
        *("id", "status", "progress", "progress_message", "error", "attempt_count", "max_attempts"),
        *("queue", "priority", "correlation_id", "created_at", "scheduled_for"),
    )
} | {
    "worker_started_at": "started_at",
    "completed_at": "completed_at",
    "updated_at": "updated_at",
    "spec_version": "version",
}
"""The columns of the table and what they are called in a view."""

TIMES = frozenset({"created_at", "scheduled_for", "worker_started_at", "completed_at", "updated_at"})
