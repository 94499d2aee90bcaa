"""The thread of a SQLite connection, so that locks and the disk never block an event loop.

Writes that arrive during a commit share the next commit. While another process has the write lock, the thread still
answers reads, and collects writes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import TIMEOUT_MAX, Lock, Thread
from typing import Generic, TypeVar

from ...errors import DatabaseError
from .connection import Call, Rows, SqliteConnection, Work, pause
from .errors import is_busy, locked
from .watcher import CommitChecks

# A commit costs as much as dozens of small writes, but a large group makes other processes wait for the lock.
LARGEST_GROUP = 200

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue of items: any thread puts, one thread takes, in order.

    Before Python 3.13, `queue.SimpleQueue.get(timeout=...)` may wait forever, because its remaining time can turn
    negative.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        # `put` releases this lock, `take` acquires it. A wait is one call of the lock, without computed times.
        self._bell = Lock()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, item: T) -> None:
        """Add an item. Never blocks."""
        self._items.append(item)
        try:  # noqa: SIM105  `suppress` costs each job three calls
            self._bell.release()
        except RuntimeError:  # released already: `take` has not seen an earlier item yet
            pass

    def take(self, most: int, *, timeout: float | None) -> list[T]:
        """Return up to `most` items. If there is none, wait up to `timeout` seconds; None: no limit.

        May return an empty list early.
        """
        self._bell.acquire(blocking=False)
        if not self._items:
            # The lock takes -1 as "no limit", so never pass a negative time.
            self._bell.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), TIMEOUT_MAX))
        return [self._items.popleft() for _ in range(min(len(self._items), most))]


@dataclass(slots=True, eq=False, kw_only=True)
class _Request(Work):
    """Work with a caller in an event loop. At the deadline, the caller gets a busy error."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Rows]
    deadline: float

    def answer(self) -> None:
        """Give the result to the caller, if it still waits. Runs in the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.rows)


class SqliteThread:
    """Serves requests of many event loops and threads with one connection."""

    def __init__(self, path: str, *, patience: float, only_reads: bool = False) -> None:
        self.looks = CommitChecks()
        self._path = path
        self._patience = patience
        self._connection = SqliteConnection(path, only_reads=only_reads)
        self._arrived: Inbox[_Request | Callable[[], None]] = Inbox()
        self._reads: list[_Request] = []
        self._writes: list[_Request] = []
        self._is_blocked = False
        self._watchers: list[Callable[[], None]] = []
        self._version = 0
        self._door = Lock()  # no request enters after the stop
        self._is_stopping = False
        self._at_end: list[_Request] = []
        # A daemon thread: a program must end although the database was not closed. Transactions are atomic.
        self._thread = Thread(target=self._live, name="server-jobs-sqlite", daemon=True)

    async def start(self) -> None:
        """Connect. Raises `DatabaseError`, after which the thread ends."""
        self._thread.start()
        try:
            await self.run(())
        except Exception:
            self.stop()
            raise

    async def run(self, calls: Sequence[Call], look: Call | None = None) -> Rows:
        """Run these calls in one transaction. If the caller is cancelled, all or none of them run.

        The calls run only if the query `look`, outside of the transaction, returns a row. Otherwise each of them has no
        rows.
        """
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
        """Disconnect after the requests before."""
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
        """Call `changed` in the thread after commits of other connections. Return a function that ends this."""
        self._watchers.append(changed)

        def end() -> None:
            with suppress(ValueError):
                self._watchers.remove(changed)

        return end

    def file_written(self) -> None:
        """Note a write to the file. Watchers are called once a commit of another connection is visible."""
        self._arrived.put(lambda: self.looks.file_written(time.monotonic()))

    def _live(self) -> None:
        try:
            self._version = self._connection.open(self._patience)
        except Exception as error:  # noqa: BLE001  all waiting callers get the error
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
        _answer_callers(self._at_end)

    def _refuse(self, error: Exception) -> None:
        """Answer every request with the error until the stop."""
        while not self._is_stopping or self._arrived:
            self._take(None)
            for request in (*self._reads, *self._writes):
                request.error = error
                _answer_callers([request])
            self._reads, self._writes = [], []

    def _pause(self) -> float | None:
        """Return the time to wait for requests until the next retry or look; None: no limit."""
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
            except Exception as error:  # noqa: BLE001  the caller gets it
                self._postpone([request], error, self._reads)
        _answer_callers(answered)

    def _write(self) -> None:
        size = 1 if self._writes[0].is_alone else LARGEST_GROUP
        group, self._writes = _wanted(self._writes[:size]), self._writes[size:]
        if not group:
            return
        try:
            self._connection.write(group)
        except Exception as error:  # noqa: BLE001  the callers get it
            self._postpone(group, error, self._writes)
        else:
            if len(group) > 1 and group[0].is_alone:
                self._writes[:0] = group
            else:
                _answer_callers(group)

    def _postpone(self, requests: Sequence[_Request], error: Exception, waiting: list[_Request]) -> None:
        """Retry requests after a busy error until their deadline. Answer them with any other error."""
        now = time.monotonic()
        for request in requests:
            if not is_busy(error):
                request.error = error
                continue
            self._is_blocked = True
            if now > request.deadline:
                request.error = locked(self._path, self._patience)
                request.error.__cause__ = error
        _answer_callers([request for request in requests if request.error is not None])
        waiting[:0] = [request for request in requests if request.error is None]

    def _look(self, now: float) -> None:
        if self.looks.next is None or now < self.looks.next:
            return
        try:
            version = self._connection.data_version()
        except Exception as error:  # noqa: BLE001  watchers poll as well
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
    """Return the requests whose callers still wait. A started request always finishes."""
    return [request for request in requests if not request.future.cancelled()]


def _answer_callers(requests: Sequence[_Request]) -> None:
    """Answer callers, with one message per event loop."""
    for loop in {request.loop for request in requests}:
        theirs = [request for request in requests if request.loop is loop]
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_answer, theirs)


def _answer(requests: Sequence[_Request]) -> None:
    for request in requests:
        request.answer()


def _nothing() -> None:
    """Wake the thread, so that it checks for the stop."""
