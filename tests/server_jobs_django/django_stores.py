"""A plugin of pytest: the conformance suite on stores that use Django's connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from server_jobs.domain.interfaces import Store
from server_jobs.testing import FakeClock
from server_jobs_django import database

from tests.conformance.postgres_databases import empty_database
from tests.conformance.stores import STORES, create_sqlite_file

from .conftest import Settings, postgresql, sqlite

settings.configure(DATABASES={"default": sqlite(Path("none"))}, TIME_ZONE="America/Chicago")
django.setup()
database.jobs_alias = lambda: "default"  # without the app and its models


@asynccontextmanager
async def open_sqlite(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in a new SQLite file."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "jobs.sqlite3")
        create_sqlite_file(path)
        async with _open(sqlite(path), clock) as store:
            yield store


@asynccontextmanager
async def open_postgresql(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in a PostgreSQL database with empty tables."""
    with empty_database() as url:
        async with _open(postgresql(url), clock) as store:
            yield store


@asynccontextmanager
async def _open(place: Settings, clock: FakeClock) -> AsyncIterator[Store]:
    def connect() -> database.DjangoDatabase:
        cast("Any", connections).databases["default"].update({"OPTIONS": {}, **place})
        connections["default"] = connections.create_connection("default")
        return database.DjangoDatabase()

    store = database.DjangoStore(await sync_to_async(connect)(), clock)
    try:
        yield store
    finally:
        await sync_to_async(connections.close_all)()


STORES.clear()
STORES.update({"sqlite": open_sqlite, "postgresql": open_postgresql})
