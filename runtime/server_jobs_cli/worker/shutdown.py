"""Signals for a process that works, and the promise that it ends in time whatever a handler does."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from types import FrameType, TracebackType
from typing import Protocol

from .lifeline import Lifeline

MARGIN = 0.85
"""Seconds after the drain timeout, or after a second signal, at which a process is ended that did not end by itself."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HANDLED = 128
_LAST_WORDS = 0.04
_LONGEST_WAIT = 3_600.0


class Stoppable(Protocol):
    """What is to stop at a signal."""

    def stop(self) -> None:
        """Called in the event loop: once to end within the drain timeout, once more to end at once."""
        ...

    def orphan(self) -> None:
        """Called in the event loop, before `stop`, when it stops because its supervisor is gone."""
        ...

    def abandon(self) -> None:
        """Called in a thread of its own when the time is up: say what is left behind. It has a moment only."""
        ...


class Shutdown:
    """While `guards` is entered, the first SIGTERM or SIGINT stops the work within the drain timeout, the second one at
    once; so do the words of a supervisor, and its end.

    Handlers may hang in a thread, swallow their cancellation, or block the event loop. Therefore a thread of its own
    counts what is asked, and ends the process when the time is up: `margin` seconds after the drain timeout, or after
    the second signal. After a signal it stays on guard until the process has ended.
    """

    def __init__(self, drain_timeout: timedelta, *, lifeline: Lifeline | None = None, margin: float = MARGIN) -> None:
        self._drain = drain_timeout.total_seconds()
        self._margin = margin
        self._lifeline = lifeline
        self._signals, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._watch, name="server-jobs-shutdown", daemon=True)
        self._work: Stoppable | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline: float | None = None
        self._is_done = False
        self._was_handled = False
        # How often a stop was asked for: as the interpreter noticed, as our handler noticed, as the supervisor said.
        self._noticed = self._handled = self._told = self._stops = 0

    def __enter__(self) -> Shutdown:
        self._selector.register(self._signals, selectors.EVENT_READ, self._read_signals)
        if self._lifeline is not None:
            self._selector.register(self._lifeline, selectors.EVENT_READ, partial(self._listen, self._lifeline))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stops:
            return  # a thread that is not a daemon, or an `atexit`, may still keep the process from ending
        self._wakeup.send(b"\0")
        self._thread.join()
        self._selector.close()
        self._signals.close()
        self._wakeup.close()

    @contextmanager
    def guards(self, work: Stoppable) -> Iterator[None]:
        """Stop that work at a signal while the block runs, which is in the event loop."""
        self._loop, self._work, self._is_done = asyncio.get_running_loop(), work, False
        # Not the loop's own signal handlers: those wait for a turn that a blocking handler never gives.
        descriptor = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            self._is_done = True
            if not self._stops:
                for number, handler in previous.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(descriptor)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The thread knows already, unless a handler took the wakeup descriptor for an event loop of its own."""
        del frame
        with suppress(OSError):
            self._wakeup.send(bytes((_HANDLED | number,)))
        # Code that never lets go of the interpreter, such as a regular expression, keeps that thread from running too.
        bound = self._margin + 2 * _LAST_WORDS + (0 if self._was_handled else self._drain)
        self._was_handled = True
        with suppress(OverflowError, ValueError, RuntimeError):
            faulthandler.dump_traceback_later(bound, exit=True, file=2)

    def _watch(self) -> None:
        """The thread. It alone counts and decides, so that nothing has to be locked in a signal handler."""
        while True:
            ready = self._selector.select(self._patience())
            if any(not key.data() for key, _ in ready):
                return
            for stops in range(self._stops + 1, min(2, max(self._noticed, self._handled, self._told)) + 1):
                self._stop(stops)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._leave()

    def _patience(self) -> float | None:
        # Never longer than any system can wait; a longer timeout would be refused.
        return None if self._deadline is None else min(_LONGEST_WAIT, max(0, self._deadline - time.monotonic()))

    def _read_signals(self) -> bool:
        """Whether to go on."""
        numbers = self._signals.recv(1_024)
        self._noticed += sum(number in _SIGNALS for number in numbers)
        self._handled += sum(number - _HANDLED in _SIGNALS for number in numbers)
        return 0 not in numbers

    def _listen(self, lifeline: Lifeline) -> bool:
        told = lifeline.stops()
        if told is None:
            self._selector.unregister(lifeline)
            if self._work is not None:
                self._call(self._work.orphan)
        self._told = max(self._told, 1) if told is None else self._told + told
        return True

    def _stop(self, stops: int) -> None:
        self._stops = stops
        deadline = time.monotonic() + self._margin + (self._drain if stops == 1 else 0)
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        if self._work is None:
            self._leave()  # nothing is claimed yet
        else:
            self._call(self._work.stop)

    def _call(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(call)

    def _leave(self) -> None:
        """In a thread that nobody waits for long: what the last words are written to may be a pipe that is full."""
        words = threading.Thread(target=self._say_last_words, daemon=True)
        words.start()
        words.join(_LAST_WORDS)
        os._exit(0 if self._is_done or self._work is None else 1)

    def _say_last_words(self) -> None:
        if self._work is not None and not self._is_done:
            self._work.abandon()
        for handler in logging.getLogger("server_jobs").handlers:
            handler.flush()
        with suppress(OSError, ValueError):  # nobody may be reading any more
            sys.stdout.flush()
            sys.stderr.flush()
