"""A schema as a list of alternatives with one JSON type each, so that `type` lists, enums and unions compare alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

from pydantic import JsonValue
from server_jobs.contract.schemas.json_equality import key_of
from server_jobs.contract.values import canonical

from ...read.keywords import TYPES
from .node import ANNOTATIONS, Node, sees_others

OPAQUE = "opaque"
"""The kind of an alternative that can only be compared as a whole."""

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


@dataclass(frozen=True, eq=False)  # no slots, because its cached properties are used again and again
class Alternative:
    """The values of one JSON type that the keywords of `node` allow; `values` lists all of them, or is None."""

    kind: str
    node: Node
    values: tuple[JsonValue, ...] | None
    in_union: bool

    @cached_property
    def texts(self) -> frozenset[str] | None:
        """Return the values as canonical JSON."""
        return None if self.values is None else frozenset(map(canonical, self.values))

    @cached_property
    def keys(self) -> frozenset[Hashable] | None:
        """Return a key per value, equal for equal JSON values: `1` and `1.0` have the same one."""
        return None if self.values is None else frozenset(map(key_of, self.values))

    @property
    def takes_any_integer(self) -> bool:
        """Return whether it allows whole numbers that a double cannot represent, which `number` alone does not."""
        kinds = self.node.members.get("type", "integer")
        return kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds)

    @cached_property
    def identity(self) -> str:
        """Return a text that is equal for alternatives with the same meaning."""
        return canonical([self.kind, self.node.meaning(), sorted(self.texts or ()), self.values is None])

    @cached_property
    def tags(self) -> Mapping[str, frozenset[Hashable]]:
        """Return the required properties with a fixed set of values, which distinguish the branches of a union."""
        required = self.node.texts("required") if self.kind == "object" else set()
        found = {
            name: _listed(child.resolved())
            for name, child in self.node.entries("properties").items()
            if name in required
        }
        return {name: values for name, values in found.items() if values}


def alternatives(node: Node, *, in_union: bool = False, depth: int = 0) -> list[Alternative]:
    """Return the alternatives of a node, including alternatives of nested unions."""
    conjuncts = node.conjuncts()
    (only, *others) = conjuncts
    if only.schema is False and not others:
        return []
    keyword = next((word for word in ("anyOf", "oneOf") if only.has(word)), None)
    allowed = only.members.keys() if keyword is None else ANNOTATIONS | {keyword}
    is_whole = only.has("$ref", "allOf") or sees_others([only])
    if others or depth > _DEEPEST or is_whole or only.members.keys() - allowed:
        return [Alternative(OPAQUE, node, None, in_union)]
    if keyword is None:
        return _plain(only, in_union=in_union)
    inner = [alternatives(branch, in_union=True, depth=depth + 1) for branch in only.branches(keyword)]
    found = [alternative for each in inner for alternative in each]
    return found if keyword == "anyOf" or are_disjoint(found) else [Alternative(OPAQUE, node, None, in_union)]


def are_disjoint(found: Sequence[Alternative]) -> bool:
    """Return whether it is certain that no value fits two of the alternatives."""
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
    """Return the values of `const` and `enum` together; None if the node has neither."""
    values = node.members.get("enum")
    options = list(values) if isinstance(values, list) else None
    if node.has("const"):
        const = key_of(node.members["const"])
        return [node.members["const"]] if options is None else [value for value in options if key_of(value) == const]
    return options


def _is_of(value: JsonValue, kind: str) -> bool:
    if kind == "integer":
        return _KINDS[type(value)] == kind or (isinstance(value, float) and value.is_integer())
    return _KINDS[type(value)] in (("integer", "number") if kind == "number" else (kind,))


def _listed(node: Node) -> frozenset[Hashable]:
    return frozenset(map(key_of, _options(node) or ()))


def _exclude_each_other(one: Alternative, other: Alternative) -> bool:
    if OPAQUE in (one.kind, other.kind):
        return False
    if one.kind != other.kind:
        return {one.kind, other.kind} != {"integer", "number"}
    if one.keys is not None and other.keys is not None and one.kind not in ("integer", "number"):
        return not one.keys & other.keys
    theirs = other.tags
    return any(not values & theirs[name] for name, values in one.tags.items() if name in theirs)


@dataclass(slots=True)
class Pairing:
    """Matched alternatives; `olds` and `news` have no partner."""

    olds: list[Alternative]
    news: list[Alternative]
    pairs: list[tuple[Alternative, Alternative]] = field(default_factory=list[tuple[Alternative, Alternative]])

    def join(self, one: Alternative, other: Alternative) -> None:
        """Match two alternatives that have no partner."""
        self.olds.remove(one)
        self.news.remove(other)
        self.pairs.append((one, other))


def pair(olds: list[Alternative], news: list[Alternative]) -> Pairing:
    """Match equal alternatives, then equal tags, then equal types, then whole numbers with any numbers."""
    found = Pairing(list(olds), list(news))
    _join_equal(found)
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if _have_one_tag(one, other)])
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if _are_of_one_kind(one, other)])
    for one in tuple(found.olds):
        _join_first(found, one, [other for other in found.news if {one.kind, other.kind} == {"integer", "number"}])
    return found


def _join_equal(found: Pairing) -> None:
    """Match equal opaque alternatives and drop them. The parts of other alternatives may still differ in defaults."""
    for one in tuple(found.olds):
        identity = one.identity
        _join_first(found, one, [other for other in found.news if other.identity == identity])
    found.pairs = [(one, other) for one, other in found.pairs if one.kind != OPAQUE]


def _join_first(found: Pairing, one: Alternative, others: list[Alternative]) -> None:
    if others:
        found.join(one, others[0])


def _have_one_tag(one: Alternative, other: Alternative) -> bool:
    theirs = other.tags
    return any(theirs.get(name) == values for name, values in one.tags.items())


def _are_of_one_kind(one: Alternative, other: Alternative) -> bool:
    """Return whether two alternatives match by type. Tagged branches do not: another tag has another meaning."""
    are_tagged = one.in_union and other.in_union and bool(one.tags or other.tags)
    return one.kind == other.kind != OPAQUE and not are_tagged
