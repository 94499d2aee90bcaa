"""A plugin of pytest: the conformance suite on a database that refuses advisory locks, LISTEN and NOTIFY."""

from __future__ import annotations

import atexit
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import cache

from server_jobs.databases.postgres.database import PostgresDatabase
from server_jobs.domain.interfaces import Store
from server_jobs.schema import metadata
from server_jobs.stores.sql.store import SqlStore
from server_jobs.testing import FakeClock
from sqlalchemy import create_engine

from tests.conformance.postgres_databases import empty
from tests.conformance.stores import STORES

from .refusals import refusing_database


@cache
def _url() -> str:
    stack = ExitStack()
    atexit.register(stack.close)
    url = stack.enter_context(refusing_database()).url
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    engine.dispose()
    return url


@asynccontextmanager
async def open_refusing(clock: FakeClock) -> AsyncIterator[Store]:
    """A store in this database, with empty tables."""
    empty(_url())
    store = SqlStore(PostgresDatabase(_url()), clock)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


STORES.clear()
STORES["postgresql"] = open_refusing
