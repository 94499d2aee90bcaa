"""Calls the classes of a main module, as workerd does. Runs inside workerd, in Pyodide."""

from collections.abc import Iterable
from importlib import import_module
from inspect import isawaitable, isclass, signature
from types import ModuleType
from typing import Any

workers = import_module("workers")  # exists in a Worker only


async def call(instance: object, name: str, *arguments: object) -> object:
    """Call one method of a Worker or an object. A `fetch` may take fewer arguments; all others take what they get."""
    method = getattr(instance, name)
    given = [workers.python_from_rpc(argument) for argument in arguments]
    if name == "fetch":
        given = given[: len(signature(method).parameters)]
    result: Any = method(*given)
    return workers.python_to_rpc(await result if isawaitable(result) else result)


def check(main: ModuleType, objects: Iterable[str]) -> None:
    """Raise `TypeError` unless a main module has a Worker, and the classes of these Durable Objects."""
    _check_class(main, "Default", workers.WorkerEntrypoint)
    for name in objects:
        _check_class(main, name, workers.DurableObject)


def _check_class(main: ModuleType, name: str, base: type) -> None:
    found = getattr(main, name, None)
    if not (isclass(found) and issubclass(found, base)):
        raise TypeError(f"the main module defines no class {name}({base.__name__})")
