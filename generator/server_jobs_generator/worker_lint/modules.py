"""The project's own modules: where an import leads, and what is behind it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .finding import CodeFinding
from .packages import is_installed
from .path_objects import told_anew
from .scope import Scope, import_names, module_scope
from .source import Source, read_source
from .walk import Place, places

_ROOTS = ("", "src/")
_LONGEST_WAY = 20
_LOOKED_AT = (ast.Name, ast.Attribute, ast.Import, ast.ImportFrom)


@dataclass(slots=True)
class Modules:
    """Files are read when they are first asked for, and only below the project's root."""

    root: Path
    findings: list[CodeFinding] = field(default_factory=list[CodeFinding])
    _paths: dict[str, str | None] = field(default_factory=dict[str, str | None])
    _known: dict[str, Source | None] = field(default_factory=dict[str, Source | None])
    _places: dict[str, Sequence[Place]] = field(default_factory=dict[str, Sequence[Place]])
    _scopes: dict[str, Scope] = field(default_factory=dict[str, Scope])

    def read(self, name: str) -> Source | None:
        """The module of that import name; None if the project has none that can be parsed."""
        if name not in self._known:
            path = self.path_of(name)
            source = None if path is None else read_source(self.root, path, name)
            if isinstance(source, CodeFinding):
                self.findings.append(source)
                source = None
            self._known[name] = source
        return self._known[name]

    def path_of(self, name: str) -> str | None:
        """The file of a module, relative to the project's root."""
        if name not in self._paths:
            path = name.replace(".", "/")
            candidates = (f"{root}{path}{end}" for root in _ROOTS for end in ("/__init__.py", ".py"))
            self._paths[name] = next((one for one in candidates if _is_there(self.root / one)), None)
        return self._paths[name]

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name, which is a package without a module of its own."""
        return any((self.root / f"{root}{name.replace('.', '/')}").is_dir() for root in _ROOTS)

    def is_local(self, name: str) -> bool:
        """Whether an import of that name leads into the project, also when there is nothing."""
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return False
        if self.path_of(top) is not None or self.path_of(name) is not None:
            return True
        return self.is_folder(top) and not is_installed(top)

    def scope_of(self, source: Source) -> Scope:
        """The names of a module."""
        if source.name not in self._scopes:
            self._scopes[source.name] = module_scope(source.name, source.package, source.tree)
        return self._scopes[source.name]

    def places_of(self, source: Source) -> Sequence[Place]:
        """Every name and every import of a module that can run in a Worker."""
        if source.name not in self._places:
            every = places(source.tree.body, self.scope_of(source), source.package)
            self._places[source.name] = [place for place in every if isinstance(place.node, _LOOKED_AT)]
        return self._places[source.name]

    def origin(self, dotted: str) -> str:
        """The name under which something is defined, followed through the project's modules that hand it on."""
        for _ in range(_LONGEST_WAY):
            home = self._home(dotted)
            if home is None:
                return dotted
            name, _, rest = dotted.removeprefix(f"{home.name}.").partition(".")
            there = self.scope_of(home).bound(name)
            further = told_anew(".".join([there, *([rest] if rest else [])])) if there else dotted
            if further == dotted:
                return dotted
            dotted = further
        return dotted

    def definition(self, dotted: str) -> tuple[Source, ast.FunctionDef | ast.ClassDef] | None:
        """The function or class of the project that has this name, and its module."""
        home = self._home(dotted)
        for node in home.tree.body if home is not None else []:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and home and dotted == f"{home.name}.{node.name}":
                return home, node
        return None

    def _home(self, dotted: str) -> Source | None:
        """The module that a name belongs to: the longest part of it that is one."""
        parts = dotted.split(".")
        for length in range(len(parts) - 1, 0, -1):
            name = ".".join(parts[:length])
            if self.is_local(name) and (source := self.read(name)) is not None:
                return source
        return None


def imported(place: Place, package: str) -> list[str]:
    """The modules that a statement imports, those they are in first; the last ones may be names in their module."""
    match place.node:
        case ast.Import(names=aliases):
            return [name for alias in aliases for name in _with_parents(alias.name)]
        case ast.ImportFrom(names=aliases) as node:
            module = import_names(node, package)
            return [] if module is None else [*_with_parents(module), *(f"{module}.{one.name}" for one in aliases)]
        case _:
            return []


def required(place: Place, package: str) -> list[str]:
    """The modules without which the statement fails."""
    match place.node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom() as node:
            module = import_names(node, package)
            return [] if module is None else [module]
        case _:
            return []


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _is_there(path: Path) -> bool:
    """Whether there is something to read, or to complain about."""
    return path.is_symlink() or (path.exists() and not path.is_dir())
