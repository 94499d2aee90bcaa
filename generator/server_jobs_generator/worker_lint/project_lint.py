"""The check of the handlers, and of the modules that they import, for a Cloudflare Worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from server_jobs import HOME_OF
from server_jobs.project import Project

from ..problems.problem import shown
from . import rules
from .configuration import check_configuration
from .exclusions import patterns_taking, patterns_within
from .modules import Import, imports_from, is_local, path_of
from .packages import rule_of_absence
from .rules import FAIL, CodeFinding, Rule
from .settings import Settings, is_uploaded, read_settings

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
"""Modules of no use in a Worker, or that its Python 3.14 comes without."""

HARMLESS = {
    *("threading.Event", "threading.Lock", "threading.RLock", "threading.local", "concurrent.futures.Future"),
    *("subprocess.CalledProcessError", "subprocess.TimeoutExpired", "socket.gaierror", "sqlite3.Error", "sqlite3.Row"),
}
"""Names in such modules that a Worker can use."""

_PRESENT = sys.stdlib_module_names | {"annotationlib", "compression", "js", "pyodide", "workers", "server_jobs"}
"""Modules that no dependency need bring: of Python, of the runtime, and the engine, which `worker-package` checks."""


def check_worker(project: Project) -> tuple[CodeFinding, ...]:
    """Return every finding, in reading order. Nothing of the project is imported."""
    path_of.cache_clear()
    settings = read_settings(project)
    lint = _ImportLint(project, settings)
    found = [*check_configuration(settings)]
    for one in imports_from(_handler_modules(project), project.root):
        if isinstance(one, CodeFinding):
            found.append(one)
        elif not one.is_excused:
            found += lint.check(one)
    return tuple(sorted(set(found)))


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
            elif path_of(name, root) is None:
                yield statement.finding(rules.MISSING_MODULE, name)
        paths = {name: path_of(name, root) or "" for name in statement.reached if is_local(name, root)}
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
                return  # it cannot work, whichever package brings it
        absence = None if top in _PRESENT else rule_of_absence(top, self.settings.dependencies)
        if absence is not None:
            yield statement.finding(absence, top)
        elif excluded := [(name, pattern) for name in names for pattern in self._patterns(name)]:
            yield statement.finding(rules.EXCLUDED, excluded[0][0], f" by {shown(excluded[0][1])}")

    def _patterns(self, name: str) -> Sequence[str]:
        """Return the patterns that leave a module out."""
        top, _, public = name.partition(".")
        if top == "anyio":  # it imports other parts of itself late
            return patterns_within(top, self.settings.excluded)
        home = f"{top}.{HOME_OF[public]}" if top == "server_jobs" and public in HOME_OF else name
        path = home.replace(".", "/")
        return patterns_taking((f"{path}.py", f"{path}/__init__.py"), self.settings.excluded)
