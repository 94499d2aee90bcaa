"""What a database has is not known where two branches changed the same thing: it depends on which one ran last.

Each revision of views and schedules states a result, whatever was there before it. So only a view or a schedule that
revisions of two heads touch, and leave differently, is open; the revision that joins the heads states it once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

from sqlalchemy import Connection

from .history import SCHEDULES, Revision, ancestors
from .replay import replayed
from .schedule_rows import ScheduleRow
from .views.objects import DIALECTS
from .views.sql_object import Key, SqlObject
from .views.stored import stored_objects, touched_objects

Stored = Callable[[Connection], Mapping[str, ScheduleRow]]
"""Read the schedules of a database."""

_ROW_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def unsettled_rows(history: Sequence[Revision], tips: Sequence[Revision], stored: Stored) -> set[str]:
    """Return the ids of the schedules that are open, if `history` has several heads (`tips`)."""
    if len(tips) < 2:
        return set()
    left = {tip.id: _rows_of(ancestors(history, [tip.id]), stored) for tip in tips}
    return {
        row
        for one, other in permutations(tips, 2)
        for row in _touched_rows(_only(history, one, other)) & _touched_rows(_only(history, other, one))
        if left[one.id].get(row) != left[other.id].get(row)
    }


def unsettled_objects(history: Sequence[Revision], tips: Sequence[Revision]) -> dict[str, set[Key]]:
    """Return the views, indexes and functions that are open, by dialect."""
    if len(tips) < 2:
        return {}
    found: dict[str, set[Key]] = {dialect: set() for dialect in DIALECTS}
    left = {tip.id: stored_objects(ancestors(history, [tip.id])) for tip in tips}
    for one, other in permutations(tips, 2):
        touched = [touched_objects(_only(history, *pair)) for pair in ((one, other), (other, one))]
        for dialect in DIALECTS:
            ours, theirs = (_by_key(left[tip.id][dialect]) for tip in (one, other))
            both = touched[0][dialect] & touched[1][dialect]
            found[dialect] |= {key for key in both if ours.get(key) != theirs.get(key)}
    return found


def _only(history: Sequence[Revision], one: Revision, other: Revision) -> Iterator[Revision]:
    """The revisions that lead to one head and not to the other."""
    shared = {revision.id for revision in ancestors(history, [other.id])}
    return (revision for revision in ancestors(history, [one.id]) if revision.id not in shared)


def _rows_of(history: Sequence[Revision], stored: Stored) -> Mapping[str, ScheduleRow]:
    with replayed(history) as connection:
        return stored(connection)


def _touched_rows(revisions: Iterator[Revision]) -> set[str]:
    """The ids that stand in revisions of schedules. One inside of params does no harm."""
    return {row for one in revisions if one.label == SCHEDULES for row in _ROW_ID.findall(one.text)}


def _by_key(objects: Sequence[SqlObject]) -> dict[Key, SqlObject]:
    return {one.key: one for one in objects}
