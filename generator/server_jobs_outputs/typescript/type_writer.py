"""The TypeScript type of a schema. It accepts every valid value, and little more.

Keywords without a TypeScript equivalent (lengths, patterns, `not`, `if`) or unknown to this module make the type wider,
at worst `unknown`; never narrower, and never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.json_schema import DEFINITIONS, Schema

from .text import comment, literal, literal_type, member

OBJECT = "object"
UNKNOWN = "unknown"
NEVER = "never"

_ALL_OF = ("allOf", "anyOf", "oneOf")
_CONDITIONAL = ("if", "then", "else", "dependentSchemas")
_APPLICATORS = frozenset({*_ALL_OF, "$ref", "dependentSchemas", "if"})
_OTHERS = frozenset({"additionalProperties", "unevaluatedProperties"})
_OF_ANY_NAME = _OTHERS | {"patternProperties"}
_OF_OBJECTS = frozenset({"properties", "patternProperties", "additionalProperties", "required", *_CONDITIONAL})
_SIMPLE: Mapping[str, str] = {
    "boolean": "boolean",
    "integer": "number",
    "null": "null",
    "number": "number",
    "string": "string",
}
_STEP = "  "


def documentation(schema: JsonValue | Schema, about: Sequence[str] = ()) -> list[str]:
    """Return the comment of a schema: its description (or else `about`), its default, and whether it is deprecated."""
    if not isinstance(schema, Mapping):
        return list(about)
    description = schema.get("description")
    lines = [description] if isinstance(description, str) else list(about)
    if "default" in schema:
        lines.append(f"Left out: {literal(schema['default'])}.")
    return [*lines, "@deprecated"] if schema.get("deprecated") is True else lines


@dataclass(slots=True)
class TypeWriter:
    """Writes the types of one part of a job; `names` are the names of its definitions."""

    definitions: Schema
    names: Mapping[str, str]
    _endless: frozenset[str] = field(init=False)
    _open: dict[str, bool] = field(init=False, default_factory=dict[str, bool])

    def __post_init__(self) -> None:
        self._endless = frozenset(name for name in self.definitions if self._reaches(name))

    def declare(self, name: str, schema: JsonValue | Schema, about: Sequence[str] = ()) -> str:
        """Return the declaration of a type under a name."""
        return f"{comment(documentation(schema, about))}export type {name} = {self.of(schema)};\n"

    def declare_definitions(self) -> Iterator[str]:
        """Yield the declarations of all definitions, in their order."""
        for name, schema in self.definitions.items():
            # TypeScript rejects a definition that consists only of itself.
            yield self.declare(self.names[name], True if name in self._endless else schema)

    def of(
        self, schema: JsonValue | Schema, indent: str = "", *, is_closed: bool = False, kinds: JsonValue = None
    ) -> str:
        """Return the type of a schema, formatted for a line with that indentation.

        `is_closed` says that an outer schema of the same value rejects properties that no schema declares. `kinds` are
        the types that an outer schema states. In both cases the properties are written out.
        """
        if schema is False:
            return NEVER
        if not isinstance(schema, Mapping):
            return UNKNOWN
        is_closed = is_closed or schema.get("unevaluatedProperties") is False
        kinds = (self._kinds(schema) or kinds) if is_closed else None
        if kinds and not _OF_OBJECTS.isdisjoint(schema):
            schema = {"type": kinds, **schema}
        parts = [self._own(schema, indent, is_closed), self._referenced(schema, indent, is_closed, kinds)]
        for key in _ALL_OF:
            branches = schema.get(key)
            if isinstance(branches, list) and branches:
                types = [self.of(branch, indent, is_closed=is_closed, kinds=kinds) for branch in branches]
                parts.append(intersection(types) if key == "allOf" else union(types))
        return intersection(parts)

    def _own(self, schema: Schema, indent: str, is_closed: bool) -> str:
        """Return the type of the schema's own keywords, except keywords that combine other schemas."""
        if "const" in schema:
            return literal_type(schema["const"])
        options = schema.get("enum")
        if isinstance(options, list):
            return union([literal_type(option) for option in options])
        kinds = schema.get("type")
        if isinstance(kinds, str):
            kinds = [kinds]
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            return UNKNOWN
        return union([self._of_kind(str(kind), schema, indent, is_closed) for kind in kinds])

    def _of_kind(self, kind: str, schema: Schema, indent: str, is_closed: bool) -> str:
        match kind:
            case "array":
                return self._array(schema, indent)
            case "object":
                return self._object(schema, indent, is_closed)
            case _:
                return _SIMPLE.get(kind, UNKNOWN)

    def _array(self, schema: Schema, indent: str) -> str:
        items = schema.get("items", True)
        prefix = schema.get("prefixItems")
        if not isinstance(prefix, list) or not prefix:
            return array_of(UNKNOWN if isinstance(items, list) else self.of(items, indent))
        least = schema.get("minItems", 0)
        needed = least if isinstance(least, int) else 0
        types = [_element(self.of(part, indent), needed=number < needed) for number, part in enumerate(prefix)]
        rest = [] if items is False else [f"...{array_of(self.of(items, indent))}"]
        return f"[{', '.join([*types, *rest])}]"

    def _object(self, schema: Schema, indent: str, is_closed: bool) -> str:
        properties, required = schema.get("properties"), schema.get("required")
        members = dict(properties) if isinstance(properties, dict) else {}
        needed = {name: None for name in required if isinstance(name, str)} if isinstance(required, list) else {}
        inside = indent + _STEP
        types = {name: self.of(part, inside) for name, part in members.items()}
        conditional = [*self._conditional(schema)] if is_closed and "additionalProperties" not in schema else []
        types |= {name: UNKNOWN for part in conditional for name in _properties(part) if name not in types}
        undeclared = union([self.of(part, inside) for part in _undeclared(schema, is_closed, conditional)])
        # A required property without a declaration here may be declared by another schema of the same value.
        elsewhere = undeclared if "additionalProperties" in schema or not is_closed else UNKNOWN
        types |= {name: elsewhere for name in needed if name not in types}
        lines: list[str] = []
        for name, type_ in types.items():
            lines.append(comment(documentation(members.get(name)), inside))
            lines.append(f"{inside}{member(name)}{'' if name in needed else '?'}: {type_};\n")
        if undeclared != NEVER:
            others = union([undeclared, *_index_types(types, needed)])
            lines.append(f"{inside}[key: string]: {others};\n")
        if lines:
            return f"{{\n{''.join(lines)}{indent}}}"
        return OBJECT if _is_part(schema, is_closed) else "Record<string, never>"

    def _conditional(self, schema: Schema) -> Iterator[Schema]:
        """Yield schemas that apply only under a condition, which TypeScript cannot express, and their parts."""
        seen: set[str] = set()
        for branch in _conditional_branches(schema):
            yield from self._in_place(branch, seen)

    def _in_place(self, schema: JsonValue | Schema, seen: set[str]) -> Iterator[Schema]:
        if not isinstance(schema, Mapping):
            return
        yield schema
        reference = schema.get("$ref")
        name = reference.removeprefix(DEFINITIONS) if isinstance(reference, str) else None
        if name is not None and name not in seen:
            seen.add(name)
            yield from self._in_place(self.definitions.get(name), seen)
        for branch in (*_branches(schema), *_conditional_branches(schema)):
            yield from self._in_place(branch, seen)

    def _kinds(self, schema: JsonValue | Schema) -> JsonValue:
        """Return the types that a schema states, or the types of a schema that always applies to the same value."""
        if not isinstance(schema, Mapping):
            return None
        if "type" in schema:
            return schema["type"]
        reference, parts = schema.get("$ref"), schema.get("allOf")
        name = reference.removeprefix(DEFINITIONS) if isinstance(reference, str) else None
        target = None if name in self._endless or name is None else self.definitions.get(name)
        applied = [target, *(parts if isinstance(parts, list) else ())]
        return next((kinds for part in applied if (kinds := self._kinds(part))), None)

    def _referenced(self, schema: Schema, indent: str, is_closed: bool, kinds: JsonValue) -> str:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return UNKNOWN
        name = reference.removeprefix(DEFINITIONS)
        # The definition alone allows any property. Inside a closed object it does not, so it is written out.
        if is_closed and name not in self._endless and self._is_open(name):
            return self.of(self.definitions[name], indent, is_closed=True, kinds=kinds)
        return self.names.get(name, UNKNOWN)

    def _is_open(self, name: str) -> bool:
        """Return whether a definition leaves undeclared properties to other schemas of the same object."""
        if name not in self._open:
            self._open[name] = False
            self._open[name] = self._leaves_open(self.definitions.get(name, False))
        return self._open[name]

    def _leaves_open(self, schema: JsonValue | Schema) -> bool:
        if not isinstance(schema, Mapping) or schema.get("unevaluatedProperties") is False:
            return False
        if "type" not in schema and not _OF_OBJECTS.isdisjoint(schema):
            return True
        if "object" in str(schema.get("type")) and _OTHERS.isdisjoint(schema):
            return True
        reference = schema.get("$ref")
        if isinstance(reference, str) and self._is_open(reference.removeprefix(DEFINITIONS)):
            return True
        return any(map(self._leaves_open, _branches(schema)))

    def _reaches(self, start: str) -> bool:
        """Return whether a definition contains itself with no property or element in between."""
        seen: set[str] = set()
        pending = [start]
        while pending:
            for name in _directly_in(self.definitions[pending.pop()]):
                if name == start:
                    return True
                if name in self.definitions and name not in seen:
                    seen.add(name)
                    pending.append(name)
        return False


def union(types: Sequence[str]) -> str:
    """Return a union of these types."""
    return _joined(types, " | ", swallows=UNKNOWN, vanishes=NEVER)


def intersection(types: Sequence[str]) -> str:
    """Return an intersection of these types, without `object` applied a type that implies it."""
    said = [type_ for type_ in types if type_ not in (OBJECT, UNKNOWN)]
    types = said if said or OBJECT not in types else [OBJECT]
    return _joined(types, " & ", swallows=NEVER, vanishes=UNKNOWN)


def array_of(type_: str) -> str:
    """Return the type of a list of any length."""
    return f"{_single(type_)}[]"


class _Joined(str):
    """Types joined by an operator, in parentheses where another operator would bind first."""

    __slots__ = ()


def _joined(types: Sequence[str], sign: str, *, swallows: str, vanishes: str) -> str:
    different = [type_ for type_ in dict.fromkeys(types) if type_ != vanishes]
    if swallows in different:
        return swallows
    if len(different) < 2:
        return different[0] if different else vanishes
    return _Joined(sign.join(map(_single, different)))


def _single(type_: str) -> str:
    return f"({type_})" if isinstance(type_, _Joined) else type_


def _element(type_: str, *, needed: bool) -> str:
    return type_ if needed else f"{_single(type_)}?"


def _undeclared(schema: Schema, is_closed: bool, conditional: Sequence[Schema]) -> list[JsonValue]:
    """Return the schemas of properties that have no name in this schema; each such property fits one of them."""
    patterns, additional = schema.get("patternProperties"), schema.get("additionalProperties")
    if additional is None:
        unevaluated = schema.get("unevaluatedProperties", not is_closed)
        if unevaluated is False:
            # A TypeScript type for names by pattern also limits properties that other parts of the object declare.
            additional = any(map(_takes_any_name, conditional)) or (bool(patterns) and _is_part(schema, is_closed))
        else:
            # Other schemas of the same value may declare further names.
            additional = unevaluated if _APPLICATORS.isdisjoint(schema) else True
    return [*(patterns.values() if isinstance(patterns, dict) else ()), additional]


def _is_part(schema: Schema, is_closed: bool) -> bool:
    """Return whether other schemas of the same closed object may declare properties too."""
    is_whole = "unevaluatedProperties" in schema and _APPLICATORS.isdisjoint(schema)
    return is_closed and not is_whole and "additionalProperties" not in schema


def _properties(schema: Schema) -> Iterable[str]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else ()


def _index_types(types: Mapping[str, str], needed: Mapping[str, None]) -> list[str]:
    """Return the types that declared properties need, because an index signature applies to them too."""
    return [*types.values(), *(["undefined"] if any(name not in needed for name in types) else [])]


def _directly_in(schema: JsonValue | Schema) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield reference.removeprefix(DEFINITIONS)
    for branch in _branches(schema):
        yield from _directly_in(branch)


def _conditional_branches(schema: Schema) -> Iterator[JsonValue]:
    yield from (schema.get(key) for key in _CONDITIONAL if key != "dependentSchemas")
    dependent = schema.get("dependentSchemas")
    yield from dependent.values() if isinstance(dependent, dict) else ()


def _takes_any_name(schema: Schema) -> bool:
    return any(schema.get(key, False) is not False for key in _OF_ANY_NAME)


def _branches(schema: Schema) -> Iterator[JsonValue]:
    for key in _ALL_OF:
        branches = schema.get(key)
        yield from branches if isinstance(branches, list) else ()
