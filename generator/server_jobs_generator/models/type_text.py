"""The code of property types, for models and for the TypedDict that mirrors the JSON document, and of defaults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue
from server_jobs.contract.canonical_text import read_date_time, read_ipv6, read_uuid
from server_jobs.contract.schemas.json_equality import whole

from ..ir.typed_form import rest_of
from ..lint.meaning_lint import Fitting
from ..python.code import Alternatives, Code, Expression, Group, Text, call, lay_out, literal, tuple_of
from ..python.custom_types import CustomTypes
from ..read.document import Document
from ..read.keywords import Schema, types_of
from ..read.library import Library, Location
from .model_plan import (
    Checked,
    Choice,
    ClassPlan,
    Custom,
    Generic,
    Limited,
    ModelPlan,
    Named,
    Scalar,
    Type,
    Union,
    members_of,
)

_PARSERS: Mapping[str, tuple[str, str]] = {
    "date": ("date.fromisoformat", "date.fromisoformat"),
    "date-time": ("datetime.fromisoformat", "read_date_time"),
    "uuid": ("UUID", "read_uuid"),
    "ipv4": ("IPv4Address", "IPv4Address"),
    "ipv6": ("IPv6Address", "read_ipv6"),
}
"""Two parsers for each format: for texts that Python writes unchanged, and for texts that must be kept as written."""

_READ: Mapping[str, Callable[[str], object]] = {
    "date-time": read_date_time,
    "uuid": read_uuid,
    "ipv6": read_ipv6,
}

_FILE = "definitions"

_ANYTHING = "Any"
_IN_MODELS = {_ANYTHING: "Json", "float": "Number", "int": "Integer"}
# These marks follow the limits, and make one schema of type and limits.
_MARKS = {"float": "JsonNumber", "int": "JsonInteger"}
_ORDER = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")


DEFINITIONS = "DEFINITIONS"
"""The constant of a module with the definitions that its checks share."""


def refers(check: str) -> bool:
    """Return whether the JSON text of a check has references. One without may look as if it had."""
    return '"$ref"' in check


def _plain_value(value: JsonValue) -> Code:
    """Return the expression of a string, a number, a boolean or None."""
    match value:
        case str():
            return literal(value)
        case float():
            # The formatter writes exponents without a plus sign.
            return Code(repr(value).replace("e+", "e"))
        case _:
            return Code(repr(value))


def python_value(value: JsonValue | Mapping[str, JsonValue]) -> Expression:
    """Return a Python expression for a JSON value."""
    match value:
        case list():
            return Group("[", tuple(("", python_value(item)) for item in value), "]")
        case Mapping():
            return Group("{", tuple((f"{literal(key)}: ", python_value(inner)) for key, inner in value.items()), "}")
        case _:
            return _plain_value(value)


@dataclass(slots=True)
class DefaultValue:
    """A writer of defaults. It adds the names in its expressions to `uses`."""

    plan: ModelPlan
    uses: set[str]
    custom: CustomTypes
    fitting: Fitting = field(init=False)

    def __post_init__(self) -> None:
        definitions = Document(_FILE, "", {"$defs": dict(self.plan.definitions)})
        schemas = {Location(_FILE, ("$defs", name)) for name in self.plan.definitions}
        self.fitting = Fitting(Library({_FILE: definitions}, schemas))

    def of(self, schema: JsonValue, value: JsonValue) -> Expression:
        """Return the expression after the `=` of a property: the value, or a call that makes a new value each time."""
        expression = self._value(schema, value)
        # A plain None marks an omitted property, which is not stored.
        if isinstance(expression, Code | Text) and value is not None:
            return expression
        self.uses.add("fresh")
        if isinstance(expression, Group) and not expression.items:
            return call("fresh", Code("list" if expression.opening == "[" else "dict"))
        return call("fresh", _lambda(expression))

    def _value(self, schema: JsonValue, value: JsonValue) -> Expression:
        target = self._branch(self.plan.target(schema), value)
        if not isinstance(target, dict):
            return self._untyped(value)
        match value:
            case dict() if id(target) in self.plan.tokens:
                name = self.plan.classes[self.plan.tokens[id(target)]].name
                text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
                return call(f"{name}.model_validate_json", Text(text))
            case dict():
                values = target.get("additionalProperties", True)
                items = tuple((f"{literal(key)}: ", self._value(values, item)) for key, item in value.items())
                return Group("{", items, "}")
            case list():
                return self._list(target, value)
            case str():
                return self._text(target, value)
            case float() if value.is_integer() and _takes_only_integers(target):
                return _plain_value(whole(value))
            case _:
                return _plain_value(value)

    def _branch(self, schema: JsonValue, value: JsonValue) -> JsonValue:
        branches = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None
        if not isinstance(branches, list):
            return schema
        # The lint limits the steps of a whole file. Here the same limit applies to each value.
        self.fitting.start_file()
        fitting = next(branch for branch in branches if not self.fitting.violations(branch, _FILE, value))
        return self._branch(self.plan.target(fitting), value)

    def _list(self, schema: Schema, value: list[JsonValue]) -> Expression:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list):
            return tuple_of([self._value(*pair) for pair in zip(prefix, value, strict=True)])
        items = schema.get("items", True)
        return Group("[", tuple(("", self._value(items, item)) for item in value), "]")

    def _text(self, schema: Schema, value: str) -> Expression:
        name = str(schema.get("format"))
        if name in self.custom.class_of:
            self.uses.add(self.custom.class_of[name])
            return call(self.custom.class_of[name], literal(value))
        if name not in _PARSERS:
            return Text(value)
        keeps_its_own = hasattr(_READ.get(name, str)(value), "text")
        parser = _PARSERS[name][keeps_its_own]
        self.uses.add(parser.partition(".")[0])
        return call(parser, literal(value))

    def _untyped(self, value: JsonValue) -> Expression:
        """Return the expression of a value of the schema `true`."""
        match value:
            case dict():
                return Group("{", tuple((f"{literal(key)}: ", self._untyped(item)) for key, item in value.items()), "}")
            case list():
                return Group("[", tuple(("", self._untyped(item)) for item in value), "]")
            case _:
                return _plain_value(value)


def _takes_only_integers(schema: Schema) -> bool:
    """Return whether numbers of a typed schema are always `int` in Python. An `enum` contains no other numbers."""
    return "enum" in schema or "integer" in types_of(schema)


def _lambda(value: Expression) -> Expression:
    match value:
        case Group(opening=opening):
            return replace(value, opening=f"lambda: {opening}")
        case _:
            return Code(f"lambda: {value}")


@dataclass(slots=True)
class TypeText:
    """A writer of types. It adds the names in their code to `uses`."""

    plan: ModelPlan
    uses: set[str]

    def in_model(self, one: Type, **arguments: Expression) -> Expression:
        """Return the annotation of a property, with extra arguments for its `Field`."""
        if isinstance(one, Checked):
            return self._checked(one, arguments)
        inner, limits = (one.type, one.limits) if isinstance(one, Limited) else (one, ())
        arguments |= {key: _argument(value) for key, value in sorted(limits, key=lambda limit: _ORDER.index(limit[0]))}
        if tag := self._tag(inner):
            arguments["discriminator"] = literal(tag)
        metadata: list[Expression] = []
        if isinstance(inner, Custom):
            values = [tuple_of([Text(value) for value in inner.values])] if inner.values else []
            metadata.append(call(self.used("CustomType"), Code(inner.name), Text(inner.format), *values))
        if isinstance(inner, Choice) and any(isinstance(value, int) for value in inner.values):
            metadata.append(call(self.used("Exact")))
        if arguments:
            metadata.append(call(self.used("Field"), **arguments))
        if limits and isinstance(inner, Named) and inner.name in _MARKS:
            metadata.append(call(self.used(_MARKS[inner.name])))
            return self._generic("Annotated", [Code(inner.name), *metadata])
        if isinstance(inner, Generic) and inner.name == "tuple":
            metadata.append(call(self.used("JsonTuple")))
        return self._generic("Annotated", [self._bare(inner), *metadata]) if metadata else self._bare(inner)

    def omittable(self, one: Type, **arguments: Expression) -> Expression:
        """Return the annotation of a property that may be omitted but never null."""
        omittable = self._generic("Omittable", [self.in_model(one)])
        if not arguments:
            return omittable
        return self._generic("Annotated", [omittable, call(self.used("Field"), **arguments)])

    def of_key(self, one: Type, *, is_required: bool, is_quoted: bool = False) -> Expression:
        """Return the type of a key in a TypedDict, in quotes if Python evaluates it before its classes exist."""
        text = self.in_document(one)
        text = literal(flat(text)) if is_quoted else text
        return text if is_required else self._generic("NotRequired", [text])

    def in_document(self, one: Type) -> Expression:
        """Return the type of the JSON value."""
        match one:
            case Limited(inner, _) | Checked(inner, _):
                return self.in_document(inner)
            case Choice(values):
                return self._generic("Literal", map(_plain_value, values))
            case Union(members):
                return self._union(map(self.in_document, members))
            case Generic("tuple", arguments):
                return self._generic("list", [self._union(map(self.in_document, arguments))])
            case Generic(name, arguments):
                return self._generic(name, map(self.in_document, arguments))
            case Named(name) if name in self.plan.classes:
                return Code(f"{self.plan.classes[name].name}Dict")
            case Custom():
                return Code("str")
            case Named(name) if name == _ANYTHING:
                return Code(self.used("JsonValue"))
            case Named(name):
                return Code(name if name in ("int", "float", "bool", "None") else "str")

    def used(self, name: str) -> str:
        """Return the name, and add it to `uses`, so that the module imports it."""
        self.uses.add(name)
        return name

    def is_nullable(self, one: Type) -> bool:
        """Return whether the type accepts null."""
        match one:
            case Checked(inner, schema):
                return self.is_nullable(inner) and self.plan.checker(schema).fits(None)
            case Limited(inner, _):
                return self.is_nullable(inner)
            case Union(members):
                return any(map(self.is_nullable, members))
            case Choice(values):
                return None in values
            case Generic() | Custom():
                return False
            case Named(name):
                return name in ("None", _ANYTHING)

    def _checked(self, one: Checked, arguments: dict[str, Expression]) -> Expression:
        shared = [Code(DEFINITIONS)] if self.plan.shared and refers(one.schema) else []
        inner, check = self.in_model(one.type, **arguments), call(self.used("Checked"), Text(one.schema), *shared)
        if isinstance(inner, Group) and inner.opening == "Annotated[":
            return replace(inner, items=(*inner.items, ("", check)))
        return self._generic("Annotated", [inner, check])

    def _bare(self, one: Type) -> Expression:
        match one:
            case Limited() | Checked():
                return self.in_model(one)
            case Custom(name):
                return Code(self.used(name))
            case Choice(values):
                return self._generic("Literal", map(_plain_value, values))
            case Union(members):
                # In a model with additional properties, the first type that accepts the value sometimes serializes a
                # union. An `int` accepts a `bool` and writes 0 for False, so types with booleans come first.
                return self._union(map(self.in_model, sorted(members, key=_has_booleans, reverse=True)))
            case Generic(name, arguments):
                return self._generic(name, map(self.in_model, arguments))
            case Named(name) if name in self.plan.classes:
                return Code(self.plan.classes[name].name)
            case Named(name):
                return Code(self.used(_IN_MODELS.get(name, name)))

    def _generic(self, name: str, arguments: Iterable[Expression]) -> Expression:
        items = tuple(("", argument) for argument in arguments)
        # A comma after a single argument would make a tuple.
        return Group(f"{self.used(name)}[", items, "]", packed=True, last_comma=len(items) > 1)

    def _union(self, members: Iterable[Expression]) -> Expression:
        """Return a union with each type once, and None last."""
        types: dict[str, Expression] = {}
        for member in members:
            types |= {flat(one): one for one in (member.types if isinstance(member, Alternatives) else [member])}
        none = types.pop("None", None)
        ordered = (*types.values(), *([none] if none is not None else []))
        return ordered[0] if len(ordered) == 1 else Alternatives(ordered)

    def _tag(self, one: Type) -> str | None:
        """Return the Python name of the property that distinguishes the classes of a union; None if there is none."""
        members = [member for member in members_of(one) if member != Named("None")]
        classes = [self.plan.classes.get(member.name) for member in members if isinstance(member, Named)]
        if len(classes) < 2 or len(classes) < len(members) or None in classes:
            return None
        tags = [dict(_tags(plan, self.plan)) for plan in classes if plan is not None]
        common = [name for name in tags[0] if all(name in tag for tag in tags)]
        return next((name for name in common if _all_differ([tag[name] for tag in tags])), None)


def _has_booleans(one: Type) -> bool:
    match one:
        case Limited(inner, _) | Checked(inner, _):
            return _has_booleans(inner)
        case Generic(_, parts) | Union(parts):
            return any(map(_has_booleans, parts))
        case Choice(values):
            return any(isinstance(value, bool) for value in values)
        case Custom():
            return False
        case Named(name):
            return name == "bool"


def _argument(value: Scalar) -> Expression:
    return Text(value) if isinstance(value, str) else _plain_value(value)


def _tags(plan: ClassPlan, plans: ModelPlan) -> Iterable[tuple[str, frozenset[str]]]:
    """Yield the required properties whose whole schema is an `enum` of texts, and these texts."""
    for item in plan.properties:
        schema = plans.target(item.schema)
        # Pydantic allows no validator, such as `Checked`, at the property that distinguishes classes.
        is_whole = rest_of(item.schema) is True and rest_of(schema) is True
        values = schema.get("enum") if is_whole and isinstance(schema, dict) else None
        if isinstance(values, list) and values and item.is_required and all(isinstance(value, str) for value in values):
            yield item.python_name, frozenset(str(value) for value in values)


def _all_differ(choices: Sequence[frozenset[str]]) -> bool:
    return len(frozenset[str]().union(*choices)) == sum(map(len, choices))


def exploded(expression: Expression) -> Expression:
    """Return the type with one argument a line, for the outermost type that has several arguments."""
    match expression:
        case Group(items=((prefix, item),)):
            return replace(expression, items=((prefix, exploded(item)),))
        case Group():
            return replace(expression, forced=True)
        case _:
            return expression


def is_breakable(expression: Expression) -> bool:
    """Return whether `exploded` changes the expression."""
    return exploded(expression) != expression


def flat(expression: Expression) -> str:
    """Return an expression on one line."""
    # With a column far to the left, any length fits on the line.
    return lay_out(expression, 0, -1_000_000)
