"""Targets in Python modules: `shop.tasks`, or `shop.tasks:send_email`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from types import ModuleType

from server_jobs.errors import ProjectError, ServerJobsError
from server_jobs.project_registry import import_application
from server_jobs_generator.problems.problem import nearest

from .found_job import ANY_ERROR, ImportSourceError, reason


@dataclass(frozen=True, slots=True)
class ModuleTarget:
    """An imported module. `attribute` is the dotted name after the colon, `value` its object; both None without one."""

    module: ModuleType
    attribute: str | None = None
    value: object = None

    @property
    def place(self) -> str:
        """Return the target as it was given."""
        return self.module.__name__ if self.attribute is None else f"{self.module.__name__}:{self.attribute}"

    @property
    def objects(self) -> list[object]:
        """Return the object of the target, or all objects of the module."""
        return [self.value] if self.attribute is not None else [value for _, value in _members(self.module)]


def import_target(target: str, folders: Sequence[str]) -> ModuleTarget:
    """Import `MODULE` or `MODULE:NAME`, with these folders first on the path.

    Raises `ImportSourceError` for an invalid target or a missing name, `ProjectError` if the import fails.
    """
    module_name, colon, attribute = target.partition(":")
    parts = [*module_name.split("."), *(attribute.split(".") if colon else [])]
    if not all(part.isidentifier() for part in parts):
        raise ImportSourceError(f"{target!r} is no module; write MODULE or MODULE:NAME, such as shop.tasks:send_email")
    try:
        module = import_application(module_name, folders)
    except ServerJobsError as error:
        parent, _, name = module_name.rpartition(".")
        if colon or not parent or not str(error).startswith(f"there is no module {module_name} "):
            raise
        raise ProjectError(f"{error}; a name in a module stands after a colon: {parent}:{name}") from error
    except BaseException as error:  # a module may raise anything, such as KeyboardInterrupt
        raise ProjectError(f"{module_name} cannot be imported: {reason(error)}") from error
    if not colon:
        return ModuleTarget(module)
    try:
        value: object = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise ImportSourceError(f"{module_name} has no {attribute!r}{nearest(attribute, vars(module))}") from None
    except ANY_ERROR as error:
        raise ImportSourceError(f"{module_name}:{attribute} cannot be read: {reason(error)}") from error
    return ModuleTarget(module, attribute, value)


def defined_in(module: ModuleType, is_wanted: Callable[[object], bool]) -> dict[str, object]:
    """Return the public objects that a module defines itself, by name, in the order of their definition."""
    return {
        name: value
        for name, value in _members(module)
        if not name.startswith("_") and _is_defined_in(module, value) and is_wanted(value)
    }


def _members(module: ModuleType) -> list[tuple[str, object]]:
    """Return what a module has now. A proxy in it may import more as soon as somebody looks at it."""
    return list(vars(module).items())


def _is_defined_in(module: ModuleType, value: object) -> bool:
    try:
        return inspect.getmodule(value) is module
    except ANY_ERROR:  # a proxy may have no object yet
        return False
