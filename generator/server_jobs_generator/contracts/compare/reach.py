"""Where a pointer into the values of a schema leads: whether any value of it can have something there."""

from __future__ import annotations

from collections.abc import Iterator

from ...lint.params_pointers import schemas_below
from ...read.keywords import schemas_held_against
from .node import Node

_MOST_NODES = 1_000


def leads_somewhere(node: Node, pointer: str) -> bool:
    """Whether some value of the schema may have something at the pointer; also where that takes too long to tell."""
    nodes = [node]
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        applied = _applied(nodes)
        if len(applied) > _MOST_NODES:
            return True
        nodes = [Node(each.root, (), below) for each in applied for below in schemas_below(each.schema, key)]
    return bool(nodes)


def _applied(nodes: list[Node]) -> list[Node]:
    """The schemas, and all that the same values are held against."""
    found: dict[int, Node] = {}
    pending = list(nodes)
    while pending and len(found) <= _MOST_NODES:
        node = pending.pop()
        if id(node.schema) not in found:
            found[id(node.schema)] = node
            pending += _in_place(node)
    return list(found.values())


def _in_place(node: Node) -> Iterator[Node]:
    if (target := node.target()) is not None:
        yield target
    yield from (Node(node.root, (), schema) for schema in schemas_held_against(node.schema))
