"""The Python value of a default, as an expression of the type that the model declares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue
from server_jobs.contract.canonical_text import read_date_time, read_ipv6, read_uuid
from server_jobs.contract.schemas.values import whole

from ..lint.instance import Fitting
from ..lint.schema_lint import Schema, types_of
from ..python.code import Code, Expression, Group, Text, call, literal, tuple_of
from ..read.document import Document
from ..read.library import Library, Location
from .model_plan import ModelPlan

_PARSERS: Mapping[str, tuple[str, str]] = {
    "date": ("date.fromisoformat", "date.fromisoformat"),
    "date-time": ("datetime.fromisoformat", "read_date_time"),
    "uuid": ("UUID", "read_uuid"),
    "ipv4": ("IPv4Address", "IPv4Address"),
    "ipv6": ("IPv6Address", "read_ipv6"),
}
"""What reads the texts of a format: those that Python writes in the same way, and those that keep their own."""

_READ: Mapping[str, Callable[[str], object]] = {
    "date-time": read_date_time,
    "uuid": read_uuid,
    "ipv6": read_ipv6,
}

_FILE = "definitions"


def plain_value(value: JsonValue) -> Code:
    """The expression of a string, a number, a boolean or None."""
    match value:
        case str():
            return literal(value)
        case float():
            # As the formatter writes exponents.
            return Code(repr(value).replace("e+", "e"))
        case _:
            return Code(repr(value))


@dataclass(slots=True)
class DefaultValue:
    """Writes defaults; the names that its expressions use are added to `uses`."""

    plan: ModelPlan
    uses: set[str]
    fitting: Fitting = field(init=False)

    def __post_init__(self) -> None:
        definitions = Document(_FILE, "", {"$defs": dict(self.plan.definitions)})
        schemas = {Location(_FILE, ("$defs", name)) for name in self.plan.definitions}
        self.fitting = Fitting(Library({_FILE: definitions}, schemas))

    def of(self, schema: JsonValue, value: JsonValue) -> Expression:
        """What stands behind the `=` of a property: the value itself, or a call that makes a fresh one each time."""
        expression = self._value(schema, value)
        # A plain None would stand for a property that was not given, and not be stored.
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
                return plain_value(whole(value))
            case _:
                return plain_value(value)

    def _branch(self, schema: JsonValue, value: JsonValue) -> JsonValue:
        branches = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None
        if not isinstance(branches, list):
            return schema
        # The lint has counted the steps of the whole file; here each value may take as many.
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
        if name not in _PARSERS:
            return Text(value)
        keeps_its_own = hasattr(_READ.get(name, str)(value), "text")
        parser = _PARSERS[name][keeps_its_own]
        self.uses.add(parser.partition(".")[0])
        return call(parser, literal(value))

    def _untyped(self, value: JsonValue) -> Expression:
        """A value of the schema `true`."""
        match value:
            case dict():
                return Group("{", tuple((f"{literal(key)}: ", self._untyped(item)) for key, item in value.items()), "}")
            case list():
                return Group("[", tuple(("", self._untyped(item)) for item in value), "]")
            case _:
                return plain_value(value)


def _takes_only_integers(schema: Schema) -> bool:
    """Whether a number that fits a typed schema is an `int` in Python. Its `enum` has no others."""
    return "enum" in schema or "integer" in types_of(schema)


def _lambda(value: Expression) -> Expression:
    match value:
        case Group(opening=opening):
            return replace(value, opening=f"lambda: {opening}")
        case _:
            return Code(f"lambda: {value}")
