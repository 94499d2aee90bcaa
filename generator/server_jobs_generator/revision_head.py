"""The head of a revision, alike in all of them."""

from __future__ import annotations

from .history import revision_id
from .layout import Code, literal


def revision_head(number: int, title: str) -> dict[str, Code]:
    """The values of the templates of revisions: what it does, what Alembic calls it, and what it comes after."""
    before = Code(revision_id(number - 1)) if number > 1 else None
    return {
        "title": Code(title),
        "revision": Code(revision_id(number)),
        "revises": before or Code("nothing"),
        "down_revision": literal(before) if before else Code("None"),
        "branch_labels": Code("None") if before else Code('("server_jobs",)'),
    }
