"""Plug-ins: parts of other installed packages, found by their entry points.

A seam is a group of entry points, and everything in it has one type. The name of an entry point is the name of the
plug-in. Nothing is searched in a Worker, whose entry names what it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ..errors import ProjectError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

HAS_PACKAGES = sys.platform != "emscripten"


@dataclass(frozen=True, slots=True)
class Seam(Generic[T]):
    """A group of entry points whose values have the type `T`."""

    group: str
    """The name of the group, such as `server_jobs.commands`."""
    expected: str
    """The type in words for errors, such as `a click command`."""
    accepts: Callable[[object], bool]
    """Whether a value has the type `T`."""

    def names(self) -> Sequence[str]:
        """Return the names of all plug-ins of this seam, sorted. None of them is imported."""
        return sorted({one.name for one in self._entry_points()})

    def find(self, name: str) -> T | None:
        """Return what the plug-in of this name brings; None if there is none.

        Raises `ProjectError` if two packages have a plug-in of this name, if it cannot be imported, or if its value is
        not of the expected type.
        """
        found = [one for one in self._entry_points() if one.name == name]
        if not found:
            return None
        if len(places := {(_package_of(one), one.value): one for one in found}) > 1:
            packages = " and ".join(sorted(package for package, _ in places))
            raise ProjectError(f"{packages} both bring a plug-in {name!r} for {self.group}; uninstall one of them")
        return self._loaded(found[0])

    def find_own(self, name: str) -> T | None:
        """Return what a plug-in of `server-jobs` itself brings; None if it has none of this name.

        Reads the entry points of one package, which takes a tenth of the time of `find`. Raises as `find` does.
        """
        found = [one for one in _own_entry_points() if (one.group, one.name) == (self.group, name)]
        return self._loaded(found[0]) if found else None

    def all(self) -> Sequence[T]:
        """Return what all plug-ins bring, in the order of their names. Raises as `find` does."""
        return [value for name in self.names() if (value := self.find(name)) is not None]

    def _loaded(self, found: EntryPoint) -> T:
        try:
            value: object = found.load()
        except Exception as error:
            raise ProjectError(
                f"the plug-in {found.name!r} of {_package_of(found)} cannot be imported: {type(error).__name__}: "
                f"{error}; update the package, or uninstall it"
            ) from error
        if not self.accepts(value):
            raise ProjectError(
                f"the plug-in {found.name!r} of {_package_of(found)} must be {self.expected}, and {found.value} is of "
                f"type {type(value).__name__}"
            )
        return cast("T", value)

    def _entry_points(self) -> Sequence[EntryPoint]:
        return _entry_points(self.group, tuple(sys.path)) if HAS_PACKAGES else ()


@lru_cache
def _entry_points(group: str, path: tuple[str, ...]) -> Sequence[EntryPoint]:
    """Return the entry points of a group. A search reads a file of each package, so there is one in a process.

    `path` is `sys.path`: another path has other packages.
    """
    from importlib.metadata import entry_points  # slow, and few processes ask for a plug-in

    del path
    return tuple(entry_points(group=group))


@lru_cache(maxsize=1)
def _own_entry_points() -> Sequence[EntryPoint]:
    """Return the entry points of the package `server-jobs`, of all groups."""
    from importlib.metadata import PackageNotFoundError, distribution  # slow, as above

    try:
        return tuple(distribution("server-jobs").entry_points)
    except PackageNotFoundError:  # a copy of the sources
        return ()


def _package_of(entry_point: EntryPoint) -> str:
    return "an unknown package" if entry_point.dist is None else entry_point.dist.name
