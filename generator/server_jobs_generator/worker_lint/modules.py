"""The import statements in the project's own modules."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import decode_source, resolve_name
from pathlib import Path

from .packages import is_installed
from .rules import SYNTAX, UNREADABLE, CodeFinding, Rule

_EXCUSE = re.compile(r"#\s*cloudflare:\s*ok\b[^\w#]*[^\W_]")


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement, in a file with a path relative to the project's root.

    It fails without its `modules`, of which there are none if it leads out of the package. Its `names` are modules, or
    defined in one. A comment may excuse it.
    """

    path: str
    line: int
    column: int
    is_excused: bool
    modules: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def reached(self) -> tuple[str, ...]:
        """Everything that may be a module."""
        return (*self.modules, *self.names)

    def finding(self, rule: Rule, subject: str, more: str = "") -> CodeFinding:
        """Return the finding that a rule is broken here."""
        return rule.found(self.path, f"{subject} {rule.why}{more}", self.line, self.column)


def imports_from(names: Iterable[str], root: Path) -> Iterator[Import | CodeFinding]:
    """Find the imports in these modules, in the packages around them, and in every module that those import."""
    waiting, seen = list(names), {""}
    while waiting:
        name = waiting.pop()
        if name not in seen and is_local(name, root):
            seen.add(name)
            path, around = path_of(name, root) or "", name.rpartition(".")[0]
            package = name if path.endswith("/__init__.py") else around
            found = list(_imports(path, root, package)) if path.endswith(".py") else []
            yield from found
            waiting += [around, *(inner for one in found if isinstance(one, Import) for inner in one.reached)]


@cache  # for one check: it is asked for the same modules again and again
def path_of(name: str, root: Path) -> str | None:
    """Return the file of a module, or the folder of a package without one, relative to the project's root."""
    path = name.replace(".", "/")
    for end in ("/__init__.py", ".py", ""):
        for one in (f"{path}{end}", f"src/{path}{end}"):
            if os.path.lexists(root / one) and (root / one).is_dir() is not bool(end):
                return one
    return None


def is_local(name: str, root: Path) -> bool:
    """Return whether an import of that name leads into the project, also when it leads to nothing."""
    top = name.partition(".")[0]
    names = () if top in sys.stdlib_module_names else (top, name)
    paths = [path for one in names if (path := path_of(one, root)) is not None]
    return any(path.endswith(".py") for path in paths) or (bool(paths) and not is_installed(top))


def _imports(path: str, root: Path, package: str) -> Iterator[Import | CodeFinding]:
    """Find every import in a file but those for type checkers alone, and those that are prepared to fail."""
    parsed = _parsed(path, root)
    if isinstance(parsed, CodeFinding):
        yield parsed
        return
    tree, lines = parsed
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        below: Iterable[ast.AST] = ast.iter_child_nodes(node)
        match node:
            case ast.Import() | ast.ImportFrom():
                is_excused = _EXCUSE.search(lines[node.lineno - 1]) is not None
                yield Import(path, node.lineno, node.col_offset + 1, is_excused, *_names(node, package))
            case ast.If(test=ast.Name("TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                below = node.orelse
            case ast.Try() if any(map(_catches_import_errors, node.handlers)):
                below = [*node.orelse, *node.finalbody]
            case _:
                pass
        waiting += [one for one in below if not isinstance(one, ast.expr)]


def _parsed(path: str, root: Path) -> tuple[ast.Module, list[str]] | CodeFinding:
    """Return the tree and the lines of a file. Never raises for its content."""
    if not (root / path).is_file():
        return UNREADABLE.found(path, "is not a regular file")
    try:
        text = decode_source((root / path).read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        return UNREADABLE.found(path, f"{UNREADABLE.why}: {error}")
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text), text.split("\n")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = f"{SYNTAX.why}: {getattr(error, 'msg', error) or 'nested too deeply'}"
        line, column = getattr(error, "lineno", None) or 1, max(getattr(error, "offset", None) or 1, 1)
        return SYNTAX.found(path, message, line, column)


def _names(node: ast.Import | ast.ImportFrom, package: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the full names of the modules of a statement, and of the names that it takes from one."""
    names = tuple(one.name for one in node.names)
    if isinstance(node, ast.Import):
        return names, ()
    try:
        module = resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return (), ()
    return (module,), tuple(f"{module}.{name}" for name in names)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    caught = ast.walk(handler.type) if handler.type else ()
    return any(isinstance(one, ast.Name) and one.id in ("ImportError", "ModuleNotFoundError") for one in caught)
