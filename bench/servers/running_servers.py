"""The database servers of a run. Each starts when the first subject needs it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.servers.fresh_store import FreshStore, NoStore, PostgresStore, SqliteStore
from bench.servers.postgres_server import postgres_server
from bench.subject import StoreKind


class Servers:
    """The servers of a run. They stop when the exit stack closes."""

    def __init__(self, open_ones: ExitStack) -> None:
        self._open = open_ones
        self._urls: dict[StoreKind, str] = {}

    @property
    def postgresql(self) -> str | None:
        """The URL of PostgreSQL, if a subject needed it."""
        return self._urls.get(StoreKind.POSTGRESQL)

    def store(self, kind: StoreKind, name: str, folder: Path) -> FreshStore:
        """Return a store for the subject with this name. Raises `NoServerError`."""
        match kind:
            case StoreKind.POSTGRESQL:
                database = re.sub(r"\W", "_", f"bench_{os.getpid()}_{name}")
                return PostgresStore(self._url(kind, postgres_server), database)
            case StoreKind.REDIS:
                # The Redis client is installed only with the other queues.
                from bench.servers.redis_server import redis_server
                from bench.servers.redis_store import RedisStore

                return RedisStore(self._url(kind, redis_server))
            case StoreKind.SQLITE:
                return SqliteStore(folder)
            case StoreKind.MEMORY:
                return NoStore()

    def _url(self, kind: StoreKind, server: Callable[[], AbstractContextManager[str]]) -> str:
        if kind not in self._urls:
            self._urls[kind] = self._open.enter_context(server())
        return self._urls[kind]
