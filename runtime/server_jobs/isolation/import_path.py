"""Import paths: the module and the name of a handler or a model, for another process."""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module

from ..errors import InvalidOptionError


def import_path_of(what: str, value: object) -> str:
    """Return `module:name` of an object that another process can import.

    `what` describes the object in the message. Raises `InvalidOptionError` with advice if it cannot be imported.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise _not_importable(what, f"it is an object of {type(value).__name__}, and only what has a name is found")
    if module == "__main__":
        raise _not_importable(what, f"{name} is defined in the program itself, which other processes do not import")
    if "<lambda>" in name:
        raise _not_importable(what, "it is a lambda, which has no name")
    if "<locals>" in name:
        raise _not_importable(what, f"{name.replace('.<locals>', '')} is defined inside a function")
    if _find(sys.modules.get(module), name) is not value:
        raise _not_importable(what, f"{module} has something else, or nothing, under the name {name}")
    return f"{module}:{name}"


def load(path: str) -> object:
    """Import the object with this path. Raises the error of the import."""
    module, _, name = path.partition(":")
    return _find(import_module(module), name)


def _find(module: object, name: str) -> object:
    return reduce(lambda owner, part: getattr(owner, part, None), name.split("."), module)


def _not_importable(what: str, reason: str) -> InvalidOptionError:
    return InvalidOptionError(
        f"{what} cannot run in its own process: {reason}; "
        "define it at the top level of a module that can be imported, or set runIn to worker"
    )
