"""What a command works on: the project, its registry, its database. Nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from server_jobs.connection import connect
from server_jobs.databases.opening import open_database
from server_jobs.databases.sqlite.database import SqliteDatabase
from server_jobs.databases.url import DATABASE_URL, DEFAULT_URL, database_url, is_postgres, without_password
from server_jobs.domain.interfaces import Database
from server_jobs.engine.backend import DEFAULT_CONCURRENCY, DEFAULT_LOCK_TIMEOUT, DEFAULT_POLL_INTERVAL, Backend
from server_jobs.errors import DatabaseError, InvalidOptionError, ProjectError, ProjectNotFoundError, SchemaMissingError
from server_jobs.project import Project, find_project
from server_jobs.registry import JobRegistry
from server_jobs.stores.sql import SqlStore

from .registry_import import import_registry


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Made of the options that commands share; each of them overrides what the project says."""

    folder: Path
    database: str | None = None
    registry_place: str | None = None

    @cached_property
    def project(self) -> Project | None:
        """The project the folder is in, None outside of one. Raises `ProjectError` for settings that cannot be used."""
        try:
            return find_project(self.folder)
        except ProjectNotFoundError:
            return None

    def required_project(self) -> Project:
        """The project. Raises `ProjectError` when there is none."""
        return self.project or find_project(self.folder)

    @cached_property
    def url(self) -> str:
        """The URL of the database. May hold a password: show `shown_url`.

        The default is a file in the project's folder, wherever in it the command is run.
        """
        url = database_url(self.database, variable=self.database_url_env)
        if url == DEFAULT_URL and self.project is not None and self.project.root != Path.cwd():
            return f"sqlite:///{self.project.root / DEFAULT_URL.removeprefix('sqlite:///')}"
        return url

    @property
    def database_url_env(self) -> str:
        """The environment variable that holds the URL of the database."""
        return self.project.database_url_env if self.project else DATABASE_URL

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return without_password(self.url)

    @cached_property
    def schema(self) -> str | None:
        """The PostgreSQL schema of the tables; None: the first one of the connection's search path."""
        if self.project is not None:
            return self.project.schema
        return self.registry.database_schema if self.registry_place else None

    @property
    def shown_place(self) -> str:
        """The URL without its password, and the schema."""
        is_used = self.schema is not None and is_postgres(self.url)
        return f"{self.shown_url} (schema {self.schema})" if is_used else self.shown_url

    @property
    def import_folders(self) -> list[str]:
        """Where the project's modules are imported from: what a `[tool.server-jobs]` path starts at."""
        root = self.project.root if self.project else self.folder.absolute()
        return [str(root), str(root / "src")] if (root / "src").is_dir() else [str(root)]

    @cached_property
    def registry(self) -> JobRegistry:
        """The jobs of the project. Raises `ProjectError` if they are not generated yet or cannot be imported."""
        return import_registry(self.registry_place or self._generated_registry(), self.import_folders)

    def open_database(self, *, only_reads: bool = False) -> Database:
        """The database, not connected yet. Raises `DatabaseError` where it is plain that it cannot be used.

        With `only_reads` a SQLite file stays as it is.
        """
        try:
            database = open_database(self.url, schema=self.schema)
        except InvalidOptionError as error:
            raise DatabaseError(str(error)) from error
        if isinstance(database, SqliteDatabase):
            if not _exists(database):
                raise SchemaMissingError(f"there is no SQLite database {Path(database.path).absolute()}")
            return SqliteDatabase(database.path, only_reads=only_reads)
        return database

    @asynccontextmanager
    async def open_store(self, *, only_reads: bool = False) -> AsyncIterator[SqlStore]:
        """The stored jobs, for commands that need no registry; with `only_reads`, for those that change nothing."""
        store = SqlStore(self.open_database(only_reads=only_reads))
        try:
            await store.open()
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def open_backend(
        self,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
    ) -> AsyncIterator[Backend]:
        """A backend on the database, with every job bound to it."""
        registry = self.registry
        self.open_database()
        async with connect(
            registry,
            self.url,
            max_concurrency=concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        ) as backend:
            yield backend

    def _generated_registry(self) -> str:
        project = self.required_project()
        path = project.root / project.output / "registry.py"
        if not path.is_file():
            raise ProjectError(
                f"nothing is generated yet, there is no {path}; run `server-jobs generate`, "
                "or name a registry of your own with --registry MODULE:ATTRIBUTE"
            )
        return f"{project.output_package}.registry:registry"


def _exists(database: SqliteDatabase) -> bool:
    return database.path == ":memory:" or Path(database.path).is_file()
