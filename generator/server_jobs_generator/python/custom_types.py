"""The classes of the application for its formats, from `[tool.server-jobs.types]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from server_jobs.contract.formats import FORMATS
from server_jobs.errors import ProjectError

from .code_check import IMPORTABLE


@dataclass(frozen=True, slots=True)
class CustomTypes:
    """The name of the class for each format, and the names to import from each module."""

    class_of: Mapping[str, str] = field(default_factory=dict[str, str])
    imports: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    @property
    def names(self) -> frozenset[str]:
        """The names of all classes."""
        return frozenset(self.class_of.values())


NO_CUSTOM_TYPES = CustomTypes()


def custom_types(types: Sequence[tuple[str, str]]) -> CustomTypes:
    """Return the custom types of a project. Raises `ProjectError` for a format that has a type already, and for a class
    whose name the generated code uses.
    """
    imports: dict[str, frozenset[str]] = {}
    for name, place in types:
        if name in FORMATS:
            raise ProjectError(f"[tool.server-jobs] types.{name}: the format {name!r} has a type already")
        module, _, found = place.partition(":")
        taken = [other for other, names in imports.items() if found in names and other != module]
        if found in IMPORTABLE or taken:
            raise ProjectError(
                f"[tool.server-jobs] types.{name}: generated models use the name {found!r} for another class; "
                f"give {place} another name"
            )
        imports[module] = imports.get(module, frozenset()) | {found}
    return CustomTypes({name: place.partition(":")[2] for name, place in types}, imports)
