"""The types of planned properties, as datamodel-code-generator sees them.

Its output is not used as code: it is parsed, and only what is on a short list of shapes is understood. Anything else is
a `GeneratedCodeError`, and nothing is written. What is understood becomes plain values that `models` prints itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from .code_check import GeneratedCodeError
from .model_plan import DEFINITIONS, ClassPlan, ModelPlan

PRESET: Final = "standard-py311-20261027"
EXTRAS = "extras"

_BASE = "JobModel"
_SIMPLE = frozenset({"str", "int", "float", "bool", "Any"})
_GENERIC = frozenset({"list", "dict", "tuple"})
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
_LIMITS = frozenset(_LIMIT_NAMES.values())
_FORMATS = "server_jobs.formats"
_MODULES = frozenset({"__future__", "typing", "typing_extensions", "pydantic", "server_jobs.model", _FORMATS})

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Named:
    """A type by its name: a builtin, one of our formats, or the token of a planned class."""

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


Type = Named | Generic | Union | Choice | Limited


def read_types(plan: ModelPlan) -> dict[tuple[str, str], Type]:
    """The type of each property (and of `EXTRAS`, where a class has some), by the tokens of class and property."""
    # Imported here: the generator is half a second's work to load, and a run without changes does not need it.
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType, TargetPydanticVersion
    from datamodel_code_generator.parser import LiteralType

    code = generate(
        {"$defs": {**{token: _prepared_class(item) for token, item in plan.classes.items()}, **plan.parts}},
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.PydanticV2BaseModel,
        preset=PRESET,
        class_name="Root",
        base_class=f"server_jobs.model.{_BASE}",
        custom_file_header="#",
        enum_field_as_literal=LiteralType.All,
        use_exact_imports=True,
        collapse_root_models=False,
        strict_refs=True,
        allow_remote_refs=False,
        target_pydantic_version=TargetPydanticVersion.V2_12,
    )
    if not isinstance(code, str):
        raise GeneratedCodeError("the code generator gave no single module")
    types = _Reader(ast.parse(code), plan.classes).read()
    _check_limits(plan, types)
    return types


def _check_limits(plan: ModelPlan, types: Mapping[tuple[str, str], Type]) -> None:
    """What a spec limits must be limited in the models: nothing may get lost on the way."""
    for token, item in plan.classes.items():
        for place, prepared in _prepared_properties(item).items():
            missing = set(_stated_limits(prepared, plan.parts)) - set(_found_limits(types[token, place]))
            if missing:
                raise GeneratedCodeError(f"the code generator lost {missing} of a property of {item.name}")


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


def _prepared_class(plan: ClassPlan) -> dict[str, JsonValue]:
    properties = _prepared_properties(plan)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(properties),
    }


class _Reader:
    """Understands the module that the code generator wrote, or raises `GeneratedCodeError`."""

    def __init__(self, module: ast.Module, classes: Mapping[str, ClassPlan]) -> None:
        self._module = module
        self._classes = classes
        self._aliases: dict[str, ast.expr] = {}
        self._formats: set[str] = set()

    def read(self) -> dict[tuple[str, str], Type]:
        fields = [field for node in self._module.body for field in self._fields(node)]
        return {place: self._type(annotation) for place, annotation in fields}

    def _fields(self, node: ast.stmt) -> Iterator[tuple[tuple[str, str], ast.expr]]:
        match node:
            case ast.ImportFrom(module=module, names=names, level=0) if module in _MODULES:
                self._formats.update(alias.name for alias in names if module == _FORMATS)
            case ast.ClassDef(
                name=name, bases=[ast.Subscript(value=ast.Name("RootModel"))], body=[ast.AnnAssign() as root]
            ):
                self._aliases[name] = root.annotation
            case ast.Assign(
                targets=[ast.Name(name)], value=ast.Call(func=ast.Name("TypeAliasType"), args=[ast.Constant(), value])
            ):
                self._aliases[name] = value
            case ast.ClassDef(name=name, bases=[ast.Name(base)]) if base == _BASE and name in self._classes:
                for statement in node.body:
                    yield from (((name, field), annotation) for field, annotation in _members(statement))
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="model_rebuild"))):
                pass
            case _:
                raise _unknown(node)

    def _type(self, node: ast.expr) -> Type:
        match node:
            case ast.Constant(value=None):
                return Named("None")
            case ast.Name(id=name) if name in self._aliases:
                return self._type(self._aliases[name])
            case ast.Name(id=name) if name in self._classes or name in _SIMPLE or name in self._formats:
                return Named(name)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return Union((*members_of(self._type(left)), *members_of(self._type(right))))
            case ast.Subscript(value=ast.Name("Literal"), slice=values):
                return Choice(tuple(_constant(value) for value in _elements(values)))
            case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[inner, ast.Call() as call])):
                return Limited(self._type(inner), tuple(_limits(call)))
            case ast.Subscript(value=ast.Name(name), slice=arguments) if name in _GENERIC:
                return Generic(name, tuple(self._type(argument) for argument in _elements(arguments)))
            case _:
                raise _unknown(node)


def members_of(one: Type) -> tuple[Type, ...]:
    """The members of a union, or the one type that is none."""
    return one.members if isinstance(one, Union) else (one,)


def _members(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=None):
            yield name, annotation
        case ast.Assign(targets=[ast.Name("model_config")], value=ast.Call(func=ast.Name("ConfigDict"))):
            pass
        case _:
            raise _unknown(node)


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _limits(call: ast.Call) -> Iterator[tuple[str, Scalar]]:
    if not isinstance(call.func, ast.Name) or call.func.id != "Field" or call.args:
        raise _unknown(call)
    for keyword in call.keywords:
        if keyword.arg not in _LIMITS:
            raise _unknown(call)
        yield keyword.arg, _constant(keyword.value)


def _constant(node: ast.expr) -> Scalar:
    value = ast.literal_eval(node)
    if not isinstance(value, str | int | float | None):
        raise _unknown(node)
    return value


def _unknown(node: ast.AST) -> GeneratedCodeError:
    return GeneratedCodeError(f"the code generator wrote something unknown: {ast.unparse(node)[:200]!r}")
