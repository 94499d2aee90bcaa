"""Which classes the params and the result of a job become, and what each of their properties holds.

Classes and properties go to the code generator under plain tokens (`C1`, `p1`), and its answer is read back by them:
of a spec's texts, it sees the values of `enum` and `const` and the patterns, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue
from server_jobs.contract.formats import FORMATS
from server_jobs.contract.schemas.patterns import translate

from ..ir.spec import JobSpec
from ..ir.typed_form import DEFINITIONS, is_class, referenced_name, rest_of, self_contained
from ..ir.typed_schema import TypedSchemas
from ..lint.schema_lint import Schema, types_of
from ..python.names import ClassNames, pascal_case, property_name
from ..read.keywords import ANNOTATIONS

CUSTOM_TYPES = "server_jobs.contract.formats."

_TYPE_NAMES = {name: "".join(map(str.capitalize, name.split("-"))) for name in FORMATS}
_CONSTRAINTS = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    "object": ("minProperties", "maxProperties"),
    "array": ("minItems", "maxItems"),
}
_LIMITS = frozenset({"pattern"}).union(*_CONSTRAINTS.values())


@dataclass(frozen=True, slots=True)
class PropertyPlan:
    """A property of a class: its names, its schema in the spec, and the one that the code generator is given."""

    token: str
    json_name: str
    python_name: str
    schema: JsonValue
    prepared: JsonValue
    is_required: bool


@dataclass(slots=True)
class ClassPlan:
    """A class. `extras` is the prepared schema of its additional properties, False where there are none.

    `checks` is the JSON text of what its objects have to be checked for, None where its types say it all. One that
    `is_union` is one of several objects; its only property is `root`, which has them as its type.
    """

    token: str
    name: str
    schema: Schema
    extras: JsonValue = False
    checks: str | None = None
    properties: list[PropertyPlan] = field(default_factory=list[PropertyPlan])
    is_union: bool = False


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """A type that allows more than its schema: the prepared schema of the type, and the JSON text of what to check."""

    prepared: JsonValue
    checks: str


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The classes of a module by token, those that others are made of first.

    `params` and `result` are two of the tokens. `tokens` finds the class of a schema by the identity of the schema.
    `parts` are prepared schemas that the properties refer to by tokens of their own, `checked` those with checks.
    All schemas are typed ones.
    """

    classes: Mapping[str, ClassPlan]
    parts: Mapping[str, JsonValue]
    checked: Mapping[str, CheckPlan]
    params: str
    result: str
    definitions: Schema
    tokens: Mapping[int, str]

    def target(self, schema: JsonValue) -> JsonValue:
        """The schema behind any chain of references."""
        while (name := referenced_name(schema)) is not None:
            schema = self.definitions[name]
        return schema


def plan_models(job: JobSpec, taken: Iterable[str]) -> ModelPlan:
    """Plan the classes of a job; none gets one of the `taken` names."""
    stated = _definitions_of(job.params) | _definitions_of(job.result)
    typed = TypedSchemas(stated)
    planner = _Planner(typed.definitions, stated, ClassNames(taken))
    # Both names are taken before any definition can ask for them.
    suffix = f"V{job.options.version}" if job.is_earlier else ""
    names = [planner.names.take(f"{job.class_name}{part}{suffix}", "") for part in ("Params", "Result")]
    params, result = (
        planner.plan_class(*pair) for pair in zip(map(typed.part, (job.params, job.result)), names, strict=True)
    )
    classes = {plan.token: plan for plan in planner.done}
    return ModelPlan(classes, planner.parts, planner.checked, params, result, planner.definitions, planner.tokens)


def _definitions_of(part: Schema) -> dict[str, JsonValue]:
    definitions = part.get("$defs")
    return dict(definitions) if isinstance(definitions, dict) else {}


@dataclass(slots=True)
class _Planner:
    definitions: Mapping[str, JsonValue]
    stated: Mapping[str, JsonValue]
    names: ClassNames
    tokens: dict[int, str] = field(default_factory=dict[int, str])
    done: list[ClassPlan] = field(default_factory=list[ClassPlan])
    parts: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    checked: dict[str, CheckPlan] = field(default_factory=dict[str, CheckPlan])

    def plan_class(self, schema: Schema, name: str) -> str:
        """Plan the class for a schema; its token is known from the start, so that it may refer to itself."""
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
        root = PropertyPlan("p1", "root", "root", said, self._prepared(said, name, name), is_required=True)
        return ClassPlan(token, name, schema, properties=[root], is_union=True)

    def _plan_properties(self, plan: ClassPlan) -> None:
        properties, required = plan.schema.get("properties", {}), plan.schema.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise TypeError(f"{plan.name} has not passed the lint")
        for json_name, schema in properties.items():
            token, python_name = f"p{len(plan.properties) + 1}", property_name(json_name)
            if python_name is None:
                raise ValueError(f"the property {json_name!r} of {plan.name} has not passed the lint")
            prepared = self._prepared(schema, pascal_case(json_name), plan.name)
            plan.properties.append(
                PropertyPlan(token, json_name, python_name, schema, prepared, is_required=json_name in required)
            )
        extras = plan.schema.get("additionalProperties", False)
        plan.extras = extras is not False and self._prepared(extras, f"{plan.name}Value", plan.name)

    def _prepared(self, schema: JsonValue, wanted: str, parent: str) -> JsonValue:
        """What the code generator is told: structure, limits and choices, in its own terms."""
        if not isinstance(schema, dict):
            return schema
        rest = rest_of(schema)
        if rest is True or (is_class(schema) and types_of(schema) == ("object",)):
            return self._prepared_types(schema, wanted, parent)
        prepared = self._prepared_types(schema, wanted, parent)
        token = f"k{len(self.checked) + 1}"
        self.checked[token] = CheckPlan(prepared, self._text(rest))
        # To the code generator it is a type of a name that it knows nothing of.
        return {"type": "string", "customTypePath": CUSTOM_TYPES + token}

    def _text(self, rest: JsonValue) -> str:
        return json.dumps(self_contained(rest, self.stated), ensure_ascii=False)

    def _prepared_types(self, schema: Schema, wanted: str, parent: str) -> JsonValue:
        name = referenced_name(dict(schema))
        if name is not None:
            target = self.definitions[name]
            return self._prepared(target, name, parent)
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, list):
            return {"anyOf": self._prepared_branches(branches, wanted, parent)}
        if "enum" in schema:
            return {"enum": schema["enum"]}
        if "type" not in schema:
            return True
        kinds = [self._prepared_type(kind, schema, wanted, parent) for kind in types_of(schema)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": [self._part(kind) for kind in kinds]}

    def _class_token(self, schema: Schema, wanted: str, parent: str) -> str:
        known = self.tokens.get(id(schema))
        return known or self.plan_class(schema, self.names.take(wanted, f"{parent}{wanted or 'Part'}"))

    def _prepared_part(self, schema: JsonValue, wanted: str, parent: str) -> JsonValue:
        return self._part(self._prepared(schema, wanted, parent))

    def _part(self, prepared: JsonValue) -> JsonValue:
        """What is inside a list, a tuple, a dict or a union: by a token if it has limits, which get lost there else."""
        if not isinstance(prepared, dict) or not prepared.keys() & _LIMITS:
            return prepared
        token = f"T{len(self.parts) + 1}"
        self.parts[token] = prepared
        return {"$ref": DEFINITIONS + token}

    def _prepared_branches(self, branches: list[JsonValue], wanted: str, parent: str) -> list[JsonValue]:
        objects = sum(is_class(branch) for branch in branches)
        return [
            self._prepared_part(branch, wanted if objects == 1 else f"{wanted}{_word_of(branch) or number}", parent)
            for number, branch in enumerate(branches, 1)
        ]

    def _prepared_type(self, kind: str, schema: Schema, wanted: str, parent: str) -> JsonValue:
        if kind == "object" and is_class(schema):
            return {"$ref": DEFINITIONS + self._class_token(schema, wanted, parent)}
        stated = {key: schema[key] for key in _CONSTRAINTS.get(kind, ()) if key in schema}
        limits = _whole(stated) if kind == "integer" else stated
        return {"type": kind} | limits | self._prepared_content(kind, schema, wanted, parent)

    def _prepared_content(self, kind: str, schema: Schema, wanted: str, parent: str) -> dict[str, JsonValue]:
        match kind:
            case "string":
                return _prepared_text(schema)
            case "object":
                values = schema.get("additionalProperties", True)
                return {"additionalProperties": self._prepared_part(values, f"{wanted}Value", parent)}
            case "array" if isinstance(prefix := schema.get("prefixItems"), list):
                items = [self._prepared_part(item, f"{wanted}Item{n}", parent) for n, item in enumerate(prefix, 1)]
                return {"prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)}
            case "array":
                return {"items": self._prepared_part(schema.get("items", True), f"{wanted}Item", parent)}
            case _:
                return {}


def _whole(limits: Schema) -> dict[str, JsonValue]:
    """Limits of an integer, `1.0` as `1`. Every integer is a multiple of 1, which the code generator leaves out."""
    return {
        key: int(value) if isinstance(value, float) else value
        for key, value in limits.items()
        if (key, value) != ("multipleOf", 1)
    }


def _prepared_text(schema: Schema) -> dict[str, JsonValue]:
    format_name, pattern = schema.get("format"), schema.get("pattern")
    prepared: dict[str, JsonValue] = {}
    if isinstance(format_name, str):
        prepared["customTypePath"] = CUSTOM_TYPES + _TYPE_NAMES[format_name]
    if isinstance(pattern, str):
        prepared["pattern"] = translate(pattern)
    return prepared


def _word_of(branch: JsonValue) -> str:
    """What tells a branch from the others, as part of a name: the first text that one of its properties always is."""
    properties = branch.get("properties") if isinstance(branch, dict) else None
    for schema in properties.values() if isinstance(properties, dict) else ():
        match schema:
            case {"enum": [str(value)]}:
                return pascal_case(value)
            case _:
                pass
    return ""
