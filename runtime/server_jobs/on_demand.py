"""Late imports: a program that uses one job of a hundred imports one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Generic, TypeVar

V = TypeVar("V")


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


class OnDemand(MutableMapping[str, V], Generic[V]):
    """A mapping whose values may be made at the first access. It keeps the order of insertion.

    Listing the names makes no value. If making a value raises, the reader gets the error and the next reader retries.
    """

    def __init__(self) -> None:
        self._made: dict[str, V] = {}
        self._promised: dict[str, Callable[[], V] | None] = {}

    def promise(self, name: str, make: Callable[[], V]) -> None:
        """Set the function that makes the value at the first access."""
        self._promised[name] = make

    def is_made(self, name: str) -> bool:
        """Whether the value was made already."""
        return name in self._made

    def __getitem__(self, name: str) -> V:
        make = self._promised[name]
        if make is not None and name not in self._made:
            # If two threads make the value, keep the first.
            self._made.setdefault(name, make())
        return self._made[name]

    def __setitem__(self, name: str, value: V) -> None:
        self._promised[name] = None
        self._made[name] = value

    def __delitem__(self, name: str) -> None:
        del self._promised[name]
        self._made.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._promised

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._promised))  # another thread may add a name meanwhile

    def __len__(self) -> int:
        return len(self._promised)
