"""Protections of the SQL statements, and their removal in a process that must then fail."""

from __future__ import annotations

from collections.abc import Sequence

from server_jobs.stores.sql.dialect import statements_of

from tests.sabotage import altered

_IN_POSTGRESQL = "\n   AND jobs.fencing_token = (SELECT by_id FROM items) -> jobs.id ->> 'token'"
FENCE = (
    ("SETTLE", " AND jobs.fencing_token = outcome.token", _IN_POSTGRESQL),
    (
        "COMPLETE",
        " AND jobs.fencing_token = outcome.token",
        "\n   AND jobs.fencing_token = left((SELECT by_id FROM items) ->> jobs.id, 32) || jobs.id",
    ),
    ("RENEW", " AND jobs.fencing_token = beat.token", _IN_POSTGRESQL),
)
"""Only the newest claim may write."""


def take_away(changes: Sequence[Sequence[str]]) -> None:
    """Remove or replace fragments of statements in this process.

    Each change has the name of the statement, the fragment in each dialect, and optionally its replacement in each.
    """
    for name, in_sqlite, in_postgresql, *instead in changes:
        fragments = zip(("sqlite", "postgresql"), (in_sqlite, in_postgresql), instead or ("", ""), strict=True)
        for dialect, fragment, replacement in fragments:
            of = statements_of(dialect)
            vars(of).update(altered(of, name, fragment, replacement))
