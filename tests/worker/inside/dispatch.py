"""Calls the class `Default` of a main module, as workerd does. Runs inside workerd, in Pyodide."""

from importlib import import_module
from inspect import isawaitable, isclass, signature
from types import ModuleType
from typing import Any

workers = import_module("workers")  # exists in a Worker only


async def call(worker: object, name: str, *arguments: object) -> object:
    """Call the handler of one event. A `fetch` may take fewer arguments; a `scheduled` takes all of them."""
    method = getattr(worker, name)
    given = [workers.python_from_rpc(argument) for argument in arguments]
    if name == "fetch":
        given = given[: len(signature(method).parameters)]
    result: Any = method(*given)
    return workers.python_to_rpc(await result if isawaitable(result) else result)


def check(main: ModuleType) -> None:
    """Raise `TypeError` for a main module that is no Worker."""
    entrypoint = getattr(main, "Default", None)
    if not (isclass(entrypoint) and issubclass(entrypoint, workers.WorkerEntrypoint)):
        raise TypeError("the main module defines no class Default(WorkerEntrypoint)")
