"""datamodel-code-generator at work on a plan: it turns prepared schemas into types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import JsonValue

from ..ir.typed_form import DEFINITIONS
from ..python.code_check import GeneratedCodeError
from .model_plan import ClassPlan, ModelPlan
from .model_types import Checked, Generic, Limited, Named, Scalar, Type, Union
from .type_reader import read_models

PRESET: Final = "standard-py311-20261027"
EXTRAS = "extras"

CHECKED: Final = "Checked"
"""The class, which is not printed, whose properties have the types of checked values: `of_` and the token of each."""

_LIMIT_NAMES = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "pattern": "pattern",
    **dict.fromkeys(("minLength", "minItems", "minProperties"), "min_length"),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties"), "max_length"),
}


def read_types(plan: ModelPlan) -> dict[tuple[str, str], Type]:
    """The type of each property (and of `EXTRAS`, where a class has some), by the tokens of class and property."""
    types = read_models(written_models(plan), {*plan.classes, CHECKED})
    places = {(token, name) for token, prepared in _prepared_classes(plan).items() for name in prepared}
    if types.keys() != places:
        raise GeneratedCodeError(f"the code generator wrote other properties: {types.keys() ^ places}")
    _check_limits(plan, types)
    return with_checks(types, plan)


def with_checks(types: Mapping[tuple[str, str], Type], plan: ModelPlan) -> dict[tuple[str, str], Type]:
    """The types of properties, in which those that stand for checked values are replaced; `types` has these too."""
    resolved = {place: _with_checks(one, plan, types) for place, one in types.items()}
    return {place: one for place, one in resolved.items() if place[0] != CHECKED}


def written_models(plan: ModelPlan) -> str:
    """The module that the code generator writes for the planned classes, under their tokens."""
    # Imported here: the generator is half a second's work to load, and a run without changes does not need it.
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType, TargetPydanticVersion
    from datamodel_code_generator.parser import LiteralType

    code = generate(
        {"$defs": {**{token: _closed(item) for token, item in _prepared_classes(plan).items()}, **plan.parts}},
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_pydantic_version=TargetPydanticVersion.V2_12,
        preset=PRESET,
        class_name="Root",
        base_class="server_jobs.contract.model.JobModel",
        custom_file_header="#",
        enum_field_as_literal=LiteralType.All,
        collapse_root_models=False,
        use_exact_imports=True,
        # Nothing is fetched, and no configuration of the project it runs in is read.
        strict_refs=True,
        allow_remote_refs=False,
        formatters=[],
    )
    if not isinstance(code, str):
        raise GeneratedCodeError("the code generator wrote more than one module")
    return code


def _check_limits(plan: ModelPlan, types: Mapping[tuple[str, str], Type]) -> None:
    """What a spec limits must be limited in the models: nothing may get lost on the way."""
    for token, properties in _prepared_classes(plan).items():
        for place, prepared in properties.items():
            missing = set(_stated_limits(prepared, plan.parts)) - set(_found_limits(types[token, place]))
            if missing:
                raise GeneratedCodeError(f"the code generator lost {missing} of the property {place} of {token}")


def _stated_limits(prepared: JsonValue, parts: Mapping[str, JsonValue]) -> Iterator[tuple[str, Scalar]]:
    match prepared:
        case {"$ref": str(reference)} if (name := reference.removeprefix(DEFINITIONS)) in parts:
            yield from _stated_limits(parts[name], parts)
        case {"enum": _} | {"$ref": _}:
            pass
        case {"prefixItems": list(items)} | {"anyOf": list(items)}:
            for item in items:
                yield from _stated_limits(item, parts)
        case dict():
            for key, value in prepared.items():
                if key in _LIMIT_NAMES and isinstance(value, str | int | float):
                    yield _LIMIT_NAMES[key], value
            for key in ("items", "additionalProperties"):
                yield from _stated_limits(prepared.get(key), parts)
        case _:
            pass


def _found_limits(one: Type) -> Iterator[tuple[str, Scalar]]:
    match one:
        case Limited(inner, limits):
            yield from limits
            yield from _found_limits(inner)
        case Union(members) | Generic(_, members):
            for member in members:
                yield from _found_limits(member)
        case _:
            pass


def _prepared_properties(plan: ClassPlan) -> dict[str, JsonValue]:
    properties = {item.token: item.prepared for item in plan.properties}
    if plan.extras is not False:
        # As a property of its own: the code generator has no plain way to write the type of additional properties.
        properties[EXTRAS] = {"type": "object", "additionalProperties": plan.extras}
    return properties


def _prepared_classes(plan: ModelPlan) -> dict[str, dict[str, JsonValue]]:
    classes = {token: _prepared_properties(item) for token, item in plan.classes.items()}
    if plan.checked:
        classes[CHECKED] = {f"of_{token}": item.prepared for token, item in plan.checked.items()}
    return classes


def _closed(properties: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(properties),
    }


def _with_checks(one: Type, plan: ModelPlan, types: Mapping[tuple[str, str], Type]) -> Type:
    """The type, with those in it that stand for checked ones replaced by them."""
    match one:
        case Named(name) if name in plan.checked:
            return Checked(_with_checks(types[CHECKED, f"of_{name}"], plan, types), plan.checked[name].checks)
        case Union(members):
            return Union(tuple(_with_checks(member, plan, types) for member in members))
        case Generic(name, arguments):
            return Generic(name, tuple(_with_checks(argument, plan, types) for argument in arguments))
        case Limited(inner, limits):
            return Limited(_with_checks(inner, plan, types), limits)
        case _:
            return one
