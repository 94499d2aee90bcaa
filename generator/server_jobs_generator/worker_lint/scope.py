"""What the names in a piece of code stand for, as far as imports and definitions tell."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_BUILTINS = frozenset(dir(builtins))
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class Scope:
    """`names` has the full dotted name of what is imported or defined, None for a name that is bound otherwise.

    `visible` is the scope around it that its functions see: that of a class is seen by its own body alone.
    """

    names: Mapping[str, str | None]
    outer: Scope | None = None
    is_class: bool = False

    @property
    def visible(self) -> Scope | None:
        """What a function or a comprehension in this scope can see of it."""
        return self.outer if self.is_class else self

    def find(self, name: str) -> str | None:
        """The full name of what a name stands for; None if it cannot be told."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return f"builtins.{name}" if name in _BUILTINS else None

    def dotted(self, node: ast.expr) -> str | None:
        """The full name of `a.b.c`; None for every other expression, and where it cannot be told."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        first = self.find(node.id) if isinstance(node, ast.Name) else None
        return None if first is None else ".".join([first, *reversed(attributes)])


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


def _bound(body: Iterable[ast.stmt], package: str, prefix: str | None = None) -> dict[str, str | None]:
    names: dict[str, str | None] = {}
    imported: dict[str, str | None] = {}
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
                names |= dict.fromkeys(_stored(node))
    return names | imported


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


def _parameters(arguments: ast.arguments) -> dict[str, str | None]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {one.arg: None for one in every if one is not None}
