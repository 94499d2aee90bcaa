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
    """Remove or replace fragments of statements in this process.

    Each change has the name of the statement, the fragment in each dialect, and perhaps what replaces it in each.
    """
    for name, in_sqlite, in_postgresql, *instead in changes:
        fragments = zip((statements, postgres_statements), (in_sqlite, in_postgresql), instead or ("", ""), strict=True)
        for dialect, fragment, replacement in fragments:
            for place, text in altered(dialect, name, fragment, replacement):
                setattr(dialect, place, text)
