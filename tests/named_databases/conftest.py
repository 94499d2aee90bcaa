"""The databases `eu` and `us`, in files with their names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from server_jobs.stores.opening import store_of
from server_jobs.stores.sql.store import SqlStore

from tests.conformance.postgres_databases import new_database
from tests.conformance.stores import create_sqlite_file
from tests.named_databases.holding import hold_name

from .letters import NAMES, VARIABLES


async def name_database(url: str, name: str) -> None:
    """Do what `server-jobs migrate --database NAME` does last."""
    store = store_of(url, None)
    assert isinstance(store, SqlStore)
    await store.open()
    await hold_name(store, name, VARIABLES.get(name, "A_VARIABLE"))
    await store.close()


@contextmanager
def named_databases(kind: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """Yield the URLs of two databases of this kind, with tables and names."""
    with ExitStack() as databases:
        urls: dict[str, str] = {}
        for name in NAMES:
            if kind == "postgresql":
                urls[name] = databases.enter_context(new_database())
            else:
                create_sqlite_file(folder / f"{name}.sqlite3")
                urls[name] = f"sqlite:///{folder / name}.sqlite3"
            asyncio.run(name_database(urls[name], name))
        yield urls


@pytest.fixture
def urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, str]]:
    """The URLs of two SQLite files by name, also in the variables of the registry."""
    with named_databases("sqlite", tmp_path) as found:
        for name, url in found.items():
            monkeypatch.setenv(VARIABLES[name], url)
        yield found
