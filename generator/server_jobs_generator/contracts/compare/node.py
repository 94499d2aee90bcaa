"""A place in a bundled schema, its target after references, and a text of its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from pydantic import JsonValue
from server_jobs.contract.values import canonical, fingerprint, path_of

from ...lint.params_pointers import schemas_below
from ...read.document import Pointer
from ...read.keywords import PYTHON_NAME, applied_schemas
from ..contract import DOCUMENTATION, ONE_SCHEMA, SCHEMA_LIST, SCHEMA_MAP

ANNOTATIONS = DOCUMENTATION | {"default", "$defs", "$schema", PYTHON_NAME}
"""Keywords that restrict no value."""

_SPLIT = ("$ref", "allOf", "anyOf", "oneOf")
_UNORDERED = frozenset({"allOf", "anyOf", "enum", "oneOf", "required", "type"})
_MOST_PARTS = 20_000
_DEEPEST = 200
_NOTHING: Mapping[Pointer, int] = {}

_MOST_NODES = 1_000


class Root(dict[str, JsonValue]):
    """A whole bundled schema. `shapes` caches definitions that mean the same wherever they are referenced."""

    __slots__ = ("shapes",)

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        super().__init__(schema)
        self.shapes: dict[tuple[Pointer, frozenset[str]], str] = {}


@dataclass(frozen=True, slots=True)
class Node:
    """`schema` is the value at `pointer` in `root`, without parts that were split off."""

    root: Root
    pointer: Pointer
    schema: JsonValue

    @classmethod
    def top(cls, schema: Mapping[str, JsonValue]) -> Node:
        """Return the top of a bundled schema."""
        root = Root(schema)
        return cls(root, (), root)

    @property
    def members(self) -> Mapping[str, JsonValue]:
        """Return the keywords; none for `true` and `false`."""
        return self.schema if isinstance(self.schema, dict) else {}

    def has(self, *keywords: str) -> bool:
        """Return whether the node has any of the keywords."""
        return any(keyword in self.members for keyword in keywords)

    def child(self, *tokens: str | int) -> Node:
        """Return the child node, which must exist."""
        value = self.schema
        for token in tokens:
            value = value[token]  # type: ignore[index]  # the caller has seen it
        return Node(self.root, (*self.pointer, *tokens), value)

    def stated(self, keyword: str) -> Node:
        """Return the schema under a keyword, or the schema that an absent keyword stands for."""
        return self.child(keyword) if self.has(keyword) else Node(self.root, (*self.pointer, keyword), True)

    def resolved(self) -> Node:
        """Follow plain references. Return the node itself if one is broken."""
        node, seen = self, {self.pointer}
        while (target := node.target()) is not None and not (node.members.keys() - ANNOTATIONS - {"$ref"}):
            if target.pointer in seen:
                return node
            seen.add(target.pointer)
            node = target
        return node

    def target(self) -> Node | None:
        """Return the target of the node's `$ref`; None if there is none, or if it is broken."""
        reference = self.members.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        value: JsonValue = self.root
        tokens = tuple(path_of(reference))
        for token in tokens:
            if not isinstance(value, dict) or token not in value:
                return None
            value = value[token]
        return Node(self.root, tokens, value)

    def conjuncts(self, depth: int = 0) -> list[Node]:
        """Return the parts of a schema that a value must all fit: each is one `anyOf` or `oneOf`, or has neither."""
        node = self.resolved()
        if depth > 32 or not node.has(*_SPLIT):
            return [node]
        rest = {key: value for key, value in node.members.items() if key not in _SPLIT}
        parts = [replace(node, schema=rest)] if rest.keys() - ANNOTATIONS else []
        if node.has("$ref"):
            target = node.target()
            parts += (
                [replace(node, schema={"$ref": node.members["$ref"]})]
                if target is None
                else target.conjuncts(depth + 1)
            )
        for branch in node.branches("allOf"):
            parts += branch.conjuncts(depth + 1)
        parts += [replace(node, schema={key: node.members[key]}) for key in ("anyOf", "oneOf") if node.has(key)]
        stated = [part for part in parts if part.schema is False or part.members.keys() - ANNOTATIONS]
        return stated or [replace(node, schema=True)]

    def branches(self, keyword: str) -> list[Node]:
        """Return the schemas in the list under a keyword."""
        listed = self.members.get(keyword)
        return [self.child(keyword, index) for index in range(len(listed))] if isinstance(listed, list) else []

    def entries(self, keyword: str) -> dict[str, Node]:
        """Return the schemas in the object under a keyword, by their keys."""
        named = self.members.get(keyword)
        return {name: self.child(keyword, name) for name in named} if isinstance(named, dict) else {}

    def texts(self, keyword: str) -> set[str]:
        """Return the strings in the list under a keyword."""
        listed = self.members.get(keyword)
        return {item for item in listed if isinstance(item, str)} if isinstance(listed, list) else set()

    def shape(self) -> str:
        """Return a text that is equal only for places with the same meaning, with references expanded.

        Includes defaults but no documentation. A schema that is too large gets a unique text.
        """
        return _Shape(DOCUMENTATION | {"$defs"}).of(self)

    def meaning(self) -> str:
        """Return the same text without defaults: equal for places that accept the same values."""
        return _Shape(DOCUMENTATION | {"$defs", "default"}).of(self)


@dataclass(slots=True)
class _Shape:
    """Writes the shape of one node. A reference to a definition that is being written becomes its distance upward.

    Finished parts are replaced by their hash, so a definition that is used twice takes no extra space. `reached` is the
    smallest depth of a definition that was referenced from below.
    """

    passed: frozenset[str]
    parts: int = 0
    reached: int = _DEEPEST

    def of(self, node: Node, depth: int = 0, above: Mapping[Pointer, int] = _NOTHING) -> str:
        self.parts += 1
        if self.parts > _MOST_PARTS or depth > _DEEPEST:
            self.reached = -1
            return canonical(["too large", fingerprint(node.root), list(node.pointer)])
        if not isinstance(node.schema, dict):
            return canonical(node.schema)
        target = node.target()
        passed = self.passed if target is None else self.passed | {"$ref"}
        stated = sorted(self._member(node, key, depth + 1, above) for key in node.members if key not in passed)
        if target is not None and not stated:
            return self._referenced(target, depth, above)
        if target is not None:
            stated.append(f"and {self._referenced(target, depth + 1, above)}")
        return sha256("\n".join(stated).encode()).hexdigest()

    def _referenced(self, target: Node, depth: int, above: Mapping[Pointer, int]) -> str:
        if target.pointer in above:
            self.reached = min(self.reached, above[target.pointer])
            return f"up {depth - above[target.pointer]}"
        key = (target.pointer, self.passed)
        if key in target.root.shapes:
            return target.root.shapes[key]
        outer, self.reached = self.reached, _DEEPEST
        shape = self.of(target, depth, {**above, target.pointer: depth})
        if self.reached >= depth:  # the text does not depend on the place of the reference
            target.root.shapes[key] = shape
        self.reached = min(outer, self.reached)
        return shape

    def _member(self, node: Node, key: str, depth: int, above: Mapping[Pointer, int]) -> str:
        value = node.members[key]
        if key in SCHEMA_MAP and isinstance(value, dict):
            inner = [f"{canonical(name)}:{self.of(node.child(key, name), depth, above)}" for name in sorted(value)]
        elif key in SCHEMA_LIST and isinstance(value, list):
            inner = [self.of(branch, depth, above) for branch in node.branches(key)]
        elif key in ONE_SCHEMA and isinstance(value, dict):
            inner = [self.of(node.child(key), depth, above)]
        elif key in _UNORDERED and isinstance(value, list):
            inner = [canonical(item) for item in value]
        else:
            inner = [canonical(value)]
        word = "enum" if key == "const" else key
        return f"{canonical(word)}:[{','.join(sorted(inner) if key in _UNORDERED else inner)}]"


def sees_others(conjuncts: Sequence[Node]) -> bool:
    """Return whether `unevaluatedItems` or `unevaluatedProperties` depends on more than the keywords compared with it.

    In one schema without others at the same place, `unevaluatedProperties` means the same as `additionalProperties`.
    """
    is_alone = len(conjuncts) == 1 and not conjuncts[0].has("unevaluatedItems", "if", "dependentSchemas")
    return not is_alone and any(node.has("unevaluatedItems", "unevaluatedProperties") for node in conjuncts)


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and every schema below it, without following references."""
    yield node
    for key, value in node.members.items():
        if key in SCHEMA_MAP and isinstance(value, dict):
            for inner in node.entries(key).values():
                yield from walk(inner)
        elif key in SCHEMA_LIST and isinstance(value, list):
            for inner in node.branches(key):
                yield from walk(inner)
        elif key in ONE_SCHEMA and isinstance(value, dict):
            yield from walk(node.child(key))


def leads_somewhere(node: Node, pointer: str) -> bool:
    """Return whether a value of the schema may have something at the pointer; True if that takes too long."""
    nodes = [node]
    for key in path_of(pointer):
        applied = _applied(nodes)
        if len(applied) > _MOST_NODES:
            return True
        nodes = [Node(each.root, (), below) for each in applied for below in schemas_below(each.schema, key)]
    return bool(nodes)


def _applied(nodes: list[Node]) -> list[Node]:
    """Return the schemas, and all others that apply to the same values."""
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
    yield from (Node(node.root, (), schema) for schema in applied_schemas(node.schema))
