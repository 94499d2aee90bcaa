"""The type of each property, asked for once: most properties of a project are like others in it.

A type follows from the prepared schema of its property and from nothing around it. So each schema is written down
without the tokens of its job, and what is new in many jobs goes to the code generator at once, where most of the time
would go into starting over for every job.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from .bundle import DEFINITIONS, referenced_name
from .code_generator import EXTRAS, read_types
from .model_plan import ClassPlan, ModelPlan, PropertyPlan
from .model_types import Generic, Limited, Named, Type, Union

_AT_ONCE = 500


@dataclass(slots=True)
class TypeMemory:
    """What the code generator has answered; no answer depends on what else was asked, or when."""

    types: dict[str, Type] = field(default_factory=dict[str, Type])

    def learn(self, plans: Iterable[ModelPlan]) -> None:
        """Ask for all in these plans that is not known yet. Raises `GeneratedCodeError` as `read_types` does."""
        self._ask(question for plan in plans for question in _questions(plan).values())

    def types_of(self, plan: ModelPlan) -> dict[tuple[str, str], Type]:
        """As `read_types`: the type of each property, and of `EXTRAS`, by the tokens of class and property."""
        questions = _questions(plan)
        self._ask(questions.values())
        return {place: question.with_names(self.types[question.key]) for place, question in questions.items()}

    def _ask(self, questions: Iterable[_Question]) -> None:
        new = list({question.key: question for question in questions if question.key not in self.types}.values())
        for start in range(0, len(new), _AT_ONCE):
            self.types |= _answers(new[start : start + _AT_ONCE])


@dataclass(frozen=True, slots=True)
class _Question:
    """A prepared schema in which classes and parts are numbered in the order in which it comes to them."""

    schema: JsonValue
    parts: tuple[JsonValue, ...]
    classes: tuple[str, ...]
    key: str

    def with_names(self, answer: Type) -> Type:
        """The answer with the classes of this question, which the key leaves out."""
        return _renamed(answer, {_class_token(number): token for number, token in enumerate(self.classes)})


@dataclass(slots=True)
class _Numbering:
    """The references of one schema, on their way to numbers."""

    plan_parts: Mapping[str, JsonValue]
    classes: dict[str, str] = field(default_factory=dict[str, str])
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def question(self, prepared: JsonValue) -> _Question:
        schema = _with_references(prepared, self._token)
        parts = tuple(self.parts[token] for token in self.tokens.values())
        return _Question(schema, parts, tuple(self.classes), json.dumps([schema, parts], sort_keys=True))

    def _token(self, name: str) -> str:
        if name not in self.plan_parts:
            return self.classes.setdefault(name, _class_token(len(self.classes)))
        if name not in self.tokens:
            token = self.tokens[name] = _part_token(len(self.tokens))
            self.parts[token] = _with_references(self.plan_parts[name], self._token)
        return self.tokens[name]


def _questions(plan: ModelPlan) -> dict[tuple[str, str], _Question]:
    return {place: _Numbering(plan.parts).question(schema) for place, schema in _schemas(plan)}


def _schemas(plan: ModelPlan) -> Iterator[tuple[tuple[str, str], JsonValue]]:
    for token, item in plan.classes.items():
        yield from (((token, each.token), each.prepared) for each in item.properties)
        if item.extras is not False:
            yield (token, EXTRAS), {"type": "object", "additionalProperties": item.extras}


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
    types = read_types(ModelPlan(classes, parts, asking.token, asking.token, {}, {}))
    return {question.key: types["C1", f"p{number}"] for number, question in enumerate(questions, 1)}


def _class_token(number: int) -> str:
    return f"C{number + 2}"


def _part_token(number: int) -> str:
    return f"T{number + 1}"


def _moved(schema: JsonValue, tokens: Mapping[str, str]) -> JsonValue:
    return _with_references(schema, lambda name: tokens.get(name, name))


def _with_references(schema: JsonValue, token_of: Callable[[str], str]) -> JsonValue:
    """A copy with other references. What `enum` holds are values, whatever they look like."""
    if not isinstance(schema, dict):
        return schema
    name = referenced_name(schema)
    if name is not None:
        return {**schema, "$ref": DEFINITIONS + token_of(name)}
    copy = dict(schema)
    for key in ("items", "additionalProperties"):
        if key in schema:
            copy[key] = _with_references(schema[key], token_of)
    for key in ("anyOf", "prefixItems"):
        if isinstance(members := schema.get(key), list):
            copy[key] = [_with_references(member, token_of) for member in members]
    return copy


def _renamed(one: Type, names: Mapping[str, str]) -> Type:
    match one:
        case Named(name):
            return Named(names[name]) if name in names else one
        case Generic(name, arguments):
            return Generic(name, tuple(_renamed(argument, names) for argument in arguments))
        case Union(members):
            return Union(tuple(_renamed(member, names) for member in members))
        case Limited(inner, limits):
            return Limited(_renamed(inner, names), limits)
        case _:
            return one
