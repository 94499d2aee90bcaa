"""Compare two schemas, and find the directions in which each change breaks.

Keywords of one place are compared one by one: if each accepts what its old form accepted, all together do. Keywords
that cannot be compared must be equal; otherwise the change is unknown and never safe.

A reader of stored values ignores undeclared properties only if no other keyword sees them: in an object of plain
keywords, reached through plain keywords. Otherwise it rejects them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.json_schema import NO_RESULT
from server_jobs.contract.values import canonical

from ...problems.problem import shown
from ...read.document import Pointer
from ..contract_rules import ChangeRule
from .alternatives import OPAQUE, Alternative, Pairing, alternatives, pair
from .change import RISKY, SAFE, Change, marked, relaxed, tightened, unknown
from .node import ANNOTATIONS, Node, sees_others
from .objects import object_changes
from .scalars import count_changes, number_changes, text_changes, value_changes

_ANY = (("not",), ("if", "then", "else"))
_GROUPS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "string": (*_ANY, ("contentEncoding", "contentMediaType", "contentSchema")),
    "array": (*_ANY, ("contains", "minContains", "maxContains"), ("uniqueItems",)),
    "object": (*_ANY, ("propertyNames",), ("dependentRequired",), ("dependentSchemas",), ("dependencies",)),
}
"""Keywords compared as a group: adding one restricts, removing one relaxes, and the effect of a change is unknown."""

PLAIN_OBJECT = ANNOTATIONS | {"type", "properties", "required", "additionalProperties", "maxProperties"}
_LOOKED_INTO = PLAIN_OBJECT | {"items", "minItems", "maxItems"}
_PLAIN = _LOOKED_INTO | {"prefixItems"}
_SCALAR = frozenset(
    {
        *("minLength", "maxLength", "pattern", "format", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum", "const"),
    }
)
_GROUPED = {word for groups in _GROUPS.values() for group in groups for word in group}
_COMPARED = _PLAIN | _SCALAR | _GROUPED | {"minProperties", "patternProperties", "unevaluatedProperties"}
_Pair = tuple[int, Pointer, int, Pointer]


def compare(
    old: Mapping[str, JsonValue],
    new: Mapping[str, JsonValue],
    reserved: Collection[str] = (),
    renamed: Collection[str] | None = None,
) -> list[Change]:
    """Return every change between two bundled schemas. `NO_RESULT` stands for a result that is not there.

    A property in `reserved` was removed on purpose. Of the others, only those in `renamed` may have a new name, or any
    of them if `renamed` is None.
    """
    was, now = Node.top(old), Node.top(new)
    if (old == NO_RESULT) != (new == NO_RESULT):
        return [_first_result(was, now) if old == NO_RESULT else _last_result(was, now)]
    comparison = Comparison(frozenset(reserved), None if renamed is None else frozenset(renamed))
    try:
        changes = list(comparison.of(was, now, is_tolerant=True))
    except RecursionError:
        changes = [unknown(was, now, "is nested too deep to be compared, and changed")]
    return list(dict.fromkeys([*changes, *_renamed(was, now)]))


def _first_result(old: Node, new: Node) -> Change:
    """Return the change of a job that has a result now. Readers without one ignore what is stored."""
    message = "the job had no result, and has one now: completed jobs have none stored"
    return tightened(old, new, message, ChangeRule.RESULT_ADDED)


def _last_result(old: Node, new: Node) -> Change:
    return relaxed(old, new, "the job had a result, and has none now", ChangeRule.RESULT_REMOVED)


@dataclass(slots=True)
class Coverage:
    """Decides whether one schema accepts every value of another. A pair that recurs during the decision counts as
    accepted.

    `assumed` is set once a recurring pair was assumed. A positive answer that may depend on it is not cached.
    """

    known: dict[_Pair, bool] = field(default_factory=dict[_Pair, bool])
    open_pairs: set[_Pair] = field(default_factory=set[_Pair])
    assumed: bool = False

    def of(self, writer: Node, reader: Node) -> bool:
        """Return whether the reader certainly accepts every value of the writer."""
        pair = _pair(writer, reader)
        if pair in self.open_pairs:
            self.assumed = True
            return True
        if len(self.open_pairs) >= _MOST_OPEN:
            return False
        if pair not in self.known:
            outer, self.assumed = self.assumed, False
            self.open_pairs.add(pair)
            changes = Comparison(coverage=self).of(writer, reader, is_tolerant=False)
            covers = all(change.backward is SAFE for change in changes)
            self.open_pairs.remove(pair)
            if covers and self.assumed and self.open_pairs:
                return True
            self.known[pair] = covers
            self.assumed = outer
        return self.known[pair]


@dataclass(slots=True)
class Comparison:
    """Compares places pair by pair. `seen` has the current pairs; a pair that recurs counts as equal.

    A removed property in `reserved`, or one that `renamed` excludes, was not renamed.
    """

    reserved: frozenset[str] = frozenset()
    renamed: frozenset[str] | None = None
    seen: set[tuple[_Pair, bool]] = field(default_factory=set[tuple[_Pair, bool]])
    coverage: Coverage = field(default_factory=Coverage)

    def of(self, old: Node, new: Node, *, is_tolerant: bool) -> Iterator[Change]:
        """Yield the changes between two places. `is_tolerant` if a reader ignores undeclared properties there."""
        yield from _default_changes(old, new)
        if old.shape() == new.shape():
            return
        key = (_pair(old, new), is_tolerant)
        if key in self.seen:
            return
        self.seen.add(key)
        if any(sees_others(side.conjuncts()) for side in (old, new)):
            message = "is judged as a whole by unevaluatedProperties or unevaluatedItems, and changed"
            yield unknown(old, new, marked(message, old, new))
            return
        is_tolerant = is_tolerant and _is_looked_into(old) and _is_looked_into(new)
        yield from self._conjuncts(old.conjuncts(), new.conjuncts(), old, new, is_tolerant=is_tolerant)

    def covers(self, writer: Node, reader: Node) -> bool:
        """Return whether the reader certainly accepts every value of the writer, without ignoring any property."""
        return self.coverage.of(writer, reader)

    def may_be_renamed(self, name: str) -> bool:
        """Return whether a removed property may have a new name."""
        return name not in self.reserved and (self.renamed is None or name in self.renamed)

    def _conjuncts(
        self, olds: list[Node], news: list[Node], old: Node, new: Node, *, is_tolerant: bool
    ) -> Iterator[Change]:
        """Compare parts that must all hold. Equal parts are skipped; each new part is compared with an old one."""
        is_alone = len(olds) == len(news) == 1
        if not is_alone:
            lasting = {node.meaning() for node in olds} & {node.meaning() for node in news}
            olds = [node for node in olds if node.meaning() not in lasting]
            news = [node for node in news if node.meaning() not in lasting]
        if len(olds) == len(news):
            for one, other in zip(olds, news, strict=True):
                yield from self._part(one, other, is_tolerant=is_tolerant and is_alone)
        elif not olds:
            yield tightened(old, new, marked("has to fit one more schema", old, new))
        elif not news:
            yield relaxed(old, new, marked("has to fit one schema less", old, new))
        else:
            yield unknown(old, new, marked("is composed in another way", old, new))

    def _part(self, old: Node, new: Node, *, is_tolerant: bool) -> Iterator[Change]:
        olds, news = alternatives(old), alternatives(new)
        pairing = pair(olds, news)
        is_plain = is_tolerant and len(_non_null(olds)) == len(_non_null(news)) == 1
        for one, other in pairing.pairs:
            yield from self._kind(one, other, is_tolerant=is_plain)
        yield from _unpaired(pairing, old, new)

    def _kind(self, old: Alternative, new: Alternative, *, is_tolerant: bool) -> Iterator[Change]:
        yield from _group_changes(new.kind, old.node, new.node)
        yield from value_changes(old, new)
        inside = is_tolerant and not (old.node.members.keys() | new.node.members.keys()) - _LOOKED_INTO
        match new.kind:
            case "string":
                yield from text_changes(old.node, new.node)
            case "integer" | "number":
                yield from number_changes(old, new)
            case "array":
                yield from _array_changes(self, old.node, new.node, is_tolerant=inside)
            case "object":
                yield from object_changes(self, old.node, new.node, is_tolerant=inside)
            case _:
                pass


_MOST_OPEN = 8


def _pair(writer: Node, reader: Node) -> _Pair:
    return id(writer.root), writer.pointer, id(reader.root), reader.pointer


def _is_looked_into(node: Node, depth: int = 8) -> bool:
    """Return whether readers ignore undeclared properties there. Of composed schemas, only nullable ones qualify."""
    node = node.resolved()
    unions = [keyword for keyword in ("$ref", "allOf", "anyOf", "oneOf") if node.has(keyword)]
    if not unions:
        return True
    branches = [branch for branch in node.branches(unions[0]) if branch.schema != {"type": "null"}]
    is_nullable = unions in (["anyOf"], ["oneOf"]) and len(branches) == 1 and depth > 0
    return is_nullable and not node.members.keys() - ANNOTATIONS - {*unions} and _is_looked_into(branches[0], depth - 1)


def _default_changes(old: Node, new: Node) -> Iterator[Change]:
    was, now = (canonical(node.members["default"]) if node.has("default") else None for node in (old, new))
    if was is not None and was != now:
        rule = ChangeRule.DEFAULT_REMOVED if now is None else ChangeRule.DEFAULT_CHANGED
        message = f"had the default {was}, and now {now or 'none'}"
        verdict = RISKY if now is None else SAFE  # Python stores defaults, so a removed default changes no row
        yield Change(rule=rule, old=old.pointer, new=new.pointer, backward=verdict, forward=SAFE, message=message)


def _renamed(old: Node, new: Node) -> Iterator[Change]:
    """Yield the definitions with a new name and the same shape."""
    was, now = old.entries("$defs"), new.entries("$defs")
    come = {now[name].shape(): name for name in sorted(now.keys() - was.keys(), reverse=True)}
    for name in sorted(was.keys() - now.keys()):
        if (to := come.get(was[name].shape())) is not None:
            yield Change(
                rule=ChangeRule.REF_RENAMED,
                old=was[name].pointer,
                new=now[to].pointer,
                backward=SAFE,
                forward=SAFE,
                message=f"is called {shown(to)} now, and so may be its class",
            )


def _group_changes(kind: str, old: Node, new: Node) -> Iterator[Change]:
    for group in _GROUPS.get(kind, _ANY):
        was, now = (_only(node, group) for node in (old, new))
        if was.meaning() == now.meaning():
            continue
        words = ", ".join(word for word in group if was.has(word) or now.has(word))
        if not was.members:
            yield tightened(old, new, marked(f"{words} was added", was, now))
        elif not now.members:
            yield relaxed(old, new, marked(f"{words} was removed", was, now))
        else:
            yield unknown(old, new, marked(f"{words} changed", was, now))
    others = (old.members.keys() | new.members.keys()) - _COMPARED
    was, now = _only(old, others), _only(new, others)
    if was.meaning() != now.meaning():
        message = f"{', '.join(sorted(others))} changed, which is not understood here"
        yield unknown(old, new, marked(message, was, now))


def _only(node: Node, words: Iterable[str]) -> Node:
    stated = {word: node.members[word] for word in words if node.has(word)}
    return Node(node.root, node.pointer, {} if stated == {"uniqueItems": False} else stated)


def _non_null(found: list[Alternative]) -> list[Alternative]:
    return [alternative for alternative in found if alternative.kind != "null"]


def _unpaired(pairing: Pairing, old: Node, new: Node) -> Iterator[Change]:
    gone, come = _non_null(pairing.olds), _non_null(pairing.news)
    if len(pairing.olds) > len(gone):
        yield tightened(old, new, "is no longer nullable", ChangeRule.NULL_REMOVED)
    if len(pairing.news) > len(come):
        yield relaxed(old, new, "may be null now", ChangeRule.NULL_ADDED)
    unpaired = [*gone, *come]
    is_union = any(found.in_union for found in unpaired)
    was, now = _named(gone), _named(come)
    if gone and come:
        is_tag = all(found.kind == "object" for found in unpaired) and any(found.tags for found in unpaired)
        rule = (
            ChangeRule.UNION_TAG_CHANGED
            if is_tag
            else ChangeRule.UNKNOWN_CHANGE
            if OPAQUE in was + now
            else ChangeRule.TYPE_CHANGED
        )
        message = "tells its branches apart by other values" if is_tag else f"was {was}, and is {now} now"
        yield unknown(old, new, _marked(message, unpaired), rule)
    elif gone:
        rule = ChangeRule.UNION_REMOVED if is_union else ChangeRule.TYPE_NARROWED
        message = f"{'a branch' if is_union else 'a type'} was removed: {was}"
        yield tightened(old, new, _marked(message, unpaired), rule)
    elif come:
        rule = ChangeRule.UNION_ADDED if is_union else ChangeRule.TYPE_WIDENED
        message = f"{'a branch' if is_union else 'a type'} was added: {now}"
        yield relaxed(old, new, _marked(message, unpaired), rule)


def _marked(message: str, found: list[Alternative]) -> str:
    """Return the message, marked if an alternative is a branch or opaque. The name of a type needs no mark."""
    is_plain = not any(one.in_union or one.kind == OPAQUE for one in found)
    return message if is_plain else marked(message, *(one.node for one in found))


def _named(found: list[Alternative]) -> str:
    return ", ".join(sorted({alternative.kind for alternative in found}))


def _array_changes(comparison: Comparison, old: Node, new: Node, *, is_tolerant: bool) -> Iterator[Change]:
    """Yield the changes between two schemas of arrays."""
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
