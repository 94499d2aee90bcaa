"""The kinds of sources, by the word of the command. Each is imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from .found_job import Source

SOURCES: Mapping[str, str] = {
    "pydantic": ".pydantic_models",
    "functions": ".functions",
    "json-schema": ".json_schema",
    "openapi": ".openapi",
    "asyncapi": ".asyncapi",
    "celery": ".queues.celery",
    "rq": ".queues.rq",
    "arq": ".queues.arq",
    "dramatiq": ".queues.dramatiq",
    "huey": ".queues.huey",
}
"""The module of each kind. Its function `find` is the source."""

OF_DOCUMENTS = frozenset({"json-schema", "openapi", "asyncapi"})
"""The kinds that read files and import no module."""


def source(kind: str) -> Source:
    """Return the source of a kind, which must be a key of `SOURCES`."""
    return cast("Source", import_module(SOURCES[kind], __package__).find)
