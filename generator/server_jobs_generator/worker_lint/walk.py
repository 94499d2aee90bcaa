"""Every expression and statement of a module that can run in a Worker, with what is known about when it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .conditions import holds
from .names import is_standard
from .scope import Scope, inner_scope

_IMPORT_ERRORS = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and the scope it stands in.

    `at_import` says that it runs when its module is imported, `is_guarded` that an import may fail there, `call` is
    the call of which it is the function, and `is_called` whether there is one (a decorator is called, too).
    """

    node: ast.AST
    scope: Scope
    at_import: bool
    is_guarded: bool = False
    is_called: bool = False
    call: ast.Call | None = None


def places(body: Iterable[ast.AST], scope: Scope, package: str) -> Iterator[Place]:
    """Everything in there, while it is imported. Annotations, and what is for type checkers or scripts, is left out."""
    waiting = [Place(node, scope, at_import=True) for node in body]
    while waiting:
        place = waiting.pop()
        yield place
        waiting.extend(_below(place, package))


def _below(place: Place, package: str) -> Iterator[Place]:
    node, inner = place.node, inner_scope(place.node, place.scope, package)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _here(place, _defaults(node.args))
            yield from _decorators(place, node.decorator_list)
            yield from (Place(one, inner, at_import=False) for one in node.body)
        case ast.Lambda():
            yield from _here(place, _defaults(node.args))
            yield Place(node.body, inner, at_import=False)
        case ast.ClassDef():
            yield from _here(place, [*node.bases, *(keyword.value for keyword in node.keywords)])
            yield from _decorators(place, node.decorator_list)
            yield from _here(replace(place, scope=inner), node.body)
        case ast.AnnAssign():
            yield from _here(place, [node.target, *([node.value] if node.value else [])])
        case ast.Call():
            yield Place(node.func, place.scope, place.at_import, place.is_guarded, is_called=True, call=node)
            yield from _here(place, [*node.args, *(keyword.value for keyword in node.keywords)])
        case ast.If():
            yield from _here(place, [node.test, *_branches(node)])
        case ast.Try(handlers=[*handlers]) if any(map(_catches_import_errors, handlers)):
            yield from _here(replace(place, is_guarded=True), node.body)
            caught = [] if _always_succeeds(node.body) else handlers
            yield from _here(place, [*caught, *node.orelse, *node.finalbody])
        case ast.With(items=[ast.withitem(ast.Call(args=errors))]) if any(map(_is_import_error, errors)):
            yield from _here(replace(place, is_guarded=True), node.body)
        case _:
            yield from _here(replace(place, scope=inner) if inner is not place.scope else place, _children(node))


def _here(place: Place, nodes: Iterable[ast.AST]) -> Iterator[Place]:
    """These nodes, which run when and where that place does."""
    return (Place(node, place.scope, place.at_import, place.is_guarded) for node in nodes)


def _decorators(place: Place, decorators: Iterable[ast.expr]) -> Iterator[Place]:
    return (replace(one, is_called=True) for one in _here(place, decorators))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    return (child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context))


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]


def _branches(node: ast.If) -> list[ast.stmt]:
    """What of both branches can run in a Worker."""
    match holds(node.test):
        case True:
            return node.body
        case False:
            return node.orelse
        case None:
            return [*node.body, *node.orelse]


def _always_succeeds(body: list[ast.stmt]) -> bool:
    """Whether it only imports what the Worker's Python surely has, so that nothing catches its errors."""
    return all(isinstance(one, ast.Import | ast.ImportFrom) and _is_standard(one) for one in body)


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and is_standard(node.module or "")
    return all(is_standard(alias.name) for alias in node.names)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    match handler.type:
        case None:
            return True
        case ast.Tuple(elts=errors):
            return any(map(_is_import_error, errors))
        case error:
            return _is_import_error(error)


def _is_import_error(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in _IMPORT_ERRORS
