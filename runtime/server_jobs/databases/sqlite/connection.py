"""One connection to a SQLite file: reads, and groups of writes that become durable in one commit."""

from __future__ import annotations

import operator
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat

from ...domain.interfaces import Row, Statement, Value
from ...errors import DatabaseError
from .errors import REFUSALS, is_busy, locked, not_opened, refused
from .file import OpenFile, create_private_file

Call = tuple[Statement, Mapping[str, Value]]
Rows = Sequence[Sequence[Row]]

# After a burst the WAL is cut back to this size; while it is smaller, its space is used again.
_LARGEST_IDLE_WAL = 64 * 1024 * 1024
_PAUSE = (0.0005, 0.004)
_KEPT_MEMORY = 16 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Work:
    """Calls that are one transaction, and in the end their rows or the error."""

    calls: Sequence[Call]
    rows: Rows = ()
    error: Exception | None = None
    look: Call | None = None
    """What has to find something first; the calls are not run otherwise."""
    is_alone: bool = False
    """Whether it is to be written by itself: in the group that it was in before, something was refused."""

    @property
    def must_last(self) -> bool:
        """Whether it must survive a power cut when it is committed."""
        return any(statement.writes and not statement.may_be_forgotten for statement, _ in self.calls)


class SqliteConnection:
    """Made and used in one thread. Never waits for a lock: what raises an error that `is_busy` changed nothing."""

    def __init__(self, path: str, *, only_reads: bool = False) -> None:
        self.path = path
        self._only_reads = only_reads
        self._connection: sqlite3.Connection | None = None
        self._file: OpenFile | None = None
        self._flushes = True

    def open(self, patience: float) -> int:
        """Connect, repeating for that many seconds what others keep from happening; the `data_version` then.

        Raises `DatabaseError`.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                create_private_file(self.path)
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
        """Disconnect; harmless when closed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def read(self, work: Work) -> None:
        """Run calls that write nothing, on one state of the database."""
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
        """Whether this finds something, and the work is to be done. If not, or if it is refused, the work is over."""
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
        """Run them as one transaction. When that fails nothing is stored, and the work has the error.

        If it was a group, nobody has: each is to be written once more, alone. That is slow where something is refused,
        which is rare, and saves two savepoints for each in all other groups.
        """
        try:
            self._check_file()
            self._flush(any(work.must_last for work in group))
            if len(group) == 1 and len(group[0].calls) == 1:
                group[0].rows = self._rows(group[0])  # a statement by itself is a transaction
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
        """A number that changes when another connection has committed, and does not when this one has."""
        version: int = self._opened().execute("PRAGMA data_version").fetchone()[0]
        return version

    def changes(self) -> int:
        """How many rows this connection has changed so far."""
        return self._opened().total_changes

    def _connect(self) -> None:
        _keep_memory()
        self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        # Bytes that are not UTF-8, written by other programs, must not keep the other rows of a claim from running.
        # As fast as `str`, which would refuse them: no Python code runs for a value.
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
        """Whether commits from now on reach the disk before they return; if not, the next that do take them along."""
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
        return list(map(dict, map(zip, repeat(names), rows)))  # no Python code runs for a row, and reading it is fast

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):  # on a broken disk; the next transaction tells, and rolls back once more
                self._connection.execute("ROLLBACK")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise DatabaseError(f"the SQLite database {self.path} is closed")
        return self._connection


def _keep_memory() -> None:
    """Let the C library keep what a statement frees, for the next one.

    A claim has a dozen small tables of its own, which SQLite gives a megabyte. glibc returns that to the system each
    time, and getting it again costs several times what the claim does, until a larger block was freed once: then it
    keeps twice as much ("dynamic mmap threshold" in mallopt(3)). Other C libraries do not mind.
    """
    bytes(_KEPT_MEMORY // 2)


def pause() -> float:
    """How long to wait before the next try: short and random, so that of many waiting processes none is favoured."""
    return random.uniform(*_PAUSE)  # noqa: S311  spreads load only
