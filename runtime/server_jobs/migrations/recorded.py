"""Recorded revisions of a database.

`server-jobs migrate` records them in the table `server_jobs_version`. The Alembic of an application that runs them
together with its own revisions records both in `alembic_version`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.table_names import VERSION_TABLE

__all__ = ["APPLICATION_TABLE", "VERSION_TABLE", "Recorded", "recorded_in"]

APPLICATION_TABLE = "alembic_version"

_PREFIX = "server_jobs_"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded revisions of server-jobs, and the revisions of an application in `alembic_version`."""

    revisions: frozenset[str] = frozenset()
    of_application: frozenset[str] = frozenset()
    is_run_by_application: bool = False


def recorded_in(own: frozenset[str], alembic: frozenset[str]) -> Recorded:
    """Return the meaning of the rows of `server_jobs_version`, or of `alembic_version` if the first is empty."""
    if own:
        return Recorded(own)
    ours = frozenset(revision for revision in alembic if revision.startswith(_PREFIX))
    return Recorded(ours, alembic - ours, is_run_by_application=bool(ours))
