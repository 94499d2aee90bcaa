"""Late imports: a program that uses one job of a hundred imports one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module


def imported_when_used(package: str, **modules: str) -> Callable[[str], object]:
    """Return a `__getattr__` for a package that imports each of these names at its first use.

    Module names are relative to the package: `SendEmail="send_email"`.
    """

    def get_attribute(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{modules[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return get_attribute
