"""Imports at the time of need: a program that uses one job of a hundred waits for the import of one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Generic, TypeVar

V = TypeVar("V")


def imported_when_used(package: str, **modules: str) -> Callable[[str], object]:
    """A `__getattr__` for the package: each of these names is imported from its module when it is first used.

    The modules are named relative to the package: `SendEmail="send_email"`.
    """

    def get_attribute(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{modules[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return get_attribute


class OnDemand(MutableMapping[str, V], Generic[V]):
    """Values by name, in the order of their names' arrival. Some are only promised, and made when they are asked for.

    Asking for the names makes none. What making one raises goes to whoever asks, and the next one tries again.
    """

    def __init__(self) -> None:
        self._made: dict[str, V] = {}
        self._promised: dict[str, Callable[[], V] | None] = {}

    def promise(self, name: str, make: Callable[[], V]) -> None:
        """Let a value be made when it is needed."""
        self._promised[name] = make

    def is_made(self, name: str) -> bool:
        """Whether the value is there, and asking for it costs nothing."""
        return name in self._made

    def __getitem__(self, name: str) -> V:
        make = self._promised[name]
        if make is not None and name not in self._made:
            # Two threads may both make it: the first one's is kept.
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
        return iter(self._promised)

    def __len__(self) -> int:
        return len(self._promised)
