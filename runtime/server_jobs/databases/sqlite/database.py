"""The SQLite adapter, on the standard library. Several processes may share a file.

WAL mode: readers and the writer do not wait for each other. `synchronous=FULL`: a committed job survives a power cut;
writes that arrive together share one commit, which keeps this cheap. `BEGIN IMMEDIATE`: a transaction that reads first
and writes later would fail at once, in spite of any timeout, if another process wrote in between.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from ...domain.clock import SQLITE_NOW
from ...domain.interfaces import Wake
from ...errors import DatabaseError, SchemaMissingError
from ..url import DATABASE_URL, DEFAULT_FILE
from .connection import Call, Rows
from .thread import SqliteThread
from .watcher import watch_file

OLDEST_SQLITE = (3, 38)  # the first version with the operator `->>`
WAL_RESET_FIXED = (3, 51, 3)


class SqliteDatabase:
    """One SQLite file, or `":memory:"`.

    The connection lives in its own thread and serves every event loop of this process. `busy_timeout` limits the wait
    for transactions of other processes; afterwards `DatabaseBusyError` is raised, and nothing was written. With
    `only_reads`, writes are refused and the file stays unchanged, without a new WAL.
    """

    name = "sqlite"
    now = f"(SELECT {SQLITE_NOW})"  # evaluated once per statement instead of once per row

    def __init__(
        self, path: str | Path, *, busy_timeout: timedelta = timedelta(seconds=30), only_reads: bool = False
    ) -> None:
        self.path = str(path)
        self._only_reads = only_reads
        self._busy_timeout = busy_timeout.total_seconds()
        self._thread: SqliteThread | None = None
        self._process = 0
        self._ends: set[Callable[[], None]] = set()

    async def open(self) -> None:
        """Like `Database.open`, for an existing file.

        Raises `SchemaMissingError` if there is no file, and `DatabaseError` for a SQLite library older than 3.38.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise DatabaseError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed; "
                "use a Python that is linked against a newer one"
            )
        if self._thread is None:
            self.check_file()
            self._thread = thread = SqliteThread(self.path, patience=self._busy_timeout, only_reads=self._only_reads)
            self._process = os.getpid()
            self._stop_when_forgotten = weakref.finalize(self, thread.stop)
            self._stop_when_forgotten.atexit = False  # not needed at the end of the program
            try:
                await thread.start()
            except Exception:  # a caller that is cancelled leaves it to the others
                self._thread = None
                raise

    def check_file(self, variable: str = DATABASE_URL) -> None:
        """Raise `SchemaMissingError` if there is no file. `server-jobs migrate` creates it.

        The error for the default file names the variable with the URL, if it is not set.
        """
        path = Path(self.path)
        if self.path == ":memory:" or path.exists():
            return
        is_default = path.name == DEFAULT_FILE and not os.environ.get(variable)
        raise SchemaMissingError(
            f"there is no SQLite database {path.absolute()}", variable=variable if is_default else None
        )

    async def close(self) -> None:
        """Like `Database.close`. Concurrent and repeated calls are allowed."""
        for end in tuple(self._ends):
            end()
        thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid():
            self._stop_when_forgotten.detach()
            await thread.stopped()

    async def run(self, *calls: Call, look: Call | None = None) -> Rows:
        """Like `Database.run`. Waiting calls share a commit; each one is applied completely or not at all."""
        return await self._opened().run(calls, look)

    def watch(self, wake: Wake) -> Callable[[], None]:
        """Like `Database.watch`, usually within 2 ms of a commit of another connection.

        Own commits do not wake. There are at most 500 wakes per second, and at most 50 if the wakes lead to no write
        of this connection.
        """
        thread = self._opened()
        if self.path == ":memory:" or sys.platform == "emscripten":
            return lambda: None
        loop = asyncio.get_running_loop()

        def wake_here() -> None:
            wake(is_for_jobs=thread.looks.are_of_use)

        def changed() -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(wake_here)

        def written() -> float:
            thread.file_written()
            return thread.looks.gap

        unwatch = thread.watch(changed)
        unwatch_file = watch_file(Path(self.path + "-wal"), written)

        def end() -> None:
            unwatch()
            unwatch_file()
            self._ends.discard(end)

        self._ends.add(end)
        return end

    def announce(self) -> None:
        """Do nothing: watchers see the write to the file."""

    def _opened(self) -> SqliteThread:
        if self._thread is None:
            raise DatabaseError(f"the SQLite database {self.path} is not open; call `open()` (or `initialize()`) first")
        if self._process != os.getpid():
            raise DatabaseError(
                f"the SQLite database {self.path} was opened by the process {self._process}, of which this is a fork; "
                "open it after the fork, in each process"
            )
        return self._thread


def wal_reset_warning() -> str | None:
    """Return a warning for files with several writers, if this SQLite version has the WAL-reset bug; else None."""
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return None
    return (
        f"SQLite {sqlite3.sqlite_version} can, very rarely, corrupt a WAL database that several processes write to; "
        "run one worker process, or a Python that is linked against SQLite 3.51.3 or newer"
    )
