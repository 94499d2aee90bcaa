"""What the code generator wrote, understood: a few shapes of models and types, and no others.

Its text is never used as code. It is parsed, and anything unknown in it is a `GeneratedCodeError`.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator

from ..python.code_check import GeneratedCodeError
from .model_types import Choice, Generic, Limited, Named, Scalar, Type, Union, members_of

LIMITS = frozenset({"ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern"})

_SIMPLE = frozenset({"str", "int", "float", "bool", "Any"})
_GENERIC = frozenset({"list", "dict", "tuple"})
_FORMATS = "server_jobs.contract.formats"
_MODULES = frozenset({"__future__", "typing", "typing_extensions", "pydantic", "server_jobs.contract.model", _FORMATS})


def read_models(text: str, classes: Container[str]) -> dict[tuple[str, str], Type]:
    """The type of each property of these classes, by the names of class and property. Raises `GeneratedCodeError`."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise GeneratedCodeError(f"the code generator wrote what cannot be parsed: {error}") from error
    return _Reader(module, classes).read()


class _Reader:
    def __init__(self, module: ast.Module, classes: Container[str]) -> None:
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
            case ast.ClassDef(name=name, bases=[ast.Name(base)]) if base == "JobModel" and name in self._classes:
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
        if keyword.arg not in LIMITS:
            raise _unknown(call)
        yield keyword.arg, _constant(keyword.value)


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
