"""The check of the handlers, and of the modules that they import, for a Cloudflare Worker."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import decode_source, resolve_name
from pathlib import Path

from server_jobs import HOME_OF
from server_jobs.project import Project
from server_jobs_generator.problems.code_finding import CodeFinding
from server_jobs_generator.problems.problem import shown

from . import rules
from .configuration import (
    Settings,
    check_configuration,
    is_installed,
    is_uploaded,
    patterns_taking,
    patterns_within,
    read_settings,
    rule_of_absence,
)
from .rules import FAIL, SYNTAX, UNREADABLE, Rule

MODULES: Mapping[str, Rule] = {
    module: rule
    for rule, listed in {
        rules.THREADS: "_thread aiosqlite concurrent.futures threading",
        rules.PROCESSES: "multiprocessing subprocess",
        rules.SOCKETS: "aiosmtplib ftplib http.client http.server imaplib paramiko poplib smtplib socket socketserver "
        "urllib.request wsgiref.simple_server xmlrpc.server",
        rules.DATABASES: "aiomysql asyncpg pg8000 psycopg pymongo pymysql redis",
        rules.NOT_BUILT: "MySQLdb eventlet gevent greenlet psycopg2 pyodbc uvloop",
        rules.LOCAL_DATABASE: "sqlite3",
        rules.MISSING_MODULE: "aifc asynchat asyncore audioop cgi cgitb chunk crypt curses dbm distutils ensurepip grp "
        "imghdr imp lib2to3 mailcap msilib msvcrt nis nntplib ossaudiodev pipes pwd readline resource smtpd sndhdr "
        "spwd sunau syslog telnetlib tkinter turtle uu venv winreg winsound xdrlib",
    }.items()
    for module in listed.split()
}
"""Modules that a Worker cannot use, or that its Python 3.14 lacks."""

HARMLESS = {
    *("threading.Event", "threading.Lock", "threading.RLock", "threading.local", "concurrent.futures.Future"),
    *("subprocess.CalledProcessError", "subprocess.TimeoutExpired", "socket.gaierror", "sqlite3.Error", "sqlite3.Row"),
}
"""Names in such modules that a Worker can use."""

_PRESENT = sys.stdlib_module_names | {"annotationlib", "compression", "js", "pyodide", "workers", "server_jobs"}
"""Modules that need no dependency: Python's, the runtime's, and the engine, which `worker-package` checks."""

_EXCUSE = re.compile(r"#\s*cloudflare:\s*ok\b[^\w#]*[^\W_]")


def check_worker(project: Project) -> tuple[CodeFinding, ...]:
    """Return every finding, in reading order. Nothing of the project is imported."""
    _path_of.cache_clear()
    settings = read_settings(project)
    lint = _ImportLint(project, settings)
    found = [*check_configuration(settings)]
    for one in _imports_from(_first_modules(project), project.root):
        if isinstance(one, CodeFinding):
            found.append(one)
        elif not one.is_excused:
            found += lint.check(one)
    return tuple(sorted(set(found)))


def _first_modules(project: Project) -> Iterator[str]:
    """Return the import names of all handlers, and of the registry if it imports a set-up function of the project."""
    yield from _handler_modules(project)
    if project.setup is not None:
        yield f"{project.output_package}.registry"


def _handler_modules(project: Project) -> Iterator[str]:
    """Return the import names of everything in the handlers' folder."""
    folder = project.root / project.handlers
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        if not path.is_dir() and all(part.isidentifier() for part in parts):
            yield ".".join([project.handlers_package, *parts]).removesuffix(".__init__")


@dataclass(frozen=True, slots=True)
class _ImportLint:
    project: Project
    settings: Settings

    def check(self, statement: Import) -> Iterator[CodeFinding]:
        """Check one import statement."""
        root = self.project.root
        if not statement.modules:
            yield statement.finding(rules.MISSING_MODULE, "the package behind the dots")
        for name in statement.modules:
            if not is_local(name, root):
                yield from self._foreign(statement, name)
            elif _path_of(name, root) is None:
                yield statement.finding(rules.MISSING_MODULE, name)
        paths = {name: _path_of(name, root) or "" for name in statement.reached if is_local(name, root)}
        outside = [name for name, path in paths.items() if path.endswith(".py") and not self._is_uploaded(path)]
        if outside and self._is_uploaded(statement.path):
            yield statement.finding(rules.NOT_UPLOADED, outside[-1])

    def _is_uploaded(self, path: str) -> bool:
        return is_uploaded(path, self.project, self.settings)

    def _foreign(self, statement: Import, module: str) -> Iterator[CodeFinding]:
        """Check a module that is not of the project, and the names that are taken from it."""
        top, names = module.partition(".")[0], (module, *statement.names)
        known = next((one for each in names for one in MODULES if f"{each}.".startswith(f"{one}.")), None)
        if known is not None and not (statement.names and HARMLESS.issuperset(statement.names)):
            yield statement.finding(MODULES[known], known)
            if MODULES[known].verdict is FAIL:
                return  # it cannot work, whichever package contains it
        absence = None if top in _PRESENT else rule_of_absence(top, self.settings.dependencies)
        if absence is not None:
            yield statement.finding(absence, top)
        elif excluded := [(name, pattern) for name in names for pattern in self._patterns(name)]:
            yield statement.finding(rules.EXCLUDED, excluded[0][0], f" by {shown(excluded[0][1])}")

    def _patterns(self, name: str) -> Sequence[str]:
        """Return the patterns that leave a module out."""
        top, _, public = name.partition(".")
        if top == "anyio":  # anyio imports other parts of itself late.
            return patterns_within(top, self.settings.excluded)
        home = f"{top}.{HOME_OF[public]}" if top == "server_jobs" and public in HOME_OF else name
        path = home.replace(".", "/")
        return patterns_taking((f"{path}.py", f"{path}/__init__.py"), self.settings.excluded)


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement, in a file with a path relative to the project's root.

    It fails without its `modules`, which are empty if it leads out of the package. Its `names` are modules, or names
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
        """Return every imported name that may be a module."""
        return (*self.modules, *self.names)

    def finding(self, rule: Rule, subject: str, more: str = "") -> CodeFinding:
        """Return a finding at this import: `subject`, the rule's reason, then `more`."""
        return rule.found(self.path, f"{subject} {rule.why}{more}", self.line, self.column)


def _imports_from(names: Iterable[str], root: Path) -> Iterator[Import | CodeFinding]:
    """Find the imports in these modules, in the packages around them, and in every module that those import."""
    waiting, seen = list(names), {""}
    while waiting:
        name = waiting.pop()
        if name not in seen and is_local(name, root):
            seen.add(name)
            path, around = _path_of(name, root) or "", name.rpartition(".")[0]
            package = name if path.endswith("/__init__.py") else around
            found = list(_imports(path, root, package)) if path.endswith(".py") else []
            yield from found
            waiting += [around, *(inner for one in found if isinstance(one, Import) for inner in one.reached)]


@cache  # cached for one check, which looks up the same modules again and again
def _path_of(name: str, root: Path) -> str | None:
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
    paths = [path for one in names if (path := _path_of(one, root)) is not None]
    return any(path.endswith(".py") for path in paths) or (bool(paths) and not is_installed(top))


def _imports(path: str, root: Path, package: str) -> Iterator[Import | CodeFinding]:
    """Find every import in a file, except imports for type checkers and imports whose failure is handled."""
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
