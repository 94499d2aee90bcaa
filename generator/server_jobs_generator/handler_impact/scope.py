"""What the names of a handler's module stand for, as far as annotations, calls and assignments tell."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from .held import NOTHING, Held, Models, held_by
from .uses import ClassKey

_SAME_ITEMS = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter", "filter"})
_SAME_TYPE = frozenset({"model_copy", "model_validate", "model_validate_json", "model_construct"})


class Scope:
    """The classes that the module imports, under the names it has for them, and what its variables hold."""

    def __init__(self, module: ast.Module, models: Models) -> None:
        self.models = models
        self.classes: dict[str, ClassKey] = {}
        self.names: dict[str, Held] = {}
        self._returns: dict[str, Held] = {}
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom):
                self._import(node)
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._returns[node.name] = self.by_annotation(node.returns)

    def by_annotation(self, annotation: ast.expr | None) -> Held:
        """What a value of a type holds."""
        return held_by(annotation, self.classes.get)

    def class_of(self, node: ast.expr) -> ClassKey | None:
        """The model that an expression names."""
        return self.classes.get(ast.unparse(node)) if isinstance(node, ast.Name | ast.Attribute) else None

    def bind(self, target: ast.expr, held: Held) -> None:
        """Note what a target holds from now on."""
        match target:
            case ast.Name(name):
                self.names[name] = held
            case ast.Tuple(elts=[first, second]) if held.items is not None:
                # `for index, item in enumerate(...)`, `for key, value in some_dict.items()`
                self.bind(first, NOTHING)
                self.bind(second, held.items)
            case _:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        self.names.pop(part.id, None)

    def held(self, node: ast.expr) -> Held:
        """What an expression holds, nothing where it cannot be told."""
        match node:
            case ast.Name(name):
                return self.names.get(name, NOTHING)
            case ast.Attribute(value=value, attr=name):
                return self.models.field(self.held(value), name)
            case ast.Await(value) | ast.NamedExpr(value=value) | ast.Starred(value):
                return self.held(value)
            case ast.Subscript(value=value, slice=index):
                held = self.held(value)
                return held if isinstance(index, ast.Slice) else held.items or NOTHING
            case ast.IfExp(body=body, orelse=orelse):
                return self.held(body) | self.held(orelse)
            case ast.BoolOp(values=values):
                return _union(map(self.held, values))
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                items = _union(map(self.held, parts))
                return Held(items=items) if items != NOTHING else NOTHING
            case ast.Call():
                return self._held_by_call(node)
            case _:
                return NOTHING

    def item(self, node: ast.expr) -> Held:
        """What each element of an expression holds."""
        return self.held(node).items or NOTHING

    def _held_by_call(self, node: ast.Call) -> Held:
        key = self.class_of(node.func)
        if key is not None:
            return Held(frozenset({key}))
        match node.func:
            case ast.Name(name) if name in _SAME_ITEMS and node.args:
                return self.held(node.args[-1])
            case ast.Name("enumerate") if node.args:
                return Held(items=self.held(node.args[0]))
            case ast.Name("next") if node.args:
                return self.held(node.args[0]).items or NOTHING
            case ast.Name(name):
                return self._returns.get(name, NOTHING)
            case ast.Attribute(value=value, attr=name) if name in _SAME_TYPE:
                made = self.class_of(value)
                return Held(frozenset({made})) if made is not None else self.held(value)
            case ast.Attribute(value=value, attr="values"):
                return self.held(value)
            case ast.Attribute(value=value, attr="items"):
                return Held(items=self.held(value))
            case ast.Attribute(value=value, attr="get" | "pop"):
                return self.held(value).items or NOTHING
            case _:
                return NOTHING

    def _import(self, node: ast.ImportFrom) -> None:
        """`from ..models.send_email import X`, and `from ..models import send_email`."""
        path = (node.module or "").split(".")
        spec = path[-1]
        for alias in node.names:
            if path[-2:-1] == ["models"] and spec in self.models.modules:
                self._know(alias.asname or alias.name, (spec, alias.name))
            elif path[-1] == "models" and alias.name in self.models.modules:
                for name in self.models.modules[alias.name]:
                    self._know(f"{alias.asname or alias.name}.{name}", (alias.name, name))

    def _know(self, name: str, key: ClassKey) -> None:
        if key[1] in self.models.modules[key[0]]:
            self.classes[name] = key


def _union(parts: Iterable[Held]) -> Held:
    found = NOTHING
    for part in parts:
        found |= part
    return found
