"""The classes of a generated module of models, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_BASES = ("JobModel", "CheckedModel")

ModelShapes = Mapping[str, "ClassShape"]
"""The classes of one module by name."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field: its type as people say it, without limits, and what a handler may rely on.

    `choices` are the values of a `Literal` as they are written in Python, none for any other type.
    """

    name: str
    type: str
    annotation: ast.expr
    is_required: bool
    may_be_none: bool
    choices: frozenset[str]


@dataclass(frozen=True, slots=True)
class ClassShape:
    """A class and its fields by name, in order."""

    name: str
    fields: Mapping[str, FieldShape]


def read_shapes(text: str) -> ModelShapes:
    """The models in the text of a module; none when it cannot be parsed, as a person may have changed it."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    classes = (node for node in module.body if isinstance(node, ast.ClassDef) and _is_model(node))
    return {node.name: ClassShape(node.name, {field.name: field for field in _fields(node)}) for node in classes}


def read_other_names(text: str) -> Iterator[tuple[str, str, str]]:
    """The classes of other modules that have a name in this one as well: that name, their module, and their own."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is not None:
            yield from ((alias.asname or alias.name, node.module, alias.name) for alias in node.names)


def members_of(annotation: ast.expr) -> list[ast.expr]:
    """The types of a union, or the only one; `None` is left out."""
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*members_of(left), *members_of(right)]
        case ast.Constant(value=None):
            return []
        case _:
            return [annotation]


def _is_model(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id in _BASES for base in node.bases)


def _fields(node: ast.ClassDef) -> Iterator[FieldShape]:
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(name), annotation=annotation, value=value) if not name.startswith("_"):
                plain = _Plain().visit(annotation)
                types = members_of(plain)
                text = " | ".join(map(ast.unparse, types))
                may_be_none = "None" in [ast.unparse(part) for part in _parts(plain)]
                yield FieldShape(name, text, plain, value is None, may_be_none, frozenset(_choices(types)))
            case _:
                pass


class _Plain(ast.NodeTransformer):
    """Takes the limits out of a type, which are no business of who reads it."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        match node:
            case ast.Subscript(value=ast.Name("Annotated"), slice=ast.Tuple(elts=[inner, *_])):
                plain: ast.expr = self.visit(inner)
                return plain
            case ast.Subscript(value=ast.Name("Omittable"), slice=inner):
                return ast.BinOp(self.visit(inner), ast.BitOr(), ast.Constant(None))
            case _:
                self.generic_visit(node)
                return node


def _parts(annotation: ast.expr) -> list[ast.expr]:
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_parts(left), *_parts(right)]
        case _:
            return [annotation]


def _choices(types: list[ast.expr]) -> Iterator[str]:
    for one in types:
        match one:
            case ast.Subscript(value=ast.Name("Literal"), slice=ast.Tuple(elts=values)):
                yield from map(ast.unparse, values)
            case ast.Subscript(value=ast.Name("Literal"), slice=value):
                yield ast.unparse(value)
            case _:
                pass
