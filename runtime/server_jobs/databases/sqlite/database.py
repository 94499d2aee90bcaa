"""SQLite through the standard library: durable, one short write transaction at a time, safe among processes.

WAL, so that readers and the writer do not wait for each other; `synchronous=FULL`, so that a committed job survives a
power cut, and one commit for the writes that arrive together, so that this is cheap; `BEGIN IMMEDIATE`, because a
transaction that reads first and writes later fails at once, whatever the timeout, when another process wrote meanwhile.
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
from ...errors import DatabaseError
from .connection import Call, Rows
from .file_watcher import watch_file
from .thread import SqliteThread

OLDEST_SQLITE = (3, 38)  # the first with the operator `->>`
WAL_RESET_FIXED = (3, 51, 3)


class SqliteDatabase:
    """One SQLite file, or `":memory:"`.

    The connection lives in a thread of its own, and serves every event loop of this process. `busy_timeout` bounds the
    wait for another process's transaction; after it `DatabaseBusyError` is raised and nothing was written. With
    `only_reads` the file stays as it is: whatever writes is refused, and one that has no WAL yet is given none.
    """

    name = "sqlite"
    now = f"(SELECT {SQLITE_NOW})"  # once for a statement, not for each row
    packs_rows = True  # the interpreter is asked for at each row, and the event loop seldom lets go of it
    opens_once = True

    def __init__(
        self, path: str | Path, *, busy_timeout: timedelta = timedelta(seconds=30), only_reads: bool = False
    ) -> None:
        self.path = str(path)
        self._only_reads = only_reads
        self._busy_timeout = busy_timeout.total_seconds()
        self._thread: SqliteThread | None = None
        self._process = 0
        self._ends: set[Callable[[], None]] = set()

    @property
    def watches_for_jobs(self) -> bool:
        """As in `Database`: as far as one can tell from what came of it."""
        return self._thread is not None and self._thread.looks.are_of_use

    async def open(self) -> None:
        """As in `Database`. Raises `DatabaseError` when Python is linked against a SQLite older than 3.38."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise DatabaseError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed; "
                "use a Python that is linked against a newer one"
            )
        if self._thread is None:
            self._thread = thread = SqliteThread(self.path, patience=self._busy_timeout, only_reads=self._only_reads)
            self._process = os.getpid()
            try:
                await thread.start()
            except BaseException:
                self._thread = None
                raise
            self._stop_when_forgotten = weakref.finalize(self, thread.stop)
            self._stop_when_forgotten.atexit = False  # the end of the program needs no help

    async def close(self) -> None:
        """As in `Database`. May be called twice, also at the same time, or when nothing is open."""
        for end in tuple(self._ends):
            end()
        thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid():
            self._stop_when_forgotten.detach()
            await thread.stopped()

    async def run(self, *calls: Call, look: Call | None = None) -> Rows:
        """As in `Database`. Calls that wait at the same time share a commit; each changes all it should, or nothing."""
        return await self._opened().run(calls, look)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """As in `Database`: as a rule within a millisecond or two of another connection's commit.

        Commits of this connection wake nobody. While others commit without end, there are at most 500 wakes a second,
        and 50 if those were of no use: if nothing was written here after them.
        """
        thread = self._opened()
        if self.path == ":memory:" or sys.platform == "emscripten":
            return lambda: None
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(wake)

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
        """Nothing to do: those who watch see that the file is written to."""

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
    """What to say to somebody who lets several processes write to one file; None if this SQLite has no such fault."""
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return None
    return (
        f"SQLite {sqlite3.sqlite_version} can, very rarely, corrupt a WAL database that several processes write to; "
        "run one worker process, or a Python that is linked against SQLite 3.51.3 or newer"
    )
