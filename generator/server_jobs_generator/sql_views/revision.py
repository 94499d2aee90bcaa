"""The revision that makes views, indexes and functions as they should be, and back."""

from __future__ import annotations

from ..history import VIEWS, Revision
from ..layout import WIDTH, Code, text_block
from ..render import render
from ..revision_head import revision_head
from .objects import DIALECTS, Objects
from .sql_object import changes


def views_revision(number: int, title: str, before: Objects, wanted: Objects) -> list[Revision]:
    """The revision with this number; none when nothing has to change."""
    directions = {"UPGRADE": (before, wanted), "DOWNGRADE": (wanted, before)}
    lists = [
        (Code(f"{direction}_{dialect.upper()}"), [*map(text_block, changes(old[dialect], new[dialect]))])
        for direction, (old, new) in directions.items()
        for dialect in DIALECTS
    ]
    if not any(statements for _, statements in lists):
        return []
    is_wide = any(
        len(line) > WIDTH
        for _, statements in lists
        for statement in statements
        for line in f"    {statement},".splitlines()
    )
    text = render("revision_views.py.jinja", **revision_head(number, title), lists=lists, is_wide=is_wide)
    return [Revision(number, VIEWS, text)]
