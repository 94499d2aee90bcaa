"""Notice commits of other connections: watch the file, then check a few times until the commit is visible.

The file is watched by inotify on Linux, by polling on other systems.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_IN_MODIFY = 0x2
_FASTEST = 0.004
_SLOWEST = 0.015

# A commit becomes visible after the file was written, when it has reached the disk: after 0.1 ms, or much later on a
# slow disk.
_FIRST_PAUSE = 0.0001
_LONGEST_PAUSE = 0.1
_GROWTH = 1.4
# Gap between two wakes. It grows while wakes find no work for this process.
SHORTEST_GAP = 0.002
LONGEST_GAP = 0.02
_QUIET = 0.25


def watch_file(path: Path, written: Callable[[], float]) -> Callable[[], None]:
    """Call `written` in this event loop after writes to the file. Return a function that ends this.

    `written` returns a pause in seconds. Writes during the pause are reported after it.
    """
    loop = asyncio.get_running_loop()
    try:
        return _Inotify(loop, path, written).end
    except (OSError, NotImplementedError):  # no Linux, too many watches of this user, or a loop without readers
        return _Stat(loop, path, written).end


class _Inotify:
    """A watcher on inotify. It uses no CPU without writes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, written: Callable[[], float]) -> None:
        self._loop = loop
        self._written = written
        self._timer: asyncio.TimerHandle | None = None
        self._file = _open_inotify(path)
        try:
            self._listen()
        except BaseException:
            os.close(self._file)
            raise

    def end(self) -> None:
        if self._file >= 0:
            if self._timer is not None:
                self._timer.cancel()
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _listen(self) -> None:
        self._loop.add_reader(self._file, self._readable)

    def _readable(self) -> None:
        self._loop.remove_reader(self._file)
        with suppress(BlockingIOError):
            while os.read(self._file, 65536):
                pass
        self._timer = self._loop.call_later(self._written(), self._listen)


class _Stat:
    """A watcher that polls every few milliseconds, and less often without writes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, written: Callable[[], float]) -> None:
        self._loop = loop
        self._path = path
        self._written = written
        self._pause = _FASTEST
        self._seen = self._state()
        self._timer = loop.call_later(self._pause, self._look)

    def end(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        state = self._state()
        self._pause = _FASTEST if state != self._seen else min(self._pause * 1.1, _SLOWEST)
        wait = max(self._pause, self._written()) if state != self._seen else self._pause
        self._seen = state
        self._timer = self._loop.call_later(wait, self._look)

    def _state(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  thousands of times an hour
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size


def _open_inotify(path: Path) -> int:
    """Return a file descriptor that becomes readable after a write to the file. Raises `OSError`."""
    if sys.platform != "linux":
        raise OSError("this system has no inotify")
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        raise OSError("this C library has no inotify")
    file: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if file < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    if library.inotify_add_watch(file, os.fsencode(path), _IN_MODIFY) < 0:
        error = ctypes.get_errno()
        os.close(file)
        raise OSError(error, "inotify_add_watch")
    return file


class CommitChecks:
    """Computes the time of the next check from the results of earlier checks. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.next: float | None = None
        self.gap = SHORTEST_GAP
        self._pause = _FIRST_PAUSE
        self._last_change = float("-inf")
        self._changes_then = -1

    @property
    def are_of_use(self) -> bool:
        """Whether recent wakes led to a write of this process."""
        return self.gap == SHORTEST_GAP

    def file_written(self, now: float) -> None:
        """Note a write to the file, possibly an own one: check now, and a few more times."""
        self._pause = _FIRST_PAUSE
        self.next = max(now, self._last_change + self.gap)

    def nothing_new(self, now: float) -> None:
        """Note that no other connection has committed yet. Check again later, a limited number of times."""
        self.next = now + self._pause if self._pause <= _LONGEST_PAUSE else None
        self._pause *= _GROWTH

    def committed(self, now: float, own_changes: int) -> None:
        """Note a commit of another connection. `own_changes` is the number of rows changed by this connection.

        Continue to check, because a third connection that wrote at the same time may commit only now.
        """
        was_of_use = own_changes != self._changes_then or now - self._last_change > _QUIET
        self.gap = SHORTEST_GAP if was_of_use else min(self.gap * 2, LONGEST_GAP)
        self._changes_then, self._last_change = own_changes, now
        self._pause = _FIRST_PAUSE
        self.next = now + self.gap
