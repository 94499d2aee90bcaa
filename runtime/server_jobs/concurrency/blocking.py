"""Calls from code without an event loop: plain views of web frameworks, scripts, and plain handlers."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Protocol, TypeVar

from ..errors import InvalidOptionError

T = TypeVar("T")


class Blockable(Protocol):
    """An object with async methods that code without an event loop may call."""

    def run_blocking(self, call: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run the call, and wait for it."""
        ...


class OfLoop(Protocol):
    """An object that belongs to the event loop in which it was opened."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop; None while the object is closed."""
        ...

    async def shutdown(self) -> None:
        """Close it."""
        ...


def wait_for(backend: Blockable, name: str, call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run the call and wait for it.

    Raises `InvalidOptionError` inside an event loop, which it would block; the message says to await `name` there.
    """
    if _in_event_loop():
        raise InvalidOptionError(f"this would block the event loop that runs here; use `await {name}` instead")
    return backend.run_blocking(call)


def run_in_loop_of(backend: OfLoop, call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run the call in the event loop of the backend, and wait for it.

    If no running event loop has opened the backend, a background thread opens it in its own loop and keeps it until the
    process ends.
    """
    loop = backend.loop
    if loop is None or not loop.is_running():
        loop = _background.loop_for(backend)
    return asyncio.run_coroutine_threadsafe(call(), loop).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Background:
    """An event loop in a daemon thread. It starts at the first use, and again in a forked process."""

    _loop: asyncio.AbstractEventLoop | None

    def __init__(self) -> None:
        self._begin()

    def loop_for(self, backend: OfLoop) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="server-jobs-background", daemon=True).start()
                atexit.register(self._end, os.getpid())
            if backend not in self._backends:
                self._backends.append(backend)
            return self._loop

    def forget(self) -> None:
        """Start over in a forked child: the thread is missing there, and a missing thread may hold the lock."""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._loop = None
        self._backends: list[OfLoop] = []

    def _end(self, pid: int) -> None:
        if self._loop is None or pid != os.getpid():
            return
        for backend in self._backends:
            with suppress(Exception):
                asyncio.run_coroutine_threadsafe(backend.shutdown(), self._loop).result(timeout=5)


_background = _Background()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_background.forget)
