"""The rules, looked for in one module."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .finding import CodeFinding
from .modules import Modules
from .names import AT_IMPORT, METHODS, METHODS_AT_IMPORT, USES
from .rules import PLAIN_HANDLER, Rule
from .scope import inner_scope
from .source import Source
from .walk import Place, places


def _has_arguments(call: ast.Call) -> bool:
    return bool(call.args or call.keywords)


def _is_in_memory(call: ast.Call) -> bool:
    return any(isinstance(one, ast.Constant) and one.value == ":memory:" for one in call.args)


HARMLESS: Mapping[str, Callable[[ast.Call], bool]] = {
    "random.Random": _has_arguments,
    "sqlite3.connect": _is_in_memory,
    "time.ctime": _has_arguments,
    "time.gmtime": _has_arguments,
    "time.localtime": _has_arguments,
}
"""Which calls of a name are allowed although the name stands in a table."""


@dataclass(slots=True)
class CodeLint:
    """Looks at the modules one by one; the others are asked what their functions do."""

    modules: Modules

    def check(self, source: Source, *, at_import: bool) -> Iterator[CodeFinding]:
        """Everything in a module; with `at_import` it is imported while the Worker is loaded."""
        for place in self.modules.places_of(source):
            if isinstance(place.node, ast.Name | ast.Attribute) and isinstance(place.node.ctx, ast.Load):
                for rule, name in self._look(place, at_import=at_import):
                    yield source.finding(place.node, rule, name)

    def _look(self, place: Place, *, at_import: bool) -> Iterator[tuple[Rule, str]]:
        runs = at_import and place.at_import and place.is_called
        found = (self._broken_at_import(place) if runs else None) or self._broken(place)
        if found is not None:
            yield found
        elif runs:
            yield from self._broken_inside(place)

    def _broken_at_import(self, place: Place) -> tuple[Rule, str] | None:
        return self._looked_up(place, AT_IMPORT, METHODS_AT_IMPORT)

    def _broken(self, place: Place) -> tuple[Rule, str] | None:
        return self._looked_up(place, USES, METHODS)

    def _looked_up(
        self, place: Place, names: Mapping[str, Rule], methods: Mapping[str, Rule]
    ) -> tuple[Rule, str] | None:
        """The rule that is broken, and the name by which it is told."""
        name = self._name(place)
        if name in names and not _is_harmless(name, place.call):
            return names[name], name.removeprefix("builtins.").replace("()", "")
        if isinstance(place.node, ast.Attribute) and place.call is not None and place.node.attr in methods:
            return methods[place.node.attr], place.node.attr
        return None

    def _name(self, place: Place) -> str:
        """The name of a function in full, `""` where it cannot be told."""
        name = place.scope.dotted(place.node) if isinstance(place.node, ast.Name | ast.Attribute) else None
        return "" if name is None else self.modules.origin(name)

    def _broken_inside(self, place: Place) -> Iterator[tuple[Rule, str]]:
        """What a function of the project does, one step deep, that is called while a module is imported."""
        definition = self.modules.definition(self._name(place))
        if definition is None:
            return
        home, node = definition
        for inner in self._run_by(home, node):
            found = self._broken_at_import(inner) if inner.at_import and inner.is_called else None
            if found is not None and isinstance(inner.node, ast.expr):
                rule, name = found
                yield rule, f"{node.name} calls {name} ({home.path}:{inner.node.lineno}), which"

    def _run_by(self, home: Source, node: ast.FunctionDef | ast.ClassDef) -> Iterator[Place]:
        for function in _functions(node):
            scope = inner_scope(function, self.modules.scope_of(home), home.package)
            yield from places(function.body, scope, home.package)


def plain_handler(source: Source) -> Iterator[CodeFinding]:
    """The function that is run for a job, if it is not async."""
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "handle":
            yield source.finding(node, PLAIN_HANDLER, "handle")


def _is_harmless(name: str, call: ast.Call | None) -> bool:
    return call is not None and name in HARMLESS and HARMLESS[name](call)


def _functions(node: ast.FunctionDef | ast.ClassDef) -> list[ast.FunctionDef]:
    """What runs when a function or a class is called."""
    if isinstance(node, ast.FunctionDef):
        functions = [node]
    else:
        functions = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name in _WHEN_MADE]
    return [one for one in functions if not any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(one))]


_WHEN_MADE = frozenset({"__init__", "__new__", "__post_init__"})
