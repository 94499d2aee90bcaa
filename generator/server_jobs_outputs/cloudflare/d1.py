"""The migrations for D1, from those for SQLite."""

from __future__ import annotations

import re

# The table, and the name that Alembic gives its copy when it rebuilds the table.
_JOBS = re.compile(r"\s*CREATE TABLE (_alembic_tmp_)?jobs\b")
_VIEW = re.compile(r"\s*CREATE VIEW (\w+)")
_DROP = re.compile(r"\s*DROP VIEW (?!IF EXISTS )")
# Each column of a view starts on a new line: see `declared_state`.
_COLUMN = re.compile(r"(?:\bSELECT|,)\n    (?=\S)")
_MOST_COLUMNS, _MOST_BYTES = 100, 100_000  # https://developers.cloudflare.com/d1/platform/limits/


def for_d1(statement: str) -> str:
    """Create the table of jobs without row numbers: D1 charges for each written row, and row numbers need another
    index.

    Leave out views that exceed D1's limits.
    """
    if _JOBS.match(statement):
        return f"{statement.rstrip()} WITHOUT ROWID"
    if match := _VIEW.match(statement):
        count = len(_COLUMN.findall(statement))
        if count > _MOST_COLUMNS or len(statement.encode()) > _MOST_BYTES:
            return f"-- D1 has no {match[1]}: of {count} columns, or {len(statement):,} characters, it takes fewer"
    return statement.replace("DROP VIEW ", "DROP VIEW IF EXISTS ", 1) if _DROP.match(statement) else statement
