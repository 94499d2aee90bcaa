"""Which installed packages the dependencies of the Worker bring along."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_Named = tuple[str, frozenset[str]]
_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)""")


@dataclass(frozen=True, slots=True)
class Packages:
    """`provided` has what the dependencies bring along, None where that cannot be told; `absent` are those of them that
    are not installed here, so that nobody knows what they bring along.
    """

    provided: frozenset[str] | None
    absent: tuple[str, ...] = ()

    def lacks(self, module: str) -> bool:
        """Whether no dependency brings this module along, for certain."""
        return self.provided is not None and not self.absent and not self._is_provided(module, self.provided)

    def may_lack(self, module: str) -> bool:
        """Whether a dependency that is not installed here would have to bring this module along."""
        if self.provided is None:
            return not is_installed(module)
        return not self._is_provided(module, self.provided) or not is_installed(module)

    @staticmethod
    def _is_provided(module: str, provided: frozenset[str]) -> bool:
        owners = _owners().get(module)
        if owners is None:  # of a package that is installed without saying what is in it, or of none
            return is_installed(module) or _plain(module) in provided
        return not provided.isdisjoint(map(_plain, owners))


def read_packages(dependencies: Iterable[str] | None) -> Packages:
    """What the dependencies bring along, those of theirs included."""
    if dependencies is None:
        return Packages(None)
    listed = {dependency: _named(dependency) for dependency in dependencies}
    absent = tuple(dependency for dependency, (name, _) in listed.items() if _requirements(name) is None)
    return Packages(_with_requirements(listed.values()), absent)


@cache
def is_installed(module: str) -> bool:
    """Whether there is a module of that name, with no dot in it, where this runs. Nothing is imported."""
    try:
        return module in _owners() or find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def needed_modules(dependency: str) -> list[str]:
    """The modules at the top of all packages that a dependency needs, itself aside; none if it is not installed."""
    named = _named(dependency)
    needed = _with_requirements([named]) - {named[0]}
    return sorted(module for module, owners in _owners().items() if not needed.isdisjoint(map(_plain, owners)))


def extras_of(requirement: str, name: str) -> frozenset[str]:
    """The extras of that distribution that a requirement asks for; none if it asks for another one."""
    named, extras = _named(requirement)
    return extras if named == name else frozenset()


def is_requirement_of(requirement: str, name: str) -> bool:
    """Whether a requirement asks for that distribution."""
    return _named(requirement)[0] == name


def _with_requirements(waiting: Iterable[_Named]) -> frozenset[str]:
    """These distributions, and all that they need."""
    waiting = list(waiting)
    seen: set[_Named] = set()
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            name, extras = one
            waiting.extend(_named(other) for other in _requirements(name) or () if _is_asked_for(other, extras))
    return frozenset(name for name, _ in seen)


@cache
def _owners() -> Mapping[str, Sequence[str]]:
    """The distributions that each module is part of; one look at all that is installed takes a moment."""
    from importlib.metadata import packages_distributions

    return packages_distributions()


@cache
def _requirements(name: str) -> list[str] | None:
    """Return the requirements of a distribution; None if it is not installed here. Each is read once: that is slow."""
    # Imported where it is needed: it brings what reads mail along.
    from importlib.metadata import PackageNotFoundError, requires

    try:
        return requires(name) or []
    except (PackageNotFoundError, ValueError):
        return None


def _is_asked_for(requirement: str, extras: frozenset[str]) -> bool:
    """Whether a distribution needs this with these extras; it may be for machines of another kind."""
    belongs_to = _EXTRA.findall(requirement)
    return not belongs_to or not extras.isdisjoint(map(_plain, belongs_to))


def _named(requirement: str) -> _Named:
    """The name of a distribution, and the extras of it that are asked for."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return "", frozenset()
    return _plain(match[1]), frozenset(_plain(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
