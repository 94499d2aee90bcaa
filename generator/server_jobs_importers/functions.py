"""Jobs from functions with type hints: `shop.tasks:send_email`, or every public function of a module."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from .found_job import Found, FoundJob, ImportSourceError, found_each, joined
from .modules import ModuleTarget, defined_in, import_target
from .signatures import job_of_function


def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
    """Return the jobs of functions. See `Source`."""
    return joined(_found(import_target(target, folders)) for target in targets)


def _found(target: ModuleTarget) -> Found:
    if target.attribute is not None:
        return found_each([(target.place, target.value)], _job)
    functions = defined_in(target.module, inspect.isfunction)
    if not functions:
        raise ImportSourceError(f"{target.place} defines no public function; name one, such as shop.tasks:send_email")
    return found_each(((f"{target.place}:{name}", function) for name, function in functions.items()), _job)


def _job(place: str, function: object) -> FoundJob:
    if not callable(function):
        raise ImportSourceError(f"it must be a function, not {type(function).__name__}")
    return job_of_function(function, name=place.rpartition(":")[2].rpartition(".")[2], place=place)
