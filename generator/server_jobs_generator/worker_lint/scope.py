"""What the names in a piece of code stand for, as far as imports and definitions tell."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce

from .path_objects import DIVIDED, told

Binding = str | ast.expr | None

_LONGEST_WAY = 20
_BUILTINS = frozenset(dir(builtins))
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Scope:
    """`names` has the full dotted name of what is imported or defined, None for a name that is bound otherwise.

    A name that is bound once, to the value of an expression, has the expression instead. `visible` is the scope around
    it that its functions see: that of a class is seen by its own body alone.
    """

    names: Mapping[str, Binding]
    outer: Scope | None = None
    is_class: bool = False
    followed: frozenset[str] = frozenset()
    """The names that were followed so far, each to its value, in which they may stand themselves."""

    @property
    def visible(self) -> Scope | None:
        """What a function or a comprehension in this scope can see of it."""
        return self.outer if self.is_class else self

    def find(self, name: str) -> str | None:
        """The full name of what a name stands for; None if it cannot be told."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.bound(name)
            scope = scope.outer
        return f"builtins.{name}" if name in _BUILTINS else None

    def bound(self, name: str) -> str | None:
        """As `find`, for what is bound in this very scope; of the values of expressions, paths are told."""
        binding = self.names.get(name)
        if not isinstance(binding, ast.expr):
            return binding
        if name in self.followed or len(self.followed) == _LONGEST_WAY:
            return None
        value = replace(self, followed=self.followed | {name}).dotted(binding)
        return value if value is not None and value.endswith("()") else None  # another one is only handed on

    def dotted(self, node: ast.expr) -> str | None:
        """The full name of `a.b.c`; what a call gives is named `a.b()`, and a path as in `path_objects`.

        None for every other expression, and where it cannot be told.
        """
        above: list[str] = []
        while True:
            match node:
                case ast.Attribute(value=inner, attr=name):
                    above.append(f".{name}")
                case ast.Call(func=inner):
                    above.append("()")
                case ast.BinOp(left=inner, op=ast.Div()):
                    above.append(DIVIDED)
                case _:
                    break
            node = inner
        full = self.find(node.id) if isinstance(node, ast.Name) else None
        return None if full is None else reduce(told, reversed(above), full)


def module_scope(name: str, package: str, tree: ast.Module) -> Scope:
    """The names of a module; what it defines has the module's name in front."""
    return Scope(_bound(tree.body, package, prefix=f"{name}."))


def inner_scope(node: ast.AST, around: Scope, package: str) -> Scope:
    """The scope that a function, a class, a lambda or a comprehension opens."""
    match node:
        case ast.ClassDef(body=body):
            return Scope(_bound(body, package), around.visible, is_class=True)
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            return Scope(_parameters(arguments) | _bound(body, package), around.visible)
        case ast.Lambda(args=arguments):
            return Scope(_parameters(arguments), around.visible)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            targets = [part for generator in node.generators for part in ast.walk(generator.target)]
            return Scope({name: None for part in targets for name in _stored(part)}, around.visible)
        case _:
            return around


def import_names(node: ast.ImportFrom, package: str) -> str | None:
    """The full name of the module that something is imported from; None if it lies above the project."""
    if not node.level:
        return node.module
    parts = package.split(".") if package else []
    if node.level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _bound(body: Iterable[ast.stmt], package: str, prefix: str | None = None) -> dict[str, Binding]:
    names: dict[str, Binding] = {}
    imported: dict[str, Binding] = {}
    values: dict[str, ast.expr] = {}
    stored: Counter[str] = Counter()
    for node in _inside(body):
        match node:
            case ast.Import(names=aliases):
                imported |= {one.asname or one.name.partition(".")[0]: _imported(one) for one in aliases}
            case ast.ImportFrom(names=aliases):
                module = import_names(node, package)
                imported |= {one.asname or one.name: module and f"{module}.{one.name}" for one in aliases}
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names[name] = prefix and prefix + name
            case _:
                stored.update(_stored(node))
                values.update(_value(node))
    once = {name: values.get(name) if count == 1 else None for name, count in stored.items()}
    return once | names | imported


def _imported(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.partition(".")[0]


def _inside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node below, what has a scope of its own included but not entered."""
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _OWN_SCOPE + _COMPREHENSIONS):
            waiting.extend(ast.iter_child_nodes(node))


def _stored(node: ast.AST) -> Iterator[str]:
    """The name that a node binds, if it binds one."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name
        case _:
            pass


def _value(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The name that a statement binds, and the expression whose value it is bound to, or one that gives its like."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(ast.Name(id=name), value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
            yield name, _instance(annotation)
        case _:
            pass


def _instance(annotation: ast.expr) -> ast.expr:
    """What gives an object of an annotation's class, whether or not there may be None instead."""
    match annotation:
        case ast.BinOp(left, ast.BitOr(), ast.Constant(None)) | ast.BinOp(ast.Constant(None), ast.BitOr(), left):
            return _instance(left)
        case _:
            return ast.Call(annotation, [], [])


def _parameters(arguments: ast.arguments) -> dict[str, Binding]:
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    collected = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    names: dict[str, Binding] = {one.arg: _instance(one.annotation) if one.annotation else None for one in named}
    return names | dict.fromkeys(one.arg for one in collected)
