"""What is imported: is it there in a Worker, is it of any use there, and is it uploaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from server_jobs import HOME_OF

from ..problems.problem import shown
from .exclusions import Exclusions
from .finding import CodeFinding
from .modules import Modules, imported, required
from .names import GONE, MODULES, NEEDS, RUNTIME, is_standard
from .packages import Packages, is_installed
from .rules import EXCLUDED, MISSING_MODULE, MISSING_PACKAGE, NOT_INSTALLED, NOT_UPLOADED
from .scope import import_names
from .source import Source
from .upload import Upload
from .walk import Place

_REPORTED_ELSEWHERE = {"server_jobs"}
"""`worker-package` reports once that the engine is no dependency, not again at each import."""


@dataclass(frozen=True, slots=True)
class ImportLint:
    """Knows the project's modules, what is uploaded of them and of packages, and what the dependencies bring along."""

    modules: Modules
    upload: Upload
    packages: Packages
    exclusions: Exclusions

    def check(self, source: Source) -> Iterator[CodeFinding]:
        """Every import of a module, wherever it stands; those that are prepared to fail may."""
        for place in self.modules.places_of(source):
            if isinstance(place.node, ast.Import | ast.ImportFrom) and not place.is_guarded:
                yield from self._check(source, place, place.node)

    def _check(self, source: Source, place: Place, node: ast.Import | ast.ImportFrom) -> Iterator[CodeFinding]:
        if isinstance(node, ast.ImportFrom) and import_names(node, source.package) is None:
            yield source.finding(node, MISSING_MODULE, "." * node.level, "leads out of the package of this module")
        for name in required(place, source.package):
            if (isinstance(node, ast.ImportFrom) and node.level) or self.modules.is_local(name):
                yield from self._check_local(source, node, name)
            else:
                yield from self._check_foreign(source, node, name)
        paths = [(name, self.modules.path_of(name)) for name in imported(place, source.package)]
        outside = [name for name, path in paths if path is not None and not self.upload.has(path)]
        if outside and self.upload.has(source.path):
            yield source.finding(node, NOT_UPLOADED, outside[-1])

    def _check_local(self, source: Source, node: ast.stmt, name: str) -> Iterator[CodeFinding]:
        if self.modules.path_of(name) is None and not self.modules.is_folder(name):
            yield source.finding(node, MISSING_MODULE, name)

    def _check_foreign(self, source: Source, node: ast.Import | ast.ImportFrom, name: str) -> Iterator[CodeFinding]:
        top = name.partition(".")[0]
        candidates = [name] if isinstance(node, ast.Import) else [name, *(f"{name}.{one.name}" for one in node.names)]
        known = next((module for one in candidates for module in MODULES if f"{one}.".startswith(f"{module}.")), None)
        if known is not None:
            yield source.finding(node, MODULES[known], known)
        if known is not None and MODULES[known].since is None:
            return  # it cannot work, whoever brings it
        if top in GONE:
            yield source.finding(node, MISSING_MODULE, top, f"cannot be imported: {GONE[top]}")
        elif (
            top not in _REPORTED_ELSEWHERE and not (top in RUNTIME or is_standard(top)) and self.packages.may_lack(top)
        ):
            yield self._lacking(source, node, top)
        else:
            yield from self._check_excluded(source, node, candidates)

    def _lacking(self, source: Source, node: ast.stmt, module: str) -> CodeFinding:
        if self.packages.lacks(module):
            return source.finding(node, MISSING_PACKAGE, module)
        if not is_installed(module):
            return source.finding(node, NOT_INSTALLED, module)
        absent = " and ".join(self.packages.absent)
        why = f"is in no dependency of the Worker that is installed here, and what {absent} brings cannot be told"
        return source.finding(node, NOT_INSTALLED, module, why)

    def _check_excluded(self, source: Source, node: ast.stmt, candidates: list[str]) -> Iterator[CodeFinding]:
        for module in candidates:
            why = self._why_excluded(module)
            if why is not None:
                yield source.finding(node, EXCLUDED, module, why)
                return

    def _why_excluded(self, module: str) -> str | None:
        pattern = self.exclusions.pattern_of(_home(module))
        if pattern is not None:
            return f"{EXCLUDED.why} by {shown(pattern)}"
        package = NEEDS.get(module, NEEDS.get(module.partition(".")[0]))
        numbers = [] if package is None else self.exclusions.patterns_within(package)
        return f"imports late what {EXCLUDED.why} by {self.exclusions.listed(numbers)}" if numbers else None


def _home(name: str) -> str:
    """The module that something is really in, where a public name of the runtime is taken from its top."""
    package, _, public = name.partition(".")
    return f"{package}.{HOME_OF[public]}" if package == "server_jobs" and public in HOME_OF else name
