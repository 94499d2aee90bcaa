"""The program of handler processes, whose handlers use all databases."""

from __future__ import annotations

import os

from ..engine.backend import Backend
from ..engine.handler_process.environment import run_handlers_here
from ..engine.handler_process.program import serve
from ..registry import JobRegistry
from ..resources import OpenLifespans
from .databases import Databases


def main(descriptor: int) -> None:
    """Serve the worker at the other end of the socket until the socket is closed."""
    serve(descriptor, _backend_of)


def _backend_of(database: str, registry: JobRegistry, lifespans: OpenLifespans) -> Backend:
    databases = Databases(registry, made=lambda backend: run_handlers_here(backend, lifespans))
    return next(databases[name] for name in databases if os.environ.get(databases.routing.variables[name]) == database)
