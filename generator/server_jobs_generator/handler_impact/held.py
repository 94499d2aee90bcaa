"""What an expression of a handler may hold: models, or containers of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .shapes import ModelShapes
from .uses import ClassKey

_WRAPPERS = frozenset({"Awaitable", "Coroutine", "Optional", "Union"})


@dataclass(frozen=True, slots=True)
class Held:
    """The classes of a value, and what its elements hold if it is a list, a tuple or a dict."""

    classes: frozenset[ClassKey] = frozenset()
    items: Held | None = None

    def __or__(self, other: Held) -> Held:
        items = [one for one in (self.items, other.items) if one is not None]
        joined = items[0] | items[1] if len(items) == 2 else items[0] if items else None
        return Held(self.classes | other.classes, joined)


NOTHING = Held()


@dataclass(frozen=True, slots=True)
class Models:
    """The models as they were when the handlers were written, by the name of their spec."""

    modules: Mapping[str, ModelShapes]

    def field(self, held: Held, name: str) -> Held:
        """What a field of a value holds."""
        found = NOTHING
        for spec, class_name in held.classes:
            field = self.modules[spec][class_name].fields.get(name)
            if field is not None:
                found |= held_by(field.annotation, partial(self._key, spec))
        return found

    def has_field(self, key: ClassKey, name: str) -> bool:
        """Whether the class has a field of that name."""
        return name in self.modules[key[0]][key[1]].fields

    def choices(self, key: ClassKey, name: str) -> frozenset[str]:
        """The values of a field that is one of a few."""
        field = self.modules[key[0]][key[1]].fields.get(name)
        return field.choices if field is not None else frozenset()

    def _key(self, spec: str, name: str) -> ClassKey | None:
        return (spec, name) if name in self.modules[spec] else None


def held_by(annotation: ast.expr | None, known: Callable[[str], ClassKey | None]) -> Held:
    """What a value of that type holds; `known` finds the classes of models by the text of their names."""
    match annotation:
        case ast.Name() | ast.Attribute():
            key = known(ast.unparse(annotation))
            return Held(frozenset({key})) if key is not None else NOTHING
        case ast.Constant(value=str(text)):
            return _held_by_text(text, known)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return held_by(left, known) | held_by(right, known)
        case ast.Subscript(value=base, slice=inner):
            arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if ast.unparse(base).rpartition(".")[2] in _WRAPPERS:
                return _joined(arguments, known)
            items = _joined(arguments, known)
            return Held(items=items) if items != NOTHING else NOTHING
        case _:
            return NOTHING


def _joined(arguments: list[ast.expr], known: Callable[[str], ClassKey | None]) -> Held:
    found = NOTHING
    for argument in arguments:
        found |= held_by(argument, known)
    return found


def _held_by_text(text: str, known: Callable[[str], ClassKey | None]) -> Held:
    """A type that is written between quotes."""
    try:
        return held_by(ast.parse(text, mode="eval").body, known)
    except (SyntaxError, ValueError):
        return NOTHING
