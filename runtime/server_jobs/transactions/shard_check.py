"""Whether a transaction of the application is in the shard of the jobs that it stores.

A wrong database is refused only if it is certain. On SQLite, the files of the connection are compared with the file of
the shard. A PostgreSQL server can have several addresses, so an unknown address says nothing: a connection is refused
if it has the address of another shard. Shards that are schemas of one database differ by the schema of `jobs`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..databases.postgres.url import PostgresUrl
from ..definition import AnyDefinition
from ..domain.interfaces import Database
from ..domain.record import NewJob
from ..errors import InvalidOptionError, JobNotBoundError
from ..stores.rows import text_of
from ..stores.sharded import ShardedStore
from .address import Address, address_of

Steps = Generator[tuple[str, tuple[()]], Sequence[Sequence[Any]], None]

_POSTGRES = "postgresql"
_FILES = "PRAGMA database_list"
_SCHEMA_OF_JOBS = (
    "SELECT nspname FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid "
    "WHERE pg_class.oid = to_regclass('jobs')"
)
_ONE_SCHEMA = re.compile(r"-c ?search_path=([a-z_][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class ShardCheck:
    """The shard of the jobs of one call. `databases` has the SQL databases of all shards by name."""

    job_name: str
    shard: str
    databases: Mapping[str, Database]

    def check_kind(self, dialect: str) -> None:
        """Raise `InvalidOptionError` if the shard is another kind of database."""
        database = self.databases.get(self.shard)
        if database is not None and (database.name == _POSTGRES) != (dialect == _POSTGRES):
            raise self._refused(f"the transaction is on {dialect}, and the shard {self.shard} is on {database.name}")

    def steps(self, dialect: str, connection: object, schema: str | None) -> Steps:
        """Yield statements and receive their rows. Raises `InvalidOptionError` if the database is a wrong one."""
        self.check_kind(dialect)
        if dialect == "sqlite":
            yield from self._sqlite_steps()
        elif (address := address_of(connection)) is not None:
            yield from self._postgres_steps(address, schema)

    def _sqlite_steps(self) -> Steps:
        opened = [text_of(file) for _, _, file in (yield _FILES, ()) if file]
        paths = {name: str(getattr(database, "path", "")) for name, database in self.databases.items()}
        here = [name for name, path in paths.items() if any(_is_same(path, file) for file in opened)]
        # A path that does not exist is ":memory:", or relative to another folder.
        if self.shard not in here and (here or Path(paths.get(self.shard, "")).is_file()):
            raise self._in(here)

    def _postgres_steps(self, address: Address, schema: str | None) -> Steps:
        urls = {
            name: url
            for name, one in self.databases.items()
            if isinstance(url := getattr(one, "url", None), PostgresUrl)
        }
        here = [name for name, url in urls.items() if address in _addresses(url)]
        if here in ([], [self.shard]):
            return
        wanted = None if schema or self.shard not in urls else _schema_of(urls[self.shard])
        if wanted is not None:
            found = [text_of(name) for (name,) in (yield _SCHEMA_OF_JOBS, ())]
            if found and found != [wanted]:
                raise self._in([name for name in here if _schema_of(urls[name]) in found])
        elif self.shard not in here:
            raise self._in(here)

    def _in(self, here: Sequence[str]) -> InvalidOptionError:
        place = f"the database of the shard {here[0]}" if here else "a database that is no shard"
        return self._refused(f"the transaction is in {place}, and the shard of these params is {self.shard}")

    def _refused(self, problem: str) -> InvalidOptionError:
        return InvalidOptionError(
            f"{self.job_name} cannot be stored here: {problem}; begin the transaction in the database of the shard "
            f"{self.shard}, or call `later`, which finds it"
        )


def shard_check(job: AnyDefinition, jobs: Sequence[NewJob]) -> ShardCheck | None:
    """Return the check for jobs of one call; None without shards, or if the class has no backend.

    Raises `InvalidOptionError` for jobs of several shards.
    """
    try:
        store = job.current_backend().store
    except JobNotBoundError:
        return None  # a job class needs no backend here
    if not isinstance(store, ShardedStore) or not jobs:
        return None
    shards = sorted({*store.shards_of_new(jobs)})
    if len(shards) > 1:
        raise InvalidOptionError(
            f"the jobs {job.job_name} are in several shards ({', '.join(shards)}), and a transaction is in one; make "
            "one call for each shard, in a transaction of its database"
        )
    return ShardCheck(job.job_name, shards[0], dict(_databases(store)))


def database_steps(dialect: str, connection: object) -> Generator[tuple[str, tuple[()]], Sequence[Sequence[Any]], str]:
    """Yield statements, receive their rows, and return the database of a transaction for an error message."""
    if dialect == "sqlite":
        files = [text_of(file) for _, _, file in (yield _FILES, ()) if file]
        return files[0] if files else "a database in memory"
    address = address_of(connection)
    return "this database" if address is None else "{}:{}/{}".format(*address)


def _databases(store: ShardedStore) -> Iterator[tuple[str, Database]]:
    for name, one in store.stores.items():
        database: object = getattr(one, "database", None)
        if isinstance(database, Database):
            yield name, database


def _addresses(url: PostgresUrl) -> list[Address]:
    return [] if url.database is None else [(host.name, host.port, url.database) for host in url.hosts]


def _schema_of(url: PostgresUrl) -> str | None:
    """Return the only schema in the search path of a URL; None if it has none or several."""
    options = url.options.of_asyncpg
    found = _ONE_SCHEMA.fullmatch(options.get("options") or f"-csearch_path={options.get('search_path', '')}")
    return None if found is None else found[1]


def _is_same(path: str, file: str) -> bool:
    try:
        return Path(path).samefile(file)
    except OSError:
        return False
