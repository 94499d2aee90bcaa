"""A schema as the alternatives it allows: one JSON type each, so that `type` lists, enums and unions compare alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from pydantic import JsonValue
from server_jobs.contract.values import canonical

from ...read.keywords import TYPES
from .node import ANNOTATIONS, Node

OPAQUE = "opaque"
"""The kind of what is not one plain schema: it can only be compared as a whole."""

_DEEPEST = 16
_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True, eq=False)  # no slots: what is asked of each again and again is found once
class Alternative:
    """Values of one JSON type that the keywords of `node` allow; `values` are all there are, None for no such list."""

    kind: str
    node: Node
    values: tuple[JsonValue, ...] | None
    in_union: bool

    @cached_property
    def texts(self) -> frozenset[str] | None:
        """The values as canonical JSON."""
        return None if self.values is None else frozenset(map(canonical, self.values))

    @property
    def takes_any_integer(self) -> bool:
        """Whether it takes whole numbers that no double-precision number holds, as `number` alone does not."""
        kinds = self.node.members.get("type", "integer")
        return kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds)

    @cached_property
    def identity(self) -> str:
        """Equal for alternatives that mean the same."""
        return canonical([self.kind, self.node.meaning(), sorted(self.texts or ()), self.values is None])

    @cached_property
    def tags(self) -> Mapping[str, frozenset[str]]:
        """The required properties that have only certain values, and those: what tells branches of a union apart."""
        required = self.node.texts("required") if self.kind == "object" else set()
        found = {
            name: _listed(child.resolved())
            for name, child in self.node.entries("properties").items()
            if name in required
        }
        return {name: values for name, values in found.items() if values}


def alternatives(node: Node, *, in_union: bool = False, depth: int = 0) -> list[Alternative]:
    """The alternatives of a node, those of nested unions included."""
    conjuncts = node.conjuncts()
    (only, *others) = conjuncts
    if only.schema is False and not others:
        return []
    keyword = next((word for word in ("anyOf", "oneOf") if only.has(word)), None)
    allowed = only.members.keys() if keyword is None else ANNOTATIONS | {keyword}
    if others or depth > _DEEPEST or only.has("$ref", "allOf") or only.members.keys() - allowed:
        return [Alternative(OPAQUE, node, None, in_union)]
    if keyword is None:
        return _plain(only, in_union=in_union)
    inner = [alternatives(branch, in_union=True, depth=depth + 1) for branch in only.branches(keyword)]
    found = [alternative for each in inner for alternative in each]
    return found if keyword == "anyOf" or are_disjoint(found) else [Alternative(OPAQUE, node, None, in_union)]


def are_disjoint(found: Sequence[Alternative]) -> bool:
    """Whether no value can fit two of the alternatives, as far as that is plain."""
    return all(_exclude_each_other(one, other) for one, other in combinations(found, 2))


def _plain(node: Node, *, in_union: bool) -> list[Alternative]:
    values = _options(node)
    found: list[Alternative] = []
    for kind in _kinds(node):
        if values is None:
            found.append(Alternative(kind, node, None, in_union))
        elif fitting := tuple(value for value in values if _is_of(value, kind)):
            found.append(Alternative(kind, node, fitting, in_union))
    return found


def _kinds(node: Node) -> list[str]:
    stated = node.members.get("type", list(TYPES))
    kinds = [kind for kind in TYPES if kind == stated or (isinstance(stated, list) and kind in stated)]
    return [kind for kind in kinds if kind != "integer" or "number" not in kinds]


def _options(node: Node) -> list[JsonValue] | None:
    """The values of `const` and `enum` together; None where neither stands."""
    values = node.members.get("enum")
    options = list(values) if isinstance(values, list) else None
    if node.has("const"):
        const = canonical(node.members["const"])
        return [node.members["const"]] if options is None else [value for value in options if canonical(value) == const]
    return options


def _is_of(value: JsonValue, kind: str) -> bool:
    if kind == "integer":
        return _KINDS[type(value)] == kind or (isinstance(value, float) and value.is_integer())
    return _KINDS[type(value)] in (("integer", "number") if kind == "number" else (kind,))


def _listed(node: Node) -> frozenset[str]:
    return frozenset(map(canonical, _options(node) or ()))


def _exclude_each_other(one: Alternative, other: Alternative) -> bool:
    if OPAQUE in (one.kind, other.kind):
        return False
    if one.kind != other.kind:
        return {one.kind, other.kind} != {"integer", "number"}
    if one.texts is not None and other.texts is not None and one.kind not in ("integer", "number"):
        return not one.texts & other.texts
    theirs = other.tags
    return any(not values & theirs[name] for name, values in one.tags.items() if name in theirs)
