"""What changed between two lists: their items, by position or all alike, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..contract_rules import ChangeRule
from .change import Change, marked, unknown
from .node import Node
from .scalars import count_changes

if TYPE_CHECKING:
    from .compare_schemas import Comparison


def array_changes(comparison: Comparison, old: Node, new: Node, *, is_tolerant: bool) -> Iterator[Change]:
    """The changes between two schemas of arrays."""
    was, now = old.branches("prefixItems"), new.branches("prefixItems")
    items, others = old.stated("items"), new.stated("items")
    if len(was) != len(now) or (items.schema is False) != (others.schema is False):
        message = f"had {len(was)} items by position, and has {len(now)} now"
        yield unknown(old, new, marked(message, old, new), ChangeRule.TUPLE_CHANGED)
        return
    yield from count_changes(old, new, "minItems", "maxItems", "items")
    if isinstance(items.schema, list) or isinstance(others.schema, list):
        yield unknown(old, new, marked("has a list of items, as in older drafts, and changed", old, new))
        return
    for one, other in (*zip(was, now, strict=True), (items, others)):
        yield from comparison.of(one, other, is_tolerant=is_tolerant)
