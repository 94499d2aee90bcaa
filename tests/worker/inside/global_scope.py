"""The rule for code that runs while a Worker is deployed: no randomness. Runs inside workerd, in Pyodide.

A main module is imported between `begin` and `end`. A few calls of pydantic are allowed, as in Cloudflare's own package
for Python Workers.
"""

import os
import random
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

host = import_module("worker_host")  # a part of boot.mjs

_ALLOWED = ("Random", "SystemRandom")  # creating these draws nothing
_ANY_NUMBER = float("inf")
_urandom = os.urandom
_state = random.getstate()


def begin() -> None:
    """Refuse randomness from now on."""
    place = next(index for index, path in enumerate(sys.path) if "site-packages" in path)
    sys.path[place:place] = [host.FOLDER, f"{host.FOLDER}/python_modules"]
    sys.meta_path.insert(0, _PydanticCoreFinder())
    host.allowEntropy(0)
    os.urandom = _refuse_urandom
    sys.modules["random"] = _RefusingRandom("random")


def end() -> None:
    """Allow randomness from now on. Raises `RuntimeError` if a shared source was used."""
    host.allowEntropy(_ANY_NUMBER)
    os.urandom = _urandom
    sys.modules["random"] = random
    if random.getstate() != _state:
        raise RuntimeError("random numbers were drawn while the main module was imported")
    random.seed()


def _refuse_urandom(_size: int) -> bytes:
    if sys.modules["random"] is not random:
        raise OSError(29, "Cannot get entropy outside of request context")
    return _urandom(_size)  # a module imported the name


class _RefusingRandom(ModuleType):
    """The module `random`. Modules that import it now keep an object that works later."""

    def __getattr__(self, name: str) -> object:
        value = getattr(random, name)
        if not callable(value) or name in _ALLOWED:
            return value

        def call(*arguments: Any, **named: Any) -> object:
            if sys.modules["random"] is self:
                raise RuntimeError(f"Cannot use random.{name}() outside of request context")
            return value(*arguments, **named)

        return call


class _PydanticCoreFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "pydantic_core" else None
        if spec is not None and spec.loader is not None:
            spec.loader = _PydanticCoreLoader(spec.loader)
        return spec


class _PydanticCoreLoader(Loader):
    """Allows the random values that pydantic_core draws at its import and for its first validator."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        host.allowEntropy(1)
        self._loader.exec_module(module)
        host.allowEntropy(1)
        module.SchemaValidator({"type": "any"})
        host.allowEntropy(0)
