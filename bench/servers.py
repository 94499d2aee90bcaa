"""The database servers of a run, each started when the first subject needs it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from .fresh_store import FreshStore, NoStore, PostgresStore, SqliteStore
from .postgres_server import postgres_server
from .subject import StoreKind


class Servers:
    """They are stopped when the stack is left."""

    def __init__(self, open_ones: ExitStack) -> None:
        self._open = open_ones
        self._urls: dict[StoreKind, str] = {}

    @property
    def postgresql(self) -> str | None:
        """The URL of PostgreSQL, if a subject needed it."""
        return self._urls.get(StoreKind.POSTGRESQL)

    def store(self, kind: StoreKind, name: str, folder: Path) -> FreshStore:
        """A store for the subject of that name. Raises `NoServerError`."""
        match kind:
            case StoreKind.POSTGRESQL:
                database = re.sub(r"\W", "_", f"bench_{os.getpid()}_{name}")
                return PostgresStore(self._url(kind, postgres_server), database)
            case StoreKind.REDIS:
                # Its client is there only where peers are.
                from .redis_server import redis_server
                from .redis_store import RedisStore

                return RedisStore(self._url(kind, redis_server))
            case StoreKind.SQLITE:
                return SqliteStore(folder)
            case StoreKind.MEMORY:
                return NoStore()

    def _url(self, kind: StoreKind, server: Callable[[], AbstractContextManager[str]]) -> str:
        if kind not in self._urls:
            self._urls[kind] = self._open.enter_context(server())
        return self._urls[kind]
