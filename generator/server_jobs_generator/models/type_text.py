"""Types of properties as they are written in models, and in the TypedDict that mirrors the JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from server_jobs.contract.schemas.checker import Checker

from ..python.code import Alternatives, Code, Expression, Group, Text, call, lay_out, literal
from .default_value import plain_value
from .model_plan import ClassPlan, ModelPlan
from .model_types import Checked, Choice, Generic, Limited, Named, Scalar, Type, Union, members_of

_ANYTHING = "Any"
_IN_MODELS = {_ANYTHING: "Json", "float": "Number", "int": "Integer"}
# Limits stand before these marks, which make one schema of both.
_MARKS = {"float": "JsonNumber", "int": "JsonInteger"}
_ORDER = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")


@dataclass(slots=True)
class TypeText:
    """Writes types; the names that they use are added to `uses`."""

    plan: ModelPlan
    uses: set[str]

    def in_model(self, one: Type, **arguments: Expression) -> Expression:
        """The annotation of a property, with more arguments for its `Field`."""
        if isinstance(one, Checked):
            return self._checked(one, arguments)
        inner, limits = (one.type, one.limits) if isinstance(one, Limited) else (one, ())
        arguments |= {key: _argument(value) for key, value in sorted(limits, key=_in_order)}
        if tag := self._tag(inner):
            arguments["discriminator"] = literal(tag)
        metadata: list[Expression] = []
        if isinstance(inner, Choice) and any(isinstance(value, int) for value in inner.values):
            metadata.append(call(self.used("Exact")))
        if arguments:
            metadata.append(call(self.used("Field"), **arguments))
        if limits and isinstance(inner, Named) and inner.name in _MARKS:
            metadata.append(call(self.used(_MARKS[inner.name])))
            return self._generic("Annotated", [Code(inner.name), *metadata])
        if isinstance(inner, Generic) and inner.name == "tuple" and self.has_checks:
            metadata.append(call(self.used("JsonTuple")))
        return self._generic("Annotated", [self._bare(inner), *metadata]) if metadata else self._bare(inner)

    @property
    def has_checks(self) -> bool:
        """Whether something in the module is checked beside its type."""
        return bool(self.plan.checked) or any(plan.checks is not None for plan in self.plan.classes.values())

    def omittable(self, one: Type, **arguments: Expression) -> Expression:
        """The annotation of a property that may be left out but is never null."""
        omittable = self._generic("Omittable", [self.in_model(one)])
        if not arguments:
            return omittable
        return self._generic("Annotated", [omittable, call(self.used("Field"), **arguments)])

    def of_key(self, one: Type, *, is_required: bool, is_quoted: bool = False) -> Expression:
        """The type of a key in a TypedDict, in quotes where it is evaluated before what it names exists."""
        text = self.in_document(one)
        text = literal(flat(text)) if is_quoted else text
        return text if is_required else self._generic("NotRequired", [text])

    def in_document(self, one: Type) -> Expression:
        """The type of the JSON value."""
        match one:
            case Limited(inner, _) | Checked(inner, _):
                return self.in_document(inner)
            case Choice(values):
                return self._generic("Literal", map(plain_value, values))
            case Union(members):
                return self._union(map(self.in_document, members))
            case Generic("tuple", arguments):
                return self._generic("list", [self._union(map(self.in_document, arguments))])
            case Generic(name, arguments):
                return self._generic(name, map(self.in_document, arguments))
            case Named(name) if name in self.plan.classes:
                return Code(f"{self.plan.classes[name].name}Dict")
            case Named(name) if name == _ANYTHING:
                return Code(self.used("JsonValue"))
            case Named(name):
                return Code(name if name in ("int", "float", "bool", "None") else "str")

    def used(self, name: str) -> str:
        """The name, which has to be imported now if it can be."""
        self.uses.add(name)
        return name

    def is_nullable(self, one: Type) -> bool:
        """Whether null fits."""
        match one:
            case Checked(inner, schema):
                return self.is_nullable(inner) and Checker(json.loads(schema)).fits(None)
            case Limited(inner, _):
                return self.is_nullable(inner)
            case Union(members):
                return any(map(self.is_nullable, members))
            case Choice(values):
                return None in values
            case Generic():
                return False
            case Named(name):
                return name in ("None", _ANYTHING)

    def _checked(self, one: Checked, arguments: dict[str, Expression]) -> Expression:
        inner, check = self.in_model(one.type, **arguments), call(self.used("Checked"), Text(one.schema))
        if isinstance(inner, Group) and inner.opening == "Annotated[":
            return replace(inner, items=(*inner.items, ("", check)))
        return self._generic("Annotated", [inner, check])

    def _bare(self, one: Type) -> Expression:
        match one:
            case Limited() | Checked():
                return self.in_model(one)
            case Choice(values):
                return self._generic("Literal", map(plain_value, values))
            case Union(members):
                # A union in a model with further properties is written by the first type that takes the value, in
                # some places: an `int` takes a `bool`, and writes 0 for False.
                return self._union(map(self.in_model, sorted(members, key=_has_booleans, reverse=True)))
            case Generic(name, arguments):
                return self._generic(name, map(self.in_model, arguments))
            case Named(name) if name in self.plan.classes:
                return Code(self.plan.classes[name].name)
            case Named(name):
                return Code(self.used(_IN_MODELS.get(name, name)))

    def _generic(self, name: str, arguments: Iterable[Expression]) -> Expression:
        items = tuple(("", argument) for argument in arguments)
        # A comma behind a single argument would make a tuple of it.
        return Group(f"{self.used(name)}[", items, "]", packed=True, last_comma=len(items) > 1)

    def _union(self, members: Iterable[Expression]) -> Expression:
        """Each type once, None last."""
        types: dict[str, Expression] = {}
        for member in members:
            types |= {flat(one): one for one in (member.types if isinstance(member, Alternatives) else [member])}
        none = types.pop("None", None)
        ordered = (*types.values(), *([none] if none is not None else []))
        return ordered[0] if len(ordered) == 1 else Alternatives(ordered)

    def _tag(self, one: Type) -> str | None:
        """The property by which the classes of a union tell each other apart, by its Python name."""
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
        case Named(name):
            return name == "bool"


def _in_order(limit: tuple[str, Scalar]) -> int:
    return _ORDER.index(limit[0])


def _argument(value: Scalar) -> Expression:
    return Text(value) if isinstance(value, str) else plain_value(value)


def _tags(plan: ClassPlan, plans: ModelPlan) -> Iterable[tuple[str, frozenset[str]]]:
    """The required properties that are always one of a few texts, with these."""
    for item in plan.properties:
        schema = plans.target(item.schema)
        values = schema.get("enum") if isinstance(schema, dict) else None
        if isinstance(values, list) and values and item.is_required and all(isinstance(value, str) for value in values):
            yield item.python_name, frozenset(str(value) for value in values)


def _all_differ(choices: Sequence[frozenset[str]]) -> bool:
    return len(frozenset[str]().union(*choices)) == sum(map(len, choices))


def exploded(expression: Expression) -> Expression:
    """The same type, with the arguments of its outermost type of several written one a line."""
    match expression:
        case Group(items=((prefix, item),)):
            return replace(expression, items=((prefix, exploded(item)),))
        case Group():
            return replace(expression, forced=True)
        case _:
            return expression


def is_breakable(expression: Expression) -> bool:
    """Whether `exploded` makes a difference."""
    return exploded(expression) != expression


def flat(expression: Expression) -> str:
    """An expression on one line."""
    # A column far to the left: whatever the length, it fits on the line.
    return lay_out(expression, 0, -1_000_000)
