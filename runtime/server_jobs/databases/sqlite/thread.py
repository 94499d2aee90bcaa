"""The thread that a SQLite connection lives in: a wait for a lock or for the disk never blocks an event loop.

Writes that arrive while it is busy become durable in one commit. While another process has the write lock, reads are
answered, and writes that arrive join those that wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread

from ...errors import DatabaseError
from .connection import Call, Rows, SqliteConnection, Work, pause
from .errors import is_busy, locked
from .inbox import Inbox
from .wal_watcher import Looks

# A commit costs as much as dozens of small writes; and while a group is written, other processes wait for the lock.
LARGEST_GROUP = 200


@dataclass(slots=True, eq=False, kw_only=True)
class _Request(Work):
    """Work of a caller who waits in an event loop; at the deadline it is told that the database is busy."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Rows]
    deadline: float

    def answer(self) -> None:
        """In the loop: give the caller, if it still waits, what it asked for."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.rows)


class SqliteThread:
    """Serves requests from any number of event loops, in any threads, by one connection."""

    def __init__(self, path: str, *, patience: float, only_reads: bool = False) -> None:
        self.looks = Looks()
        self._path = path
        self._patience = patience
        self._connection = SqliteConnection(path, only_reads=only_reads)
        self._arrived: Inbox[_Request | Callable[[], None]] = Inbox()
        self._reads: list[_Request] = []
        self._writes: list[_Request] = []
        self._is_blocked = False
        self._watchers: list[Callable[[], None]] = []
        self._version = 0
        self._door = Lock()  # nothing arrives after the thread was told to stop
        self._is_stopping = False
        self._at_end: list[_Request] = []
        # A daemon, since the end of a program must not wait for one that was not closed: nothing is half-written.
        self._thread = Thread(target=self._live, name="server-jobs-sqlite", daemon=True)

    async def start(self) -> None:
        """Connect. Raises `DatabaseError`; the thread is over then, as it is soon after this was cancelled."""
        self._thread.start()
        try:
            await self.run(())
        except BaseException:
            self.stop()
            raise

    async def run(self, calls: Sequence[Call], look: Call | None = None) -> Rows:
        """Run these calls as one transaction. Given up by the caller, they are run as a whole or not at all."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Rows] = loop.create_future()
        deadline = time.monotonic() + self._patience
        request = _Request(calls=calls, look=look, loop=loop, future=future, deadline=deadline)
        with self._door:
            if self._is_stopping:
                raise DatabaseError(f"the SQLite database {self._path} is closed")
            self._arrived.put(request)
        return await future

    def stop(self) -> None:
        """Disconnect when what was asked before is done."""
        with self._door:
            self._is_stopping = True
            self._arrived.put(_nothing)

    async def stopped(self) -> None:
        """Stop, and wait for it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Rows] = loop.create_future()
        self._at_end.append(_Request(calls=(), loop=loop, future=ended, deadline=0))
        self.stop()
        await ended
        self._thread.join()

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call this, in the thread, when another connection has committed; returns what ends that."""
        self._watchers.append(changed)

        def end() -> None:
            with suppress(ValueError):
                self._watchers.remove(changed)

        return end

    def file_written(self) -> None:
        """The file was written to: watchers are called as soon as a commit of another connection can be seen."""
        self._arrived.put(lambda: self.looks.file_written(time.monotonic()))

    def _live(self) -> None:
        try:
            self._version = self._connection.open(self._patience)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait have to know
            self._refuse(error)
        while not self._is_stopping or self._reads or self._writes or self._arrived:
            self._take(self._pause())
            self._is_blocked = False
            if self._reads:
                self._read()
            if self._writes:
                self._write()
            if self.looks.next is not None:
                self._look(time.monotonic())
        self._connection.close()
        _hand_back(self._at_end)

    def _refuse(self, error: Exception) -> None:
        """Answer everybody with the error until the thread is told to stop."""
        while not self._is_stopping or self._arrived:
            self._take(None)
            for request in (*self._reads, *self._writes):
                request.error = error
                _hand_back([request])
            self._reads, self._writes = [], []

    def _pause(self) -> float | None:
        """Return how long to wait for requests: None for without limit, or until the next try or look is due."""
        if self._reads or self._writes:
            return pause() if self._is_blocked else 0
        return None if self.looks.next is None else max(0, self.looks.next - time.monotonic())

    def _take(self, timeout: float | None) -> None:
        for arrived in self._arrived.take(LARGEST_GROUP, timeout=timeout):
            self._sort(arrived)

    def _sort(self, arrived: _Request | Callable[[], None]) -> None:
        if not isinstance(arrived, _Request):
            arrived()
        elif arrived.look is None and any(statement.writes for statement, _ in arrived.calls):
            self._writes.append(arrived)
        else:
            self._reads.append(arrived)

    def _read(self) -> None:
        reads, self._reads = _wanted(self._reads), []
        answered: list[_Request] = []
        for request in reads:
            try:
                if request.look is None:
                    self._connection.read(request)
                elif self._connection.look(request, request.look):
                    self._writes.append(request)
                    continue
                answered.append(request)
            except Exception as error:  # noqa: BLE001  it is the caller's
                self._postpone([request], error, self._reads)
        _hand_back(answered)

    def _write(self) -> None:
        size = 1 if self._writes[0].is_alone else LARGEST_GROUP
        group, self._writes = _wanted(self._writes[:size]), self._writes[size:]
        if not group:
            return
        try:
            self._connection.write(group)
        except Exception as error:  # noqa: BLE001  it is the callers'
            self._postpone(group, error, self._writes)
        else:
            if len(group) > 1 and group[0].is_alone:
                self._writes[:0] = group
            else:
                _hand_back(group)

    def _postpone(self, requests: Sequence[_Request], error: Exception, waiting: list[_Request]) -> None:
        """Try again what others are in the way of, until its deadline; whatever else went wrong is the answer."""
        now = time.monotonic()
        for request in requests:
            if not is_busy(error):
                request.error = error
                continue
            self._is_blocked = True
            if now > request.deadline:
                request.error = locked(self._path, self._patience)
                request.error.__cause__ = error
        _hand_back([request for request in requests if request.error is not None])
        waiting[:0] = [request for request in requests if request.error is None]

    def _look(self, now: float) -> None:
        if self.looks.next is None or now < self.looks.next:
            return
        try:
            version = self._connection.data_version()
        except Exception as error:  # noqa: BLE001  whoever waits polls as well
            del error
            version = self._version
        if version == self._version:
            self.looks.nothing_new(now)
        else:
            self._version = version
            self.looks.committed(now, self._connection.changes())
            for changed in tuple(self._watchers):
                changed()


def _wanted(requests: Sequence[_Request]) -> list[_Request]:
    """Those whose callers have not given up; what is begun, is done as a whole."""
    return [request for request in requests if not request.future.cancelled()]


def _hand_back(requests: Sequence[_Request]) -> None:
    """Answer callers, those of one event loop with one message."""
    for loop in {request.loop for request in requests}:
        theirs = [request for request in requests if request.loop is loop]
        with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
            loop.call_soon_threadsafe(_answer, theirs)


def _answer(requests: Sequence[_Request]) -> None:
    for request in requests:
        request.answer()


def _nothing() -> None:
    """Something arrives: look whether it is time to stop."""
