"""Which revisions a database has recorded, and where.

They stand in the table `server_jobs_version`. Earlier releases recorded them in `alembic_version`, where an
application's own Alembic keeps its revisions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..domain.table_names import VERSION_TABLE

__all__ = ["EARLIER_TABLE", "VERSION_TABLE", "Recorded", "recorded_in"]

EARLIER_TABLE = "alembic_version"

_PREFIX = "server_jobs_"
_OF_EARLIER_RELEASE = re.compile(r"server_jobs_\d{4}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recorded revisions of server-jobs, and the revisions of an application in `alembic_version`."""

    revisions: frozenset[str] = frozenset()
    of_application: frozenset[str] = frozenset()
    is_in_own_table: bool = False

    @property
    def is_adoptable(self) -> bool:
        """Whether an earlier release of `server-jobs migrate` recorded them in `alembic_version`, with no others."""
        are_earlier = all(_OF_EARLIER_RELEASE.fullmatch(revision) for revision in self.revisions)
        return bool(self.revisions) and are_earlier and not self.of_application and not self.is_in_own_table

    @property
    def is_run_by_application(self) -> bool:
        """Whether the Alembic of an application runs the revisions of server-jobs together with its own."""
        return bool(self.revisions) and not self.is_in_own_table and not self.is_adoptable


def recorded_in(own: frozenset[str], alembic: frozenset[str]) -> Recorded:
    """Return the meaning of the rows of `server_jobs_version`, or of `alembic_version` where the first has none."""
    if own:
        return Recorded(own, is_in_own_table=True)
    ours = frozenset(revision for revision in alembic if revision.startswith(_PREFIX))
    return Recorded(ours, alembic - ours)
