"""Changes between two objects: properties, required names, and other properties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...problems.problem import shown
from ..contract_rules import ChangeRule
from .change import BREAKS, RISKY, SAFE, Change, Verdict, marked, relaxed, tightened, unknown
from .node import Node
from .scalars import count_changes

if TYPE_CHECKING:
    from .compare_schemas import Comparison


def object_changes(comparison: Comparison, old: Node, new: Node, *, is_tolerant: bool) -> Iterator[Change]:
    """Yield the changes between two schemas of objects."""
    yield from count_changes(old, new, "minProperties", "maxProperties", "properties")
    was, now = _Side.of(old), _Side.of(new)
    if _pattern(old).meaning() != _pattern(new).meaning():
        yield unknown(old, new, marked("has other patternProperties", old, new))
        return
    if _pattern(old).members and was.properties.keys() != now.properties.keys():
        yield unknown(old, new, marked("has other properties beside patternProperties", old, new))
        return
    yield from _Objects(comparison, was, now, is_tolerant).changes()


def _pattern(node: Node) -> Node:
    return Node(node.root, node.pointer, {key: node.members[key] for key in ("patternProperties",) if node.has(key)})


@dataclass(frozen=True, slots=True)
class _Side:
    node: Node
    properties: dict[str, Node]
    required: set[str]
    others: Node

    @classmethod
    def of(cls, node: Node) -> _Side:
        # Beside `additionalProperties`, no property is unevaluated.
        is_stated = node.has("additionalProperties") or not node.has("unevaluatedProperties")
        others = node.stated("additionalProperties" if is_stated else "unevaluatedProperties")
        return cls(node, node.entries("properties"), node.texts("required"), others)

    @property
    def is_closed(self) -> bool:
        return self.others.schema is False


@dataclass(frozen=True, slots=True)
class _Objects:
    comparison: Comparison
    old: _Side
    new: _Side
    is_tolerant: bool

    def changes(self) -> Iterator[Change]:
        gone = [name for name in self.old.properties if name not in self.new.properties]
        come = [name for name in self.new.properties if name not in self.old.properties]
        for name in self.old.properties.keys() & self.new.properties.keys():
            one, other = self.old.properties[name], self.new.properties[name]
            yield from self.comparison.of(one, other, is_tolerant=self.is_tolerant)
        renamed = dict(self._renamed(gone, come))
        for name in gone:
            yield from self._removed(name) if name not in renamed else self._moved(name, renamed[name])
        for name in come:
            yield from self._added(name) if name not in renamed.values() else ()
        yield from self._required(gone, come)
        yield from self._others()

    def _required(self, gone: list[str], come: list[str]) -> Iterator[Change]:
        """Compare the required names that both sides declare, or neither."""
        for name in sorted(self.new.required - self.old.required - set(come)):
            if name not in gone:
                yield tightened(*self._places(name), f"{shown(name)} is required now", ChangeRule.REQUIRED_ADDED)
        for name in sorted(self.old.required - self.new.required - set(gone)):
            if name not in come:
                yield relaxed(*self._places(name), f"{shown(name)} is no longer required", ChangeRule.REQUIRED_REMOVED)

    def _added(self, name: str) -> Iterator[Change]:
        new = self.new.properties[name]
        forward = self._verdict_of_stranger(name, new, self.old)
        is_required, was_required = name in self.new.required, name in self.old.required
        if is_required and not was_required:
            rule = ChangeRule.REQUIRED_ADDED_DEFAULT if new.has("default") else ChangeRule.REQUIRED_ADDED
            message = f"the required property {shown(name)} was added"
            yield self._change(rule, name, BREAKS, forward, message)
        elif self.old.is_closed and not was_required:
            message = f"the optional property {shown(name)} was added"
            yield self._change(ChangeRule.PROP_ADDED_OPTIONAL, name, SAFE, forward, message)
        else:
            fits = self.comparison.covers(self.old.others, new)
            forward = BREAKS if was_required and not is_required else forward
            message = f"{shown(name)} was added to an object that could hold it already, as anything"
            yield self._change(ChangeRule.PROP_ADDED_TO_OPEN, name, SAFE if fits else BREAKS, forward, message)

    def _removed(self, name: str) -> Iterator[Change]:
        old = self.old.properties[name]
        backward = self._verdict_of_stranger(name, old, self.new)
        if name in self.old.required and name not in self.new.required:
            message = f"the required property {shown(name)} was removed"
            yield self._change(ChangeRule.PROP_REMOVED_REQUIRED, name, backward, BREAKS, message)
            return
        fits = self.new.is_closed or self.comparison.covers(self.new.others, old)
        backward = BREAKS if name in self.new.required and name not in self.old.required else backward
        message = f"the optional property {shown(name)} was removed"
        yield self._change(ChangeRule.PROP_REMOVED_OPTIONAL, name, backward, SAFE if fits else BREAKS, message)

    def _moved(self, name: str, to: str) -> Iterator[Change]:
        """Report a renamed property: readers use the new name, rows have the old one."""
        old, new = self.old.properties[name], self.new.properties[to]
        message = f"{shown(name)} is called {shown(to)} now; rows have it under the old name"
        yield Change(
            rule=ChangeRule.PROP_RENAMED,
            old=old.pointer,
            new=new.pointer,
            backward=BREAKS,
            forward=BREAKS,
            message=message,
        )

    def _renamed(self, gone: list[str], come: list[str]) -> Iterator[tuple[str, str]]:
        """Yield pairs of a removed and an added name with the same shape, if the pairing is unambiguous."""
        for name in gone:
            shape = self.old.properties[name].shape()
            alike = [other for other in come if self.new.properties[other].shape() == shape]
            rivals = [other for other in gone if self.old.properties[other].shape() == shape]
            if not self.comparison.may_be_renamed(name):
                continue
            is_same = len(alike) == len(rivals) == 1 and (name in self.old.required) == (alike[0] in self.new.required)
            if is_same:
                yield name, alike[0]

    def _verdict_of_stranger(self, name: str, written: Node, reader: _Side) -> Verdict:
        """Return how a reader handles a property that it does not declare."""
        if reader.is_closed:
            return SAFE if self.is_tolerant and name not in reader.required else BREAKS
        return SAFE if self.comparison.covers(written, reader.others) else BREAKS

    def _others(self) -> Iterator[Change]:
        old, new = self.old.others, self.new.others
        if self.old.is_closed == self.new.is_closed:
            yield from self.comparison.of(old, new, is_tolerant=self.is_tolerant) if not self.new.is_closed else ()
        elif self.new.is_closed:
            message = "no longer takes other properties: readers ignore them in rows"
            yield Change(
                rule=ChangeRule.EXTRA_CLOSED,
                old=old.pointer,
                new=new.pointer,
                backward=self._verdict_of_dropping(self.new),
                forward=SAFE,
                message=message,
            )
        else:
            message = "takes other properties now, which an older reader passes over"
            yield Change(
                rule=ChangeRule.EXTRA_OPENED,
                old=old.pointer,
                new=new.pointer,
                backward=SAFE,
                forward=self._verdict_of_dropping(self.old),
                message=message,
            )

    def _verdict_of_dropping(self, reader: _Side) -> Verdict:
        """Return how a closed reader handles any properties that it does not declare. It may require one of them."""
        return RISKY if self.is_tolerant and reader.required <= reader.properties.keys() else BREAKS

    def _change(self, rule: ChangeRule, name: str, backward: Verdict, forward: Verdict, message: str) -> Change:
        old, new = self._places(name)
        return Change(rule=rule, old=old.pointer, new=new.pointer, backward=backward, forward=forward, message=message)

    def _places(self, name: str) -> tuple[Node, Node]:
        """Return the places that describe a property on both sides: its schema, or else the object."""
        return self.old.properties.get(name, self.old.node), self.new.properties.get(name, self.new.node)
