"""The revision that makes views, indexes and functions as they should be, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from ...python.code import WIDTH, Code, text_block
from ...python.template import render
from ..history import VIEWS, Revision
from ..revision_head import number_after, revision_head
from .objects import DIALECTS, Objects
from .sql_object import Key, changes


def views_revision(
    parents: Sequence[Revision],
    title: str,
    before: Objects,
    wanted: Objects,
    unsettled: Mapping[str, Set[Key]],
) -> Revision | None:
    """Return the revision that follows these; None when nothing has to change."""
    directions = {"UPGRADE": (before, wanted), "DOWNGRADE": (wanted, before)}
    lists = [
        (
            Code(f"{direction}_{dialect.upper()}"),
            [*map(text_block, changes(old[dialect], new[dialect], unsettled.get(dialect, frozenset())))],
        )
        for direction, (old, new) in directions.items()
        for dialect in DIALECTS
    ]
    if not any(statements for _, statements in lists):
        return None
    is_wide = any(
        len(line) > WIDTH
        for _, statements in lists
        for statement in statements
        for line in f"    {statement},".splitlines()
    )
    text = render("revision_views.py.jinja", **revision_head(parents, title), lists=lists, is_wide=is_wide)
    return Revision.of(number_after(parents), VIEWS, text)
