"""The installed packages that the dependencies of the Worker bring along."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from .rules import MISSING_PACKAGE, NOT_INSTALLED, Rule

ENGINE = "server-jobs"
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_owners = cache(packages_distributions)
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)""")


def rule_of_absence(module: str, dependencies: Sequence[str] | None) -> Rule | None:
    """Return the rule that an import of a package breaks; None if a dependency brings the package along."""
    owners = _owners().get(module)
    if (dependencies is None or owners is None) and is_installed(module):
        return None  # nobody lists the dependencies, or the content of that package
    if dependencies is None:
        return NOT_INSTALLED
    brought = _with_requirements(dependencies)
    if not brought.isdisjoint(map(_plain, owners or ())):
        return None
    is_known = all(_requirements(parsed(one)[0]) is not None for one in dependencies)
    return MISSING_PACKAGE if is_known and _plain(module) not in brought else NOT_INSTALLED


def is_installed(module: str) -> bool:
    """Return whether this machine has a module of that name, with no dot in it. Nothing is imported."""
    return module in _owners() or PathFinder.find_spec(module) is not None


@cache
def needed_modules(dependency: str) -> Sequence[str]:
    """Return the modules at the top of all packages that a dependency needs, without its own."""
    needed = _with_requirements([dependency]) - {parsed(dependency)[0]}
    return sorted(module for module, owners in _owners().items() if not needed.isdisjoint(map(_plain, owners)))


def parsed(requirement: str) -> tuple[str, frozenset[str]]:
    """Return the name of the package that a requirement asks for, and the extras of it."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return "", frozenset()
    return _plain(match[1]), frozenset(_plain(extra.strip()) for extra in (match[2] or "").split(","))


def _with_requirements(requirements: Iterable[str]) -> frozenset[str]:
    """Return the names of these packages and of all that they need."""
    waiting = list(map(parsed, requirements))
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = one = waiting.pop()
        if one not in seen:
            seen.add(one)
            for other in _requirements(name) or ():
                belongs_to = {_plain(extra) for extra in _EXTRA.findall(other)}
                waiting += [parsed(other)] if not belongs_to or belongs_to & extras else []
    return frozenset(name for name, _ in seen)


@cache
def _requirements(name: str) -> Sequence[str] | None:
    """Return the requirements of a package; None if it is not installed here. Each is read once: that is slow."""
    try:
        return requires(name) or []
    except (PackageNotFoundError, ValueError):
        return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
