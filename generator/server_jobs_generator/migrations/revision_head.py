"""The head of a revision, alike in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..python.code import Code, lay_out, literal, tuple_of
from .history import Revision, draft_id


def number_after(parents: Sequence[Revision]) -> int:
    """Return the number of a revision that follows these."""
    return max((parent.number for parent in parents), default=0) + 1


def revision_head(parents: Sequence[Revision], title: str) -> dict[str, Code]:
    """Return what the templates of revisions need: the title, a draft of the id, and the revisions that it follows."""
    ids = [Code(parent.id) for parent in parents]
    return {
        "title": Code(title),
        "revision": Code(draft_id(number_after(parents))),
        "revises": Code(", ".join(ids) or "nothing"),
        "down_revision": _down_revision(ids),
        "branch_labels": Code("None") if ids else Code('("server_jobs",)'),
    }


def _down_revision(ids: Sequence[Code]) -> Code:
    if len(ids) > 1:
        return lay_out(tuple_of([literal(one) for one in ids]), 0, len("down_revision = "))
    return literal(ids[0]) if ids else Code("None")
