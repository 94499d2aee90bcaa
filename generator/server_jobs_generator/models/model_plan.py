"""The classes for the params and the result of a job, and a question about the type of each property.

A question is a JSON schema for the code generator. A token (`C1`, `k1`) stands for each class and for each part with
limits; the code generator takes it for the name of a custom type. So questions of different jobs are often equal. The
only texts of a spec in a question are values of `enum` and `const`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.json_schema import definitions_of
from server_jobs.contract.schemas.checker import Checker, Compiler, Within
from server_jobs.contract.schemas.patterns import translate

from ..ir.spec import JobSpec
from ..ir.typed_form import (
    DEFINITIONS,
    is_class,
    referenced_name,
    rest_of,
    self_contained,
    without_annotations,
)
from ..ir.typed_schema import TypedSchemas
from ..python.custom_types import NO_CUSTOM_TYPES, CustomTypes
from ..python.names import ClassNames, pascal_case, python_names
from ..read.keywords import ANNOTATIONS, Schema, types_of

FORMAT_TYPES = {name: "".join(map(str.capitalize, name.split("-"))) for name in FORMATS}
"""The names of our format types, by `format`."""

Scalar = str | int | float | bool | None

_LONGEST_COPY = 500
_MODULE_OF_TYPES = "server_jobs.contract.formats"
_RANGE = {"minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le", "exclusiveMaximum": "lt"}
_LIMITS: Mapping[str, Mapping[str, str]] = {
    "string": {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"},
    "integer": {**_RANGE, "multipleOf": "multiple_of"},
    "number": _RANGE,
    "object": {"minProperties": "min_length", "maxProperties": "max_length"},
    "array": {"minItems": "min_length", "maxItems": "max_length"},
}
"""Keywords that limit a type, with the equivalent arguments of `Field`."""


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name: a builtin type, a format type, or the token of a planned class."""

    name: str


@dataclass(frozen=True, slots=True)
class Generic:
    """`list`, `dict` or `tuple` of other types."""

    name: str
    arguments: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """Any of several types."""

    members: tuple[Type, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several plain values."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Limited:
    """A type with the keyword arguments of `Field` that limit it."""

    type: Type
    limits: tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A type with the JSON text of a schema to check its values against."""

    type: Type
    schema: str


@dataclass(frozen=True, slots=True)
class Custom:
    """A class of the application, for a format. `values` are the texts that the schema lists, if it does."""

    name: str
    format: str
    values: tuple[str, ...] = ()


Type = Named | Generic | Union | Choice | Limited | Checked | Custom


def members_of(one: Type) -> tuple[Type, ...]:
    """Return the members of a union, or any other type alone."""
    return one.members if isinstance(one, Union) else (one,)


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A part of a type: the question about it, its limits, and its checks.

    `limits` are arguments of `Field`. `checks` is the JSON text of a schema to check values against. A `custom` type
    needs no question.
    """

    question: JsonValue
    limits: tuple[tuple[str, Scalar], ...] = ()
    checks: str | None = None
    custom: Custom | None = None


@dataclass(frozen=True, slots=True)
class TypePlan:
    """The question about a type, and the parts in it by token.

    Each type numbers its parts from 1, so that properties of the same shape have the same question.
    """

    question: JsonValue
    parts: Mapping[str, PartPlan]


@dataclass(frozen=True, slots=True)
class PropertyPlan:
    """A property of a class: its names, its schema in the spec, and its type."""

    token: str
    json_name: str
    python_name: str
    schema: JsonValue
    type: TypePlan
    is_required: bool


@dataclass(slots=True)
class ClassPlan:
    """A class. `extras` is the type of the dict of its additional properties; None if there are none.

    `checks` is the JSON text of a schema to check its objects against; None if its types express everything. A class
    with `is_union` stands for one of several objects. Its only property is `root`, a union of these objects.
    """

    token: str
    name: str
    schema: Schema
    extras: TypePlan | None = None
    checks: str | None = None
    properties: list[PropertyPlan] = field(default_factory=list[PropertyPlan])
    is_union: bool = False


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The classes of a module by token, nested classes first.

    `params` and `result` are two of the tokens; `result` is None if the job has none. `tokens` maps the `id` of a
    schema to the token of its class. All schemas are typed schemas, except `shared`: the definitions that checks refer
    to, as the spec states them.
    """

    classes: Mapping[str, ClassPlan]
    params: str
    result: str | None
    definitions: Schema
    tokens: Mapping[int, str]
    shared: Schema

    def checker(self, schema: str) -> Checker:
        """Return the checker of a check."""
        return Checker(json.loads(schema), Compiler(Within({"$defs": self.shared})))

    def target(self, schema: JsonValue) -> JsonValue:
        """Return the schema at the end of a chain of references."""
        while (name := referenced_name(schema)) is not None:
            schema = self.definitions[name]
        return schema


def plan_models(job: JobSpec, taken: Iterable[str], custom: CustomTypes = NO_CUSTOM_TYPES) -> ModelPlan:
    """Plan the classes of a job, and use none of the `taken` names, nor one of a custom type."""
    stated = {**definitions_of(job.params), **definitions_of(job.result)}
    typed = TypedSchemas(stated)
    planner = _Planner(typed.definitions, stated, ClassNames({*taken, *custom.names}), custom)
    # Reserve both names before a definition can take them.
    suffix = f"V{job.options.version}" if job.is_earlier else ""
    params_name, result_name = (
        planner.names.take(f"{job.class_name}{part}{suffix}", "") for part in ("Params", "Result")
    )
    params = planner.plan_class(typed.part(job.params), params_name)
    result = planner.plan_class(typed.part(job.result), result_name) if job.has_result else None
    classes = {plan.token: plan for plan in planner.done}
    return ModelPlan(classes, params, result, planner.definitions, planner.tokens, planner.shared())


@dataclass(slots=True)
class _Planner:
    definitions: Mapping[str, JsonValue]
    stated: Mapping[str, JsonValue]
    names: ClassNames
    custom: CustomTypes
    tokens: dict[int, str] = field(default_factory=dict[int, str])
    done: list[ClassPlan] = field(default_factory=list[ClassPlan])
    parts: dict[str, PartPlan] = field(default_factory=dict[str, PartPlan])
    checks: list[JsonValue] = field(default_factory=list[JsonValue])

    def shared(self) -> Schema:
        """Return the definitions that the checks reach, sorted by name."""
        reached = definitions_of(self_contained({"allOf": self.checks}, self.stated))
        return {name: without_annotations(schema) for name, schema in reached.items()}

    def plan_class(self, schema: Schema, name: str) -> str:
        """Plan the class for a schema, and return its token. Assign the token first: the schema may refer to itself."""
        token = self.tokens[id(schema)] = f"C{len(self.tokens) + 1}"
        if "anyOf" in schema:
            self.done.append(self._plan_union(schema, token, name))
            return token
        rest = rest_of(schema) if types_of(schema) == ("object",) else True
        plan = ClassPlan(token, name, schema, checks=None if rest is True else self._text(rest))
        self._plan_properties(plan)
        self.done.append(plan)
        return token

    def _plan_union(self, schema: Schema, token: str, name: str) -> ClassPlan:
        said = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        root = PropertyPlan("p1", "root", "root", said, self._type(said, name, name), is_required=True)
        return ClassPlan(token, name, schema, properties=[root], is_union=True)

    def _plan_properties(self, plan: ClassPlan) -> None:
        properties, required = plan.schema.get("properties", {}), plan.schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise TypeError(f"{plan.name} has not passed the lint")
        names = python_names(properties)
        for json_name, schema in properties.items():
            token, python_name = f"p{len(plan.properties) + 1}", names.get(json_name)
            if python_name is None:
                raise ValueError(f"the property {json_name!r} of {plan.name} has not passed the lint")
            type_plan = self._type(schema, pascal_case(json_name), plan.name)
            plan.properties.append(
                PropertyPlan(token, json_name, python_name, schema, type_plan, is_required=json_name in required)
            )
        extras = plan.schema.get("additionalProperties", False)
        if extras is not False:
            inner = self._type(extras, f"{plan.name}Value", plan.name)
            plan.extras = replace(inner, question={"type": "object", "additionalProperties": inner.question})

    def _type(self, schema: JsonValue, wanted: str, parent: str) -> TypePlan:
        """Plan a type, and number its parts from 1. `wanted` is the class name if the type needs a class."""
        outer, self.parts = self.parts, {}
        question = self._question(schema, wanted, parent)
        parts, self.parts = self.parts, outer
        return TypePlan(question, parts)

    def _question(self, schema: JsonValue, wanted: str, parent: str) -> JsonValue:
        if not isinstance(schema, dict):
            return schema
        rest = rest_of(schema)
        question = self._question_of_types(schema, wanted, parent)
        is_text = types_of(schema) == ("string",)
        if is_text and isinstance(rest, dict) and (one := self._custom_of(schema, rest)) is not None:
            return self._part(PartPlan(True, checks=self._text(rest), custom=one))
        if rest is True or (is_class(schema) and types_of(schema) == ("object",)):
            return question
        return self._part(PartPlan(question, checks=self._text(rest)))

    def _text(self, rest: JsonValue) -> str:
        check = without_annotations(rest)
        self.checks.append(check)
        return json.dumps(check, ensure_ascii=False)

    def _question_of_types(self, schema: Schema, wanted: str, parent: str) -> JsonValue:
        name = referenced_name(dict(schema))
        if name is not None:
            target = self.definitions[name]
            rest = rest_of(target)
            if isinstance(target, dict) and rest is not True and not is_class(target) and _is_large(rest):
                # Several properties then share the check of the whole definition.
                types = self._question_of_types(target, name, parent)
                return self._part(PartPlan(types, checks=self._text({"$ref": f"{DEFINITIONS}{name}"})))
            return self._question(target, name, parent)
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, list):
            return {"anyOf": self._questions_of_branches(branches, wanted, parent)}
        if "enum" in schema:
            return {"enum": schema["enum"]}
        if "type" not in schema:
            return True
        kinds = [self._question_of_type(kind, schema, wanted, parent) for kind in types_of(schema)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}

    def _class_token(self, schema: Schema, wanted: str, parent: str) -> str:
        known = self.tokens.get(id(schema))
        return known or self.plan_class(schema, self.names.take(wanted, f"{parent}{wanted or 'Part'}"))

    def _part(self, part: PartPlan) -> dict[str, JsonValue]:
        token = f"k{len(self.parts) + 1}"
        self.parts[token] = part
        return _named(token)

    def _questions_of_branches(self, branches: list[JsonValue], wanted: str, parent: str) -> list[JsonValue]:
        objects = sum(is_class(branch) for branch in branches)
        return [
            self._question(branch, wanted if objects == 1 else f"{wanted}{_word_of(branch) or number}", parent)
            for number, branch in enumerate(branches, 1)
        ]

    def _question_of_type(self, kind: str, schema: Schema, wanted: str, parent: str) -> JsonValue:
        if kind == "object" and is_class(schema):
            return _named(self._class_token(schema, wanted, parent))
        question = self._question_without_limits(kind, schema, wanted, parent)
        if "prefixItems" in question:
            # The code generator would write a class for a tuple inside another type.
            return self._part(PartPlan(question))
        limits = tuple(_limits(kind, schema))
        return self._part(PartPlan(question, limits)) if limits else question

    def _custom_of(self, schema: Schema, rest: Schema | None = None) -> Custom | None:
        """Return the custom type of the texts of a schema."""
        name = str(schema.get("format"))
        values = rest.get("enum") if rest else None
        texts = tuple(map(str, values)) if isinstance(values, list) else ()
        return Custom(self.custom.class_of[name], name, texts) if name in self.custom.class_of else None

    def _question_without_limits(self, kind: str, schema: Schema, wanted: str, parent: str) -> dict[str, JsonValue]:
        match kind:
            case "string" if (one := self._custom_of(schema)) is not None:
                return self._part(PartPlan(True, custom=one))
            case "string" if (name := schema.get("format")) in FORMAT_TYPES:
                return _named(FORMAT_TYPES[str(name)])
            case "object":
                values = schema.get("additionalProperties", True)
                return {"type": kind, "additionalProperties": self._question(values, f"{wanted}Value", parent)}
            case "array" if isinstance(prefix := schema.get("prefixItems"), list):
                items = [self._question(item, f"{wanted}Item{n}", parent) for n, item in enumerate(prefix, 1)]
                count = len(items)
                return {"type": kind, "prefixItems": items, "items": False, "minItems": count, "maxItems": count}
            case "array":
                return {"type": kind, "items": self._question(schema.get("items", True), f"{wanted}Item", parent)}
            case _:
                return {"type": kind}


def _is_large(check: JsonValue) -> bool:
    """Return whether a check is much longer than a reference to it."""
    return len(json.dumps(check)) > _LONGEST_COPY


def _named(name: str) -> dict[str, JsonValue]:
    """Return the schema of a custom type, which the code generator knows only by name."""
    return {"type": "string", "customTypePath": f"{_MODULE_OF_TYPES}.{name}"}


def _limits(kind: str, schema: Schema) -> Iterator[tuple[str, Scalar]]:
    """Yield the limits of one type as arguments of `Field`, with the right type: `minLength` may be 1.0."""
    for keyword, argument in _LIMITS.get(kind, {}).items():
        match schema.get(keyword):
            case str(pattern):
                yield argument, translate(pattern)
            case int() | float() as limit if kind == "number":
                yield argument, float(limit)
            case int() | float() as limit if (keyword, limit) != ("multipleOf", 1):
                # Every integer is a multiple of 1.
                yield argument, int(limit)
            case _:
                pass


def _word_of(branch: JsonValue) -> str:
    """Return a word for a branch as part of a class name: the first text that is the only value of a property."""
    properties = branch.get("properties") if isinstance(branch, dict) else None
    for schema in properties.values() if isinstance(properties, dict) else ():
        match schema:
            case {"enum": [str(value)]}:
                return pascal_case(value)
            case _:
                pass
    return ""
