"""One connection to a SQLite file: reads, groups of writes with one commit, and the file itself."""

from __future__ import annotations

import operator
import os
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from ...domain.interfaces import Row, Statement, Value
from ...errors import DatabaseError
from .errors import REFUSALS, is_busy, locked, not_opened, refused

Call = tuple[Statement, Mapping[str, Value]]
Rows = Sequence[Sequence[Row]]

# Size of the WAL after a burst. SQLite reuses the space of a smaller WAL.
_LARGEST_IDLE_WAL = 64 * 1024 * 1024
_PAUSE = (0.0005, 0.004)
_KEPT_MEMORY = 16 * 1024 * 1024

_Identity = tuple[int, int]


@dataclass(slots=True, eq=False)
class Work:
    """The calls of one transaction, and later their rows or the error."""

    calls: Sequence[Call]
    rows: Rows = ()
    error: Exception | None = None
    look: Call | None = None
    """A query that must return a row first; otherwise the calls do not run."""
    is_alone: bool = False
    """Whether to write this work alone, because its group failed before."""

    @property
    def must_last(self) -> bool:
        """Whether the commit must survive a power cut."""
        return any(statement.writes and not statement.may_be_forgotten for statement, _ in self.calls)


class SqliteConnection:
    """A connection, used by one thread. It never waits for a lock: a busy error means that nothing changed."""

    def __init__(self, path: str, *, only_reads: bool = False) -> None:
        self.path = path
        self._only_reads = only_reads
        self._connection: sqlite3.Connection | None = None
        self._file: OpenFile | None = None
        self._flushes = True

    def open(self, patience: float) -> int:
        """Connect and return the `data_version`. Retry busy steps for `patience` seconds.

        Raises `DatabaseError`.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                self._connect()
                return self.data_version()
            except sqlite3.Error as error:
                self.close()
                if not is_busy(error):
                    raise not_opened(self.path, error) from error
                if time.monotonic() > deadline:
                    raise locked(self.path, patience) from error
                time.sleep(pause())

    def close(self) -> None:
        """Disconnect. Does nothing if closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def read(self, work: Work) -> None:
        """Run calls that only read, on one snapshot of the database."""
        try:
            self._check_file()
            if len(work.calls) == 1:
                work.rows = self._rows(work)
            else:
                self._execute("BEGIN")
                work.rows = self._rows(work)
                self._execute("COMMIT")
        except REFUSALS as error:
            self._roll_back()
            if is_busy(error):
                raise
            work.error = refused(self.path, error)
        except BaseException:
            self._roll_back()
            raise

    def look(self, work: Work, look: Call) -> bool:
        """Return whether the look finds a row, so that the work should run. Otherwise the work is finished."""
        statement, parameters = look
        try:
            self._check_file()
            found = bool(self._execute(statement.sql, parameters))
        except REFUSALS as error:
            if is_busy(error):
                raise
            work.error = refused(self.path, error)
            return False
        work.look = None
        work.rows = [() for _ in work.calls]
        return found

    def write(self, group: Sequence[Work]) -> None:
        """Run the group in one transaction. If it fails, nothing is stored.

        A single work gets the error. After the failure of a larger group, each work must be written again, alone. This
        makes the rare error slow, and saves two savepoints per work otherwise.
        """
        try:
            self._check_file()
            self._flush(any(work.must_last for work in group))
            if len(group) == 1 and len(group[0].calls) == 1:
                group[0].rows = self._rows(group[0])  # a single statement is a transaction
            else:
                self._write_together(group)
        except REFUSALS as error:
            self._roll_back()
            for work in group:
                work.rows = ()
            if is_busy(error):
                raise
            if len(group) == 1:
                group[0].error = refused(self.path, error)
            for work in group:
                work.is_alone = True
        except BaseException:
            self._roll_back()
            raise

    def data_version(self) -> int:
        """Return a number that changes with commits of other connections, and not with own commits."""
        version: int = self._opened().execute("PRAGMA data_version").fetchone()[0]
        return version

    def changes(self) -> int:
        """Return the number of rows changed by this connection."""
        return self._opened().total_changes

    def _connect(self) -> None:
        _keep_memory()
        self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        # Invalid UTF-8 from other programs must not block the other rows of a claim.
        # As fast as `str`, which would raise: no Python code runs per value.
        self._connection.text_factory = operator.methodcaller("decode", "utf-8", "replace")
        if self._only_reads:
            self._execute("PRAGMA query_only = ON")
        else:
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA synchronous = FULL")
            self._flushes = True
            self._execute(f"PRAGMA journal_size_limit = {_LARGEST_IDLE_WAL}")
        self.data_version()  # opens the WAL
        self._file = None if self.path == ":memory:" else OpenFile(self.path)

    def _check_file(self) -> None:
        """Raise `DatabaseError` if the file was deleted or replaced. The next call connects to the new file, if any."""
        if self._file is None:
            return
        if self._connection is None:
            self._file.check_reopening()
            self._connect()
        try:
            self._file.check()
        except DatabaseError:
            self.close()
            raise

    def _flush(self, flushes: bool) -> None:
        """Set whether the next commits are flushed before they return. A later flush includes earlier commits."""
        if flushes != self._flushes:
            self._execute(f"PRAGMA synchronous = {'FULL' if flushes else 'NORMAL'}")
            self._flushes = flushes

    def _write_together(self, group: Sequence[Work]) -> None:
        self._execute("BEGIN IMMEDIATE")
        for work in group:
            work.rows = self._rows(work)
        self._execute("COMMIT")

    def _rows(self, work: Work) -> Rows:
        return [self._execute(statement.sql, parameters) for statement, parameters in work.calls]

    def _execute(self, sql: str, parameters: Mapping[str, Value] | None = None) -> list[Row]:
        cursor = self._opened().execute(sql, parameters or {})
        rows = cursor.fetchall()
        if not rows:
            return []
        names = [column[0] for column in cursor.description]
        return list(map(dict, map(zip, repeat(names), rows)))  # no Python code runs per row

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):  # on a broken disk; the next transaction reports it and rolls back again
                self._connection.execute("ROLLBACK")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise DatabaseError(f"the SQLite database {self.path} is closed")
        return self._connection


def _keep_memory() -> None:
    """Make the C library keep the memory that a statement frees.

    A claim needs about 1 MB for temporary tables. glibc returns it to the system after each claim, and getting it again
    costs several times as much as the claim. After a larger block was freed once, glibc keeps twice its size ("dynamic
    mmap threshold" in mallopt(3)). Other C libraries are not affected.
    """
    bytes(_KEPT_MEMORY // 2)


def pause() -> float:
    """Return a short random pause before a retry, so that all waiting processes get a turn."""
    return random.uniform(*_PAUSE)  # noqa: S311  spreads load only


class OpenFile:
    """The open files of a connection: the database and its WAL.

    If one of them is deleted or replaced, SQLite continues to write to the old file, which is lost.
    """

    def __init__(self, path: str) -> None:
        self._path = str(Path(path).absolute())
        self._database = _identity(self._path)
        self._wal = _identity(f"{self._path}-wal")

    def check(self) -> None:
        """Raise `DatabaseError` if the database or its WAL is no longer the file that was opened."""
        _check(self._path, self._database)
        self._wal = _check(f"{self._path}-wal", self._wal)

    def check_reopening(self) -> None:
        """Raise `DatabaseError` if the file is missing, or is a new file next to the WAL of the old one.

        SQLite would create a missing file, and would write the old WAL into a new one.
        """
        found = _identity(self._path)
        if found is None:
            raise _lost(self._path, "deleted")
        if found != self._database and self._wal is not None and self._wal == _identity(f"{self._path}-wal"):
            raise _lost(self._path, "replaced by another file")


def _check(path: str, opened: _Identity | None) -> _Identity | None:
    found = _identity(path)
    if opened is not None and found != opened:
        raise _lost(path, "deleted" if found is None else "replaced by another file")
    return found


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  once per transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lost(path: str, change: str) -> DatabaseError:
    return DatabaseError(
        f"the SQLite file {path} was {change} while it was in use, and nothing was stored; stop all processes that use "
        "the database, put the right file in its place without the -wal and -shm of another (or create one with "
        "`server-jobs migrate`), and start again"
    )
