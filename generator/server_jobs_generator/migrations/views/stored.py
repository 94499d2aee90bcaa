"""The views, indexes and functions that the revisions so far leave behind: told by the statements they run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..history import VIEWS, Revision
from ..replay import offline_statements
from .objects import DIALECTS, Objects
from .sql_object import VIEW, Key, SqlObject, after, touched


def stored_objects(history: Sequence[Revision]) -> Objects:
    """By dialect, what the revisions of views leave. Raises `ProjectError` when one cannot be run."""
    objects: Objects = dict.fromkeys(DIALECTS, ())
    for revision in history:
        if revision.label == VIEWS:
            made = offline_statements(revision, DIALECTS)
            objects = {dialect: after([*_created(objects[dialect]), *made[dialect]]) for dialect in DIALECTS}
    return objects


def touched_objects(revisions: Iterable[Revision]) -> dict[str, set[Key]]:
    """Return what these revisions create or drop, by dialect."""
    found: dict[str, set[Key]] = {dialect: set() for dialect in DIALECTS}
    for revision in revisions:
        if revision.label == VIEWS:
            for dialect, statements in offline_statements(revision, DIALECTS).items():
                found[dialect] |= {key for key in map(touched, statements) if key is not None}
    return found


def _created(objects: Sequence[SqlObject]) -> list[str]:
    return [one.create for one in objects]


def without_views(objects: Objects) -> Objects:
    """What may stay while the table of jobs changes. On SQLite its indexes go with the table that is replaced."""
    return {
        "sqlite": (),
        "postgresql": tuple(one for one in objects["postgresql"] if one.key[0] != VIEW),
    }
