"""Split a schema into types, which a model enforces exactly, and a rest, which is checked in addition.

The typed form is an equivalent JSON Schema. Each of its schemas has only keywords that types enforce in full, and an
optional `allOf` with one schema, the rest. Types may allow more than the schema; the rest then covers the difference,
and repeats other keywords if that is simpler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor

from pydantic import JsonValue
from server_jobs.contract.schemas.json_equality import kind_of, rounded, whole
from server_jobs.contract.schemas.text_formats import FORMATS

from ..python.names import python_names
from ..read.keywords import ANNOTATIONS, Schema, types_of
from .branches import Branches
from .typed_form import MAX_LEVELS, cut_circles, is_class, referenced_name, rest_of

_ANNOTATIONS = (ANNOTATIONS | {"$anchor", "$id"}) - {"$defs"}
_TEXT_FORMATS = FORMATS.keys() - {"date", "date-time", "uuid", "ipv4", "ipv6"}
"""Formats that stay texts in Python, so that limits of texts apply to their type."""
_OPEN: Schema = {"type": "object", "additionalProperties": True}

_DESCRIBES_OBJECTS = frozenset({"properties", "additionalProperties", "patternProperties"})
_STATES_TYPES = frozenset({"type", "const", "enum"})

_COUNTS = ("minProperties", "maxProperties")
_MOST_INHERITED = 2_000

Parts = dict[str, JsonValue]

_IGNORED = ANNOTATIONS | {"type", "$id", "$anchor"}
_PLAIN = frozenset({"properties", "required"})


@dataclass(slots=True)
class TypedSchemas:
    """Splits schemas, and the definitions that they share, into types and a rest.

    `stated` has the definitions, and `definitions` their typed forms.
    """

    stated: Mapping[str, JsonValue]
    definitions: dict[str, JsonValue] = field(init=False)
    branches: Branches = field(init=False)
    _inheriting: list[list[Parts]] = field(default_factory=list[list[Parts]])
    _inherited_count: int = 0
    _nulls: dict[str, bool] = field(default_factory=dict[str, bool])

    def __post_init__(self) -> None:
        self.branches = Branches(self._target)
        self.definitions = {name: self.typed(schema) for name, schema in self.stated.items()}
        cut_circles(self.definitions)

    def typed(self, schema: JsonValue) -> JsonValue:
        """Return the typed form of a schema."""
        if not isinstance(schema, dict):
            return True if schema is True else {"allOf": [schema]}
        said, keywords = _apart(schema)
        types, rest = self._split(keywords)
        if any(key.startswith("unevaluated") for key in schema):
            # Only a check of the whole schema knows the evaluated parts.
            rest = keywords
        return {**types, **said, **({"allOf": [rest]} if rest else {})}

    def part(self, schema: Schema) -> Parts:
        """Return the typed form of params or a result, which become a class: an object, or a union of several.

        They are always objects, so the type of a schema without one is known.
        """
        if schema.keys() & _DESCRIBES_OBJECTS and not schema.keys() & _STATES_TYPES:
            schema = {"type": "object", **schema}
        if (union := root_union(dict(schema), self.branches)) is not None:
            said, keywords = _apart(schema)
            checks: Parts = {} if union.is_exact else {"allOf": [keywords]}
            return {"anyOf": [self.typed(branch) for branch in union.branches], **said, **checks}
        typed = self.typed(dict(schema))
        while isinstance(typed, dict) and (name := referenced_name(typed)) is not None:
            target = self.definitions[name]
            rest = [one for one in (rest_of(target), rest_of(typed)) if one is not True]
            types = {key: value for key, value in target.items() if key != "allOf"} if isinstance(target, dict) else {}
            said = {key: value for key, value in typed.items() if key in _ANNOTATIONS}
            joined: JsonValue = {"allOf": rest} if len(rest) > 1 else rest[0] if rest else True
            typed = {**types, **said, **({"allOf": [joined]} if rest else {})}
        if not isinstance(typed, dict):
            raise TypeError("params and result are objects; the lint lets only objects pass")
        if "object" not in types_of(typed):
            said, keywords = _apart(schema)
            return {**_OPEN, **said, "allOf": [{"type": "object", **keywords}]}
        if not is_class(typed):
            # A class does not enforce these limits.
            limits: Parts = {key: typed[key] for key in _COUNTS if key in typed}
            checks = _joined(limits, rest_of(typed))
            typed = {**_without(typed, *_COUNTS, "allOf"), **({"allOf": [checks]} if checks else {})}
        # Params and results are objects, so drop any other type that the schema allows.
        return {**typed, "type": "object"}

    def _target(self, schema: JsonValue) -> JsonValue:
        seen = 0
        while (name := referenced_name(schema)) is not None and seen < len(self.stated):
            schema, seen = self.stated[name], seen + 1
        return schema

    def _split(self, said: Parts) -> tuple[Parts, Parts]:
        """Split a schema without annotations into types and rest."""
        if "const" in said:
            return _choices([said["const"]], said, "const")
        if isinstance(options := said.get("enum"), list):
            return _choices(options, said, "enum")
        if types_of(said):
            circle = self._circle(said)
            return self._split_types(said) if circle is None else ({"$ref": circle}, said)
        if "$ref" in said:
            return {"$ref": said["$ref"]}, _without(said, "$ref")
        for key in ("anyOf", "oneOf"):
            if isinstance(branches := said.get(key), list):
                return self._split_branches(key, branches, said)
        if isinstance(branches := said.get("allOf"), list):
            return self._split_all(branches, said)
        return {}, said

    def _split_branches(self, key: str, branches: list[JsonValue], said: Parts) -> tuple[Parts, Parts]:
        typed = [self.typed(branch) for branch in branches if branch is not False]
        is_exact = key == "anyOf" or self.branches.exclude_each_other(branches)
        rest = _without(said, key) if is_exact else said
        if not typed:
            return {}, said
        if all(map(self._is_null, branches)):
            # The code generator would read several nulls as any type.
            return {"type": "null"}, said
        if len(typed) > 1:
            return {key if is_exact else "anyOf": typed}, rest
        types, inner = _opened(typed[0])
        return types, _joined(rest, inner)

    def _is_null(self, schema: JsonValue) -> bool:
        """Return whether the schema allows only null, or nothing."""
        if not isinstance(schema, dict):
            return schema is False
        options = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(options, list):
            return options == [None]
        if types_of(schema):
            return types_of(schema) == ("null",)
        if (name := referenced_name(schema)) is not None:
            if name not in self._nulls:
                self._nulls[name] = False  # a schema that leads back to itself is not null
                self._nulls[name] = self._is_null(self.stated[name])
            return self._nulls[name]
        for key, holds in (("anyOf", all), ("oneOf", all), ("allOf", any)):
            if isinstance(branches := schema.get(key), list) and holds(map(self._is_null, branches)):
                return True
        return False

    def _split_all(self, branches: list[JsonValue], said: Parts) -> tuple[Parts, Parts]:
        """Return the types of the first branch that has some. The other branches are checked."""
        for index, branch in enumerate(branches):
            types, inner = _opened(self.typed(branch))
            if types:
                others = [*branches[:index], *branches[index + 1 :]]
                rest = {**_without(said, "allOf"), **({"allOf": others} if others else {})}
                return types, _joined(rest, inner)
        return {}, said

    def _split_types(self, said: Parts) -> tuple[Parts, Parts]:
        types: Parts = {"type": said["type"]}
        rest = _without(said, "type")
        for kind in types_of(said):
            match kind:
                case "string":
                    _split_text(rest, types)
                case "integer":
                    _split_integer(rest, types)
                case "number":
                    _split_number(rest, types)
                case "array":
                    self._split_array(rest, types)
                case "object":
                    self._split_object(rest, types)
                case _:
                    pass
        return types, rest

    def _split_array(self, rest: Parts, types: Parts) -> None:
        _take_counts(rest, types, "minItems", "maxItems")
        if rest.get("uniqueItems") is False:
            del rest["uniqueItems"]
        prefix, items = rest.get("prefixItems"), rest.get("items", True)
        if isinstance(prefix, list):
            length = len(prefix)
            is_closed = items is False or types.get("maxItems") == length
            if is_closed and types.get("minItems") == length and types.get("maxItems", length) == length:
                types |= {"prefixItems": [self.typed(item) for item in prefix], "items": False}
                rest.pop("items", None)
                del rest["prefixItems"]
            else:
                types["items"] = True
        elif items is False:
            types["items"] = True
        else:
            types["items"] = self.typed(items)
            rest.pop("items", None)

    def _split_object(self, rest: Parts, types: Parts) -> None:
        properties, required = rest.pop("properties", {}), rest.pop("required", [])
        extras = rest.pop("additionalProperties", True)
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise TypeError("an object has not passed the lint")
        kept = {name: properties[name] for name in python_names(properties) if properties[name] is not False}
        others = {name: schema for name, schema in properties.items() if name not in kept}
        # Other schemas may describe the same object's properties, unless this schema describes all further properties.
        bases = self._bases(rest) if extras is True else []
        named = {name: self.typed(schema) for name, schema in kept.items()} | self._of_bases(bases, properties)
        needed = [*required, *_inherited_required(bases)]
        if "patternProperties" in rest or any(schema is not False or extras is not False for schema in others.values()):
            # The other schemas' types are left open, and the rest has to know them.
            rest["properties"] = {**dict.fromkeys(kept, True), **others}
            if extras is not True:
                rest["additionalProperties"] = extras
            types["additionalProperties"] = True
        else:
            types["additionalProperties"] = extras if extras is False else self.typed(extras)
        types |= {"properties": named} if named else {}
        types |= {"required": [name for name in dict.fromkeys(needed) if name in named]} if named else {}
        if missing := [name for name in required if name not in named]:
            rest["required"] = missing
        if not is_class(types):
            _take_counts(rest, types, "minProperties", "maxProperties")

    def _bases(self, rest: Parts) -> list[Parts]:
        """Return the schemas that `allOf` and `$ref` apply to the same object; none if they form a circle."""
        if len(self._inheriting) > MAX_LEVELS or self._inherited_count > _MOST_INHERITED:
            return []
        targets = [self._target(base) for base in _applied(rest)]
        return [target for target in targets if isinstance(target, dict)]

    def _of_bases(self, bases: list[Parts], own: Parts) -> Parts:
        """Return the typed forms of properties that only the bases describe."""
        self._inheriting.append(bases)
        found = _inherited(bases, own)
        self._inherited_count += len(found)
        typed: Parts = {name: self.typed(schema) for name, schema in found.items()}
        self._inheriting.pop()
        return typed

    def _circle(self, said: Parts) -> str | None:
        """Return a reference of an object to a base that contains it; its properties recur in the outer object."""
        if not self._inheriting or "object" not in types_of(said) or said.get("additionalProperties", True) is not True:
            return None
        for base in _applied(said):
            target, reference = self._target(base), base.get("$ref") if isinstance(base, dict) else None
            if isinstance(reference, str) and any(target is one for bases in self._inheriting for one in bases):
                return reference
        return None


def _apart(schema: Schema) -> tuple[Parts, Parts]:
    """Return the annotations of a schema, and its other keywords."""
    said = {key: value for key, value in schema.items() if key in _ANNOTATIONS}
    return said, {key: value for key, value in schema.items() if key not in _ANNOTATIONS and key != "$defs"}


def _applied(said: Parts) -> list[JsonValue]:
    """Return the schemas that `allOf` and `$ref` apply to the same value."""
    branches = said.get("allOf")
    return [*(branches if isinstance(branches, list) else []), *([{"$ref": said["$ref"]}] if "$ref" in said else [])]


def _inherited(bases: list[Parts], own: Parts) -> Parts:
    """Return the properties that only the bases describe. They become attributes; the rest checks them."""
    found: Parts = {}
    for base in bases:
        properties = base.get("properties")
        if isinstance(properties, dict):
            names = [name for name in python_names({**own, **found, **properties}) if name not in {**own, **found}]
            found |= {name: properties[name] for name in names if properties[name] is not False}
    return found


def _inherited_required(bases: list[Parts]) -> list[str]:
    stated = [base.get("required") for base in bases]
    return [name for names in stated if isinstance(names, list) for name in names if isinstance(name, str)]


def _without(said: Parts, *keys: str) -> Parts:
    return {key: value for key, value in said.items() if key not in keys}


def _opened(typed: JsonValue) -> tuple[Parts, JsonValue]:
    """Return the types of a typed schema, without annotations, and its rest."""
    said = typed if isinstance(typed, dict) else {}
    return {key: value for key, value in said.items() if key not in _ANNOTATIONS and key != "allOf"}, rest_of(typed)


def _joined(rest: Parts, more: JsonValue) -> Parts:
    if more is True:
        return rest
    return {"allOf": [more, rest]} if rest else {"allOf": [more]}


def _choices(options: list[JsonValue], said: Parts, key: str) -> tuple[Parts, Parts]:
    kinds = frozenset({"number", *types_of(said)} if "number" in types_of(said) else types_of(said))
    fitting = [one for one in options if not kinds or kind_of(one) in kinds or ("number" in kinds and _is_number(one))]
    rest = _without(said, key, "type")
    if not fitting:
        return {}, said
    if said.get("format", "email") not in FORMATS and all(isinstance(one, str | None) for one in fitting):
        # A custom type.
        types: JsonValue = ["string", "null"] if None in fitting else "string"
        return {"type": types, "format": rest.pop("format")}, {**rest, "enum": fitting}
    if not any(isinstance(one, list | dict) or kind_of(one) == "number" for one in fitting):
        return {"enum": [whole(one) if isinstance(one, float) else one for one in fitting]}, rest
    rest[key] = fitting[0] if key == "const" else fitting
    if all(isinstance(one, dict) for one in fitting):
        return dict(_OPEN), rest
    if all(isinstance(one, list) for one in fitting):
        return {"type": "array", "items": True}, rest
    return ({"type": "number"} if all(map(_is_number, fitting)) else {}), rest


def _is_number(value: JsonValue) -> bool:
    return kind_of(value) in ("integer", "number")


def _split_text(rest: Parts, types: Parts) -> None:
    if isinstance(rest.get("format"), str):
        types["format"] = rest.pop("format")
    if types.get("format", "email") in _TEXT_FORMATS:
        _take_counts(rest, types, "minLength", "maxLength")
        if "pattern" in rest:
            types["pattern"] = rest.pop("pattern")


def _split_integer(rest: Parts, types: Parts) -> None:
    rounding = {"minimum": ceil, "exclusiveMinimum": floor, "maximum": floor, "exclusiveMaximum": ceil}
    for key, round_ in rounding.items():
        if isinstance(bound := rest.get(key), int | float):
            types[key] = rounded(bound, round_)
            del rest[key]
    divisor = rest.get("multipleOf")
    if isinstance(divisor, int | float) and divisor == int(divisor):
        types["multipleOf"] = int(divisor)
        del rest["multipleOf"]


def _split_number(rest: Parts, types: Parts) -> None:
    for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        bound = rest.get(key)
        # Types store limits as doubles, whose shortest decimal is the limit.
        if isinstance(bound, float) or (isinstance(bound, int) and whole(float(bound)) == bound):
            types[key] = rest.pop(key)


def _take_counts(rest: Parts, types: Parts, *keys: str) -> None:
    for key in keys:
        if isinstance(count := rest.get(key), int | float):
            types[key] = int(count)
            del rest[key]


@dataclass(frozen=True, slots=True)
class RootUnion:
    """The schemas of the branches, each merged with the keywords beside the union.

    If `is_exact`, a value that fits a branch fits the whole; otherwise the whole must be checked too.
    """

    branches: list[JsonValue]
    is_exact: bool


def root_union(schema: Parts, branches: Branches) -> RootUnion | None:
    """Return the union at the top of an object's schema; None if one class describes it as well.

    One class suffices if the properties beside the union are complete and the branches only restrict them.
    """
    keys = [key for key in ("anyOf", "oneOf") if key in schema]
    stated = schema[keys[0]] if len(keys) == 1 else None
    own: Parts = {key: value for key, value in schema.items() if key not in _IGNORED and key not in keys}
    unevaluated = own.pop("unevaluatedProperties", True)
    is_open = isinstance(unevaluated, bool) and own.get("additionalProperties", True) is True
    if not isinstance(stated, list) or not is_open:
        return None
    possible = [branch for branch in stated if branch is not False]
    if len(possible) < 2 or not all(_is_described(branch, branches.follow) for branch in possible):
        return None
    opened = [_with(own, branch, branches.follow, is_closed=False) for branch in possible]
    is_exact = branches.exclude_each_other(opened)
    if unevaluated is False and keys[0] == "anyOf" and not is_exact:
        return None  # one object may have properties of several branches
    closed = [_with(own, branch, branches.follow, is_closed=unevaluated is False) for branch in possible]
    return RootUnion(closed, is_exact or keys[0] == "anyOf")


def _is_described(branch: JsonValue, follow: Callable[[JsonValue], JsonValue], level: int = 0) -> bool:
    """Return whether a branch, or each branch of a nested union, describes the properties of its objects."""
    target = follow(branch)
    if not isinstance(target, dict) or level > MAX_LEVELS:
        return False
    inner = target.get("anyOf", target.get("oneOf"))
    if isinstance(inner, list) and "properties" not in target:
        return all(_is_described(one, follow, level + 1) for one in inner)
    return isinstance(target.get("properties"), dict) or types_of(target) == ("object",)


def _with(own: Parts, branch: JsonValue, follow: Callable[[JsonValue], JsonValue], *, is_closed: bool) -> JsonValue:
    """Return the schema of objects that fit a branch and the keywords beside the union."""
    target = follow(branch)
    if not isinstance(target, dict):
        return branch
    if not own and not is_closed and types_of(target) == ("object",):
        return branch
    if not own and not is_closed and "properties" not in target:
        return branch  # the branch is a union itself
    merged = _merged(own, target)
    if merged is not None:
        return {**merged, "additionalProperties": False} if is_closed else merged
    parts: list[JsonValue] = [branch, *([{"type": "object", **own}] if own else [])]
    return {"type": "object", "allOf": parts, **({"unevaluatedProperties": False} if is_closed else {})}


def _merged(own: Parts, target: Parts) -> Parts | None:
    """Return one object with the properties of both; None if they say more, or both describe one property."""
    said = {key: value for key, value in target.items() if key not in _IGNORED}
    if not own.keys() | said.keys() <= _PLAIN:
        return None
    first, second = own.get("properties", {}), said.get("properties", {})
    if not isinstance(first, dict) or not isinstance(second, dict) or first.keys() & second.keys():
        return None
    required = [name for part in (own, said) if isinstance(names := part.get("required"), list) for name in names]
    annotations = {key: value for key, value in target.items() if key in ANNOTATIONS - {"$defs"}}
    properties: Parts = {**first, **second}
    merged: Parts = {"type": "object", **annotations, "properties": properties}
    return {**merged, "required": list(dict.fromkeys(map(str, required)))} if required else merged
