"""The views, indexes and functions that the revisions so far leave behind: told by the statements they run."""

from __future__ import annotations

from collections.abc import Sequence

from ..history import Revision
from ..replay import postgresql_statements, sqlite_statements
from .objects import Objects
from .sql_object import VIEW, after

LABEL = "views"


def stored_objects(history: Sequence[Revision]) -> Objects:
    """By dialect, what the revisions of views leave. Raises `ProjectError` when one cannot be run."""
    ours = [revision for revision in history if revision.label == LABEL]
    if not ours:
        return {"sqlite": (), "postgresql": ()}
    on_sqlite = sqlite_statements(history)
    return {
        "sqlite": after([sql for revision in ours for sql in on_sqlite[revision.number]]),
        "postgresql": after([sql for revision in ours for sql in postgresql_statements(revision)]),
    }


def without_views(objects: Objects) -> Objects:
    """What may stay while the table of jobs changes. On SQLite its indexes go with the table that is replaced."""
    return {
        "sqlite": (),
        "postgresql": tuple(one for one in objects["postgresql"] if one.key[0] != VIEW),
    }
