"""Protections of the SQL statements, and how they are taken away in a process that is started to fail."""

from __future__ import annotations

from collections.abc import Sequence

from server_jobs.stores import postgres_statements, statements

from tests.sabotage import altered

_IN_POSTGRESQL = "\n   AND jobs.fencing_token = items.by_id -> jobs.id ->> 'token'"
FENCE = (
    ("SETTLE", " AND jobs.fencing_token = outcome.token", _IN_POSTGRESQL),
    (
        "COMPLETE",
        " AND jobs.fencing_token = outcome.token",
        "\n   AND jobs.fencing_token = left(items.by_id ->> jobs.id, 32) || jobs.id",
    ),
    ("RENEW", " AND jobs.fencing_token = beat.token", _IN_POSTGRESQL),
)
"""Only the newest claim may write."""


def take_away(changes: Sequence[Sequence[str]]) -> None:
    """Remove fragments from statements, in this process and for good: their name, and what it is in each dialect."""
    for name, *fragments in changes:
        for dialect, fragment in zip((statements, postgres_statements), fragments, strict=True):
            for place, text in altered(dialect, name, fragment):
                setattr(dialect, place, text)
