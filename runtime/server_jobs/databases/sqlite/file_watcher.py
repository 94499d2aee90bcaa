"""Notice writes to a file: by inotify on Linux, by polling on other systems."""

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
    """A watcher on inotify. It costs nothing without writes."""

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
