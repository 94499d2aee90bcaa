"""The property types of planned classes, as datamodel-code-generator names them.

The text of an answer never becomes code: `_read_annotations` and `read_type` know a few shapes of fields and types, and
raise `GeneratedCodeError` for anything else.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from ..python.code_check import GeneratedCodeError
from .model_plan import (
    FORMAT_TYPES,
    Checked,
    Choice,
    Generic,
    Limited,
    ModelPlan,
    Named,
    PartPlan,
    Scalar,
    Type,
    TypePlan,
    Union,
    members_of,
)

PRESET: Final = "standard-py311-20261027"

_NAMES = frozenset({"str", "int", "float", "bool", "Any", *FORMAT_TYPES.values()})
# Stands for a class or a part of a model plan.
_TOKEN = re.compile(r"[Ck][0-9]+")
_GENERIC = frozenset({"list", "dict", "tuple"})
_MODULES = frozenset(
    {
        *("__future__", "typing", "pydantic"),
        *("server_jobs.contract.model", "server_jobs.contract.formats"),
    }
)
EXTRAS = "extras"

Types = Mapping[tuple[str, str], Type]
"""Types by class token and property token. The token `EXTRAS` is the `dict` of the additional properties."""


def ask(questions: Iterable[str]) -> dict[str, str]:
    """Return the annotation for each question. A question is the JSON text of a prepared schema.

    An answer depends only on its question, so callers may cache it. Raises `GeneratedCodeError` unless the code
    generator writes exactly one class with one field for each question.
    """
    fields = {f"p{number}": question for number, question in enumerate(sorted({*questions}), 1)}
    if not fields:
        return {}
    answers = _read_annotations(written_fields({name: json.loads(question) for name, question in fields.items()}))
    if answers.keys() != fields.keys():
        raise GeneratedCodeError(f"the code generator wrote other fields: {answers.keys() ^ fields.keys()}")
    return {question: answers[name] for name, question in fields.items()}


def written_fields(properties: Mapping[str, JsonValue]) -> str:
    """Return the module that the code generator writes for a class with these properties."""
    # Loading the code generator takes a quarter of a second. Runs without new questions do not need it.
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType, TargetPydanticVersion
    from datamodel_code_generator.parser import LiteralType

    code = generate(
        {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)},
        input_file_type=InputFileType.JsonSchema,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_pydantic_version=TargetPydanticVersion.V2_12,
        preset=PRESET,
        class_name="Questions",
        base_class="server_jobs.contract.model.JobModel",
        custom_file_header="#",
        enum_field_as_literal=LiteralType.All,
        use_exact_imports=True,
        # Fetch no URL, and ignore the configuration of the project.
        strict_refs=True,
        allow_remote_refs=False,
        formatters=[],
    )
    if not isinstance(code, str):
        raise GeneratedCodeError("the code generator wrote more than one module")
    return code


def _read_annotations(text: str) -> dict[str, str]:
    """Return the annotation of each field of the class `Questions` in a module. Raises `GeneratedCodeError`."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise GeneratedCodeError(f"the code generator wrote what cannot be parsed: {error}") from error
    return {name: ast.unparse(annotation) for node in module.body for name, annotation in _fields(node)}


def read_type(annotation: str) -> Type:
    """Return the type of an annotation. Raises `GeneratedCodeError`."""
    try:
        return _type(ast.parse(annotation, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise GeneratedCodeError(f"the code generator wrote what cannot be parsed: {error}") from error


def _fields(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.ImportFrom(module=module, level=0) if module in _MODULES:
            pass
        case ast.ClassDef(name="Questions", bases=[ast.Name("JobModel")]):
            for statement in node.body:
                yield from _field(statement)
        case _:
            raise _unknown(node)


def _field(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=None):
            yield name, annotation
        case ast.Assign(targets=[ast.Name("model_config")], value=ast.Call(func=ast.Name("ConfigDict"))):
            pass
        case _:
            raise _unknown(node)


def _type(node: ast.expr) -> Type:
    match node:
        case ast.Constant(value=None):
            return Named("None")
        case ast.Name(name) if name in _NAMES or _TOKEN.fullmatch(name):
            return Named(name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union((*members_of(_type(left)), *members_of(_type(right))))
        case ast.Subscript(value=ast.Name("Literal"), slice=values):
            return Choice(tuple(map(_constant, _elements(values))))
        case ast.Subscript(value=ast.Name(name), slice=arguments) if name in _GENERIC:
            return Generic(name, tuple(map(_type, _elements(arguments))))
        case _:
            raise _unknown(node)


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _constant(node: ast.expr) -> Scalar:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise _unknown(node) from error
    if not isinstance(value, str | int | float | None):
        raise _unknown(node)
    return value


def _unknown(node: ast.AST) -> GeneratedCodeError:
    return GeneratedCodeError(f"the code generator wrote something unknown: {ast.unparse(node)[:200]!r}")


@dataclass(slots=True)
class PropertyTypes:
    """Answers of the code generator by question.

    `ask` adds new answers to `answers`. They are valid for every plan, so a build cache can store them.
    """

    answers: dict[str, str] = field(default_factory=dict[str, str])
    _types: dict[str, Type] = field(default_factory=dict[str, Type])

    def ask(self, plans: Sequence[ModelPlan]) -> None:
        """Ask all questions of these plans that have no answer yet, in one call of the code generator."""
        questions = {_text(question) for plan in plans for question in _questions(plan)}
        self.answers |= ask(questions - self.answers.keys())

    def of(self, plan: ModelPlan) -> Types:
        """Return the types of a plan. Call `ask` with it first. Raises `GeneratedCodeError` for an unknown answer."""
        return {place: self._completed(self._type(one.question), one.parts) for place, one in _places(plan)}

    def _type(self, question: JsonValue) -> Type:
        key = _text(question)
        if key not in self._types:
            self._types[key] = read_type(self.answers[key])
        return self._types[key]

    def _completed(self, one: Type, parts: Mapping[str, PartPlan]) -> Type:
        """Return the type with its parts instead of their tokens."""
        match one:
            case Named(name) if name in parts:
                part = parts[name]
                if part.custom is not None:
                    return part.custom if part.checks is None else Checked(part.custom, part.checks)
                inner = self._completed(self._type(part.question), parts)
                limited = Limited(inner, part.limits) if part.limits else inner
                return limited if part.checks is None else Checked(limited, part.checks)
            case Union(members):
                return Union(tuple(self._completed(member, parts) for member in members))
            case Generic(name, arguments):
                return Generic(name, tuple(self._completed(argument, parts) for argument in arguments))
            case _:
                return one


def _questions(plan: ModelPlan) -> Iterator[JsonValue]:
    for _, one in _places(plan):
        yield one.question
        yield from (part.question for part in one.parts.values() if part.custom is None)


def _places(plan: ModelPlan) -> Iterator[tuple[tuple[str, str], TypePlan]]:
    for token, item in plan.classes.items():
        yield from (((token, each.token), each.type) for each in item.properties)
        if item.extras is not None:
            yield (token, EXTRAS), item.extras


def _text(question: JsonValue) -> str:
    return json.dumps(question, sort_keys=True)
