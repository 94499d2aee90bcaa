"""The importers of this package. The module of each is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

from .found_job import Found, Source
from .importer import Importer, Reads


def _in_module(name: str) -> Source:
    """Return the function `find` of a module, which is imported at the first call."""

    def find(targets: Sequence[str], folders: Sequence[str]) -> Found:
        return cast("Source", import_module(name, __package__).find)(targets, folders)

    return find


PYDANTIC = Importer(
    summary="Pydantic models",
    example="shop.models:SendEmail",
    reads=Reads.MODULES,
    find=_in_module(".pydantic_models"),
)
FUNCTIONS = Importer(
    summary="functions with type hints",
    example="shop.tasks",
    reads=Reads.MODULES,
    find=_in_module(".functions"),
)
JSON_SCHEMA = Importer(
    summary="JSON Schema",
    example="schemas/*.json",
    reads=Reads.FILES,
    find=_in_module(".json_schema"),
)
OPENAPI = Importer(
    summary="schemas of OpenAPI 3",
    example="openapi.yaml#/components/schemas/Order",
    reads=Reads.FILES,
    find=_in_module(".openapi"),
)
ASYNCAPI = Importer(
    summary="messages of AsyncAPI",
    example="asyncapi.yaml",
    reads=Reads.FILES,
    find=_in_module(".asyncapi"),
)
CELERY = Importer(
    summary="tasks of Celery",
    example="shop.tasks:app",
    reads=Reads.MODULES,
    find=_in_module(".queues.celery"),
)
RQ = Importer(
    summary="functions for RQ",
    example="shop.tasks shop.cron_config",
    reads=Reads.MODULES,
    find=_in_module(".queues.rq"),
)
ARQ = Importer(
    summary="functions of arq",
    example="shop.tasks:WorkerSettings",
    reads=Reads.MODULES,
    find=_in_module(".queues.arq"),
)
DRAMATIQ = Importer(
    summary="actors of Dramatiq",
    example="shop.tasks",
    reads=Reads.MODULES,
    find=_in_module(".queues.dramatiq"),
)
HUEY = Importer(
    summary="tasks of Huey",
    example="shop.tasks",
    reads=Reads.MODULES,
    find=_in_module(".queues.huey"),
)
