"""SQLite through the standard library: durable, one short write transaction at a time, safe among processes.

WAL, so that readers and the writer do not wait for each other; `synchronous=FULL`, so that a committed job survives a
power cut; `BEGIN IMMEDIATE`, because a transaction that reads first and writes later fails at once, whatever the
timeout, when another process wrote in between.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from ..clock import SQLITE_NOW
from ..errors import DatabaseBusyError, DatabaseError
from ..ports import Row, Statement, Value

T = TypeVar("T")

OLDEST_SQLITE = (3, 38)  # the first with the operator `->>`

_Call = tuple[Statement, Mapping[str, Value]]


class SqliteDatabase:
    """One SQLite file, or `":memory:"`.

    The connection lives in a thread of its own, so a wait for another process's transaction never blocks the event
    loop. `busy_timeout` bounds that wait; after it `DatabaseBusyError` is raised and nothing was written.
    """

    name = "sqlite"
    now = SQLITE_NOW

    def __init__(self, path: str | Path, *, busy_timeout: timedelta = timedelta(seconds=30)) -> None:
        self.path = str(path)
        self._busy_timeout = busy_timeout.total_seconds()
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """As in `Database`. Raises `DatabaseError` when Python is linked against a SQLite older than 3.38."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise DatabaseError(
                f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed; "
                "use a Python that is linked against a newer one"
            )
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-jobs-sqlite")
            try:
                await self._in_thread(self._connect)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """As in `Database`. May be called twice, also at the same time, or when nothing is open."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(thread, self._disconnect))
            except BaseException:
                thread.shutdown(wait=False)  # it is busy still, and ends by itself
                raise
            thread.shutdown(wait=True)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        del wake
        return lambda: None

    def announce(self) -> None:
        """Nothing to do."""

    async def run(self, *calls: _Call) -> Sequence[Sequence[Row]]:
        return await self._in_thread(lambda: self._transaction(calls))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise DatabaseError(f"the SQLite database {self.path} is not open; call `open()` (or `initialize()`) first")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _connect(self) -> None:
        try:
            self._connection = sqlite3.connect(self.path, timeout=self._busy_timeout, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            # Bytes that are not UTF-8, written by other programs, must not keep the other rows of a claim from running.
            self._connection.text_factory = _decode
            self._until_free(self._configure)
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot open the SQLite database {self.path}: {error}") from error

    def _configure(self) -> None:
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = FULL")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transaction(self, calls: Sequence[_Call]) -> list[list[Row]]:
        writes = any(statement.writes for statement, _ in calls)
        try:
            self._until_free(lambda: self._execute("BEGIN IMMEDIATE" if writes else "BEGIN"))
            try:
                rows = [self._execute(statement.sql, parameters) for statement, parameters in calls]
                self._until_free(lambda: self._execute("COMMIT"))
            except BaseException:
                self._rollback()
                raise
        except (sqlite3.Error, UnicodeEncodeError, OverflowError) as error:  # or a value it cannot bind
            raise DatabaseError(f"SQLite refused a statement on {self.path}: {error}") from error
        return rows

    def _execute(self, sql: str, parameters: Mapping[str, Value] | None = None) -> list[Row]:
        if self._connection is None:
            raise DatabaseError(f"the SQLite database {self.path} is closed")
        return [dict(row) for row in self._connection.execute(sql, parameters or {}).fetchall()]

    def _rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._execute("ROLLBACK")

    def _until_free(self, action: Callable[[], object]) -> None:
        """Repeat, within bounds, what SQLite refuses as busy without waiting, such as a change of journal mode."""
        deadline = time.monotonic() + self._busy_timeout
        while True:
            try:
                action()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > deadline:
                    raise DatabaseBusyError(
                        f"the SQLite database {self.path} was locked by another process for {self._busy_timeout:g} s"
                    ) from error
                time.sleep(random.uniform(0.001, 0.02))  # noqa: S311  spreads load only
            else:
                return


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
