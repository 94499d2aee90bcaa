"""The type of each property, asked for once: most properties of a project are like others in it.

A type follows from the prepared schema of its property and from nothing around it. So each schema is written down
without the tokens of its job and without the numbers that limit its values, which come back in the type as they are;
and what is new in many jobs goes to the code generator at once, where most of the time would go into starting over for
every job. Answers are kept for later runs.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from pydantic import JsonValue

from ..ir.typed_form import DEFINITIONS, referenced_name
from .code_generator import CHECKED, EXTRAS, read_types, with_checks
from .model_plan import CUSTOM_TYPES, ClassPlan, ModelPlan, PropertyPlan
from .model_types import Choice, Generic, Limited, Named, Scalar, Type, Union

_AT_ONCE = 500
_FIRST_STAND_IN = 7_000_001
_LIMITS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
)
_SHAPES: Mapping[str, Callable[..., Type]] = {
    shape.__name__: shape for shape in (Choice, Generic, Limited, Named, Union)
}


@dataclass(slots=True)
class TypeMemory:
    """What the code generator has answered; no answer depends on what else was asked, or when.

    `kept` are answers of earlier runs in the form in which they are written down, `new` those of this one.
    """

    kept: Mapping[str, str] = field(default_factory=dict[str, str])
    new: dict[str, Type] = field(default_factory=dict[str, Type])
    _read: dict[str, Type] = field(default_factory=dict[str, Type])

    def types_of(self, plans: Sequence[ModelPlan]) -> Iterator[dict[tuple[str, str], Type]]:
        """As `read_types` for each of these plans: the types of its properties, by the tokens of class and property.

        What is not known yet is asked for all of them at once. Raises `GeneratedCodeError` as `read_types` does.
        """
        questions = [_questions(plan) for plan in plans]
        self._ask(each for of_plan in questions for each in of_plan.values())
        for plan, of_plan in zip(plans, questions, strict=True):
            types = {place: question.completed(self._answer(question.key)) for place, question in of_plan.items()}
            yield with_checks(types, plan)

    def written_down(self) -> dict[str, str]:
        """All answers in the form of `kept`."""
        return {**self.kept, **{key: repr(answer) for key, answer in self.new.items()}}

    def _answer(self, key: str) -> Type:
        return self.new[key] if key in self.new else self._read[key]

    def _ask(self, questions: Iterable[_Question]) -> None:
        unknown = {each.key: each for each in questions if self._known(each.key) is None}
        asked = list(unknown.values())
        for start in range(0, len(asked), _AT_ONCE):
            self.new |= _answers(asked[start : start + _AT_ONCE])

    def _known(self, key: str) -> Type | None:
        if key not in self.new and key not in self._read and key in self.kept:
            with suppress(ValueError):  # as if it were not there
                self._read[key] = read_type(self.kept[key])
        return self.new.get(key) or self._read.get(key)


def read_type(text: str) -> Type:
    """The type of that `repr`, which is read and never run. Raises `ValueError`."""
    try:
        value = _read(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, KeyError) as error:
        raise ValueError(f"{text!r} is not a type") from error
    if not isinstance(value, Type):
        raise ValueError(f"{text!r} is not a type")  # noqa: TRY004  what is wrong is the text
    return value


def _read(node: ast.expr) -> Type | Scalar | tuple[object, ...]:
    match node:
        case ast.Call(func=ast.Name(name), args=[], keywords=keywords):
            return _SHAPES[name](**{str(each.arg): _read(each.value) for each in keywords})
        case ast.Tuple(elts=items):
            return tuple(map(_read, items))
        case _:
            return cast("Scalar", ast.literal_eval(node))


@dataclass(frozen=True, slots=True)
class _Question:
    """A prepared schema with classes, parts, checks and limits numbered in the order in which it comes to them."""

    schema: JsonValue
    parts: tuple[JsonValue, ...]
    classes: tuple[str, ...]
    checked: tuple[str, ...]
    limits: tuple[int | float, ...]
    key: str

    def completed(self, answer: Type) -> Type:
        """The answer with the names and the limits of this question, which the key leaves out."""
        names = {_class_token(number): token for number, token in enumerate(self.classes)}
        names |= {_check_token(number): token for number, token in enumerate(self.checked)}
        limits = {_stand_in(number, limit): limit for number, limit in enumerate(self.limits)}
        return _completed(answer, names, limits)


@dataclass(slots=True)
class _Numbering:
    """The references of one schema, on their way to numbers."""

    plan: ModelPlan
    classes: dict[str, str] = field(default_factory=dict[str, str])
    checked: dict[str, str] = field(default_factory=dict[str, str])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    limits: list[int | float] = field(default_factory=list[int | float])

    def question(self, prepared: JsonValue) -> _Question:
        schema = self._numbered(prepared)
        parts = tuple(self.parts[token] for token in self.tokens.values())
        key = json.dumps([schema, parts], sort_keys=True)
        return _Question(schema, parts, tuple(self.classes), tuple(self.checked), tuple(self.limits), key)

    def _numbered(self, prepared: JsonValue) -> JsonValue:
        return _copied(prepared, self._token, self._limit, self._check)

    def _limit(self, value: float) -> float:
        self.limits.append(value)
        return _stand_in(len(self.limits) - 1, value)

    def _token(self, name: str) -> str:
        if name not in self.plan.parts:
            return self.classes.setdefault(name, _class_token(len(self.classes)))
        if name not in self.tokens:
            token = self.tokens[name] = _part_token(len(self.tokens))
            self.parts[token] = self._numbered(self.plan.parts[name])
        return self.tokens[name]

    def _check(self, name: str) -> str:
        """Of the types that the code generator knows by name only, those with checks are of this plan."""
        return self.checked.setdefault(name, _check_token(len(self.checked))) if name in self.plan.checked else name


def _questions(plan: ModelPlan) -> dict[tuple[str, str], _Question]:
    return {place: _Numbering(plan).question(schema) for place, schema in _schemas(plan)}


def _schemas(plan: ModelPlan) -> Iterator[tuple[tuple[str, str], JsonValue]]:
    for token, item in plan.classes.items():
        yield from (((token, each.token), each.prepared) for each in item.properties)
        if item.extras is not False:
            yield (token, EXTRAS), {"type": "object", "additionalProperties": item.extras}
    yield from (((CHECKED, f"of_{token}"), item.prepared) for token, item in plan.checked.items())


def _answers(questions: Sequence[_Question]) -> dict[str, Type]:
    """The answers by key: one class has all the schemas as its properties, the classes they name stand beside it."""
    parts: dict[str, JsonValue] = {}
    asking = ClassPlan("C1", "Asking", {})
    for number, question in enumerate(questions, 1):
        moved = {_part_token(each): _part_token(len(parts) + each) for each in range(len(question.parts))}
        parts |= {moved[_part_token(n)]: _moved(part, moved) for n, part in enumerate(question.parts)}
        schema = _moved(question.schema, moved)
        asking.properties.append(PropertyPlan(f"p{number}", "", "", schema, schema, is_required=True))
    count = max((len(question.classes) for question in questions), default=0)
    named = [ClassPlan(_class_token(number), "", {}) for number in range(count)]
    classes = {plan.token: plan for plan in (*named, asking)}
    types = read_types(ModelPlan(classes, parts, {}, asking.token, asking.token, {}, {}))
    return {question.key: types["C1", f"p{number}"] for number, question in enumerate(questions, 1)}


def _class_token(number: int) -> str:
    return f"C{number + 2}"


def _part_token(number: int) -> str:
    return f"T{number + 1}"


def _check_token(number: int) -> str:
    return f"k{number + 1}"


def _stand_in(number: int, limit: float) -> float:
    """A number in the place of a limit: no other one of the question is like it, and a whole one is whole."""
    return _FIRST_STAND_IN + number + (0.5 if isinstance(limit, float) else 0)


def _moved(schema: JsonValue, tokens: Mapping[str, str]) -> JsonValue:
    return _copied(schema, lambda name: tokens.get(name, name), lambda limit: limit, lambda name: name)


def _copied(
    schema: JsonValue,
    token_of: Callable[[str], str],
    limit_of: Callable[[float], float],
    type_of: Callable[[str], str],
) -> JsonValue:
    """A copy with other references, limits and named types. What `enum` holds are values, whatever they look like."""
    if not isinstance(schema, dict):
        return schema
    name = referenced_name(schema)
    if name is not None:
        return {**schema, "$ref": DEFINITIONS + token_of(name)}
    copy = dict(schema)
    for key, value in schema.items():
        if key in ("items", "additionalProperties"):
            copy[key] = _copied(value, token_of, limit_of, type_of)
        elif key in ("anyOf", "prefixItems") and isinstance(value, list):
            copy[key] = [_copied(member, token_of, limit_of, type_of) for member in value]
        elif key == "customTypePath" and isinstance(value, str):
            copy[key] = CUSTOM_TYPES + type_of(value.removeprefix(CUSTOM_TYPES))
        elif key in _LIMITS and isinstance(value, int | float) and "prefixItems" not in schema:
            copy[key] = limit_of(value)
    return copy


def _completed(one: Type, names: Mapping[str, str], numbers: Mapping[float, float]) -> Type:
    match one:
        case Named(name):
            return Named(names[name]) if name in names else one
        case Generic(name, arguments):
            return Generic(name, tuple(_completed(argument, names, numbers) for argument in arguments))
        case Union(members):
            return Union(tuple(_completed(member, names, numbers) for member in members))
        case Limited(inner, limits):
            values = tuple((key, _completed_limit(value, numbers)) for key, value in limits)
            return Limited(_completed(inner, names, numbers), values)
        case _:
            return one


def _completed_limit(value: Scalar, numbers: Mapping[float, float]) -> Scalar:
    """The limit that a stand-in is for, with a point where the code generator wrote one."""
    if not isinstance(value, int | float) or value not in numbers:
        return value
    return float(numbers[value]) if isinstance(value, float) else numbers[value]
