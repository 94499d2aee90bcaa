"""The end of a worker in time, even if a handler hangs: signals, and the line to its supervisor."""

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
from enum import Enum
from functools import partial
from types import FrameType, TracebackType
from typing import Protocol

MARGIN = 0.85
"""Seconds after the drain timeout, or after a second signal, at which a process that did not end is killed."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_HANDLED = 128
_LAST_WORDS = 0.04
_LONGEST_WAIT = 3_600.0


class Word(Enum):
    """A message on a `Lifeline`."""

    STOP = b"s"
    """From the supervisor: stop within the drain timeout. A second STOP means: stop at once."""
    READY = b"r"
    """From the worker: it handles signals and this line from now on, and starts to work."""
    DONE = b"d"
    """From the worker: it stopped on request, or its queues are empty."""
    LIMIT = b"l"
    """From the worker: it ends because it has reached a limit of a process."""
    UNUSABLE = b"u"
    """From the worker: it cannot be set up, for a reason other than the database."""


class Lifeline:
    """One end of the line between a worker process and its supervisor: a socket pair. The worker's end is its stdin.

    It replaces signals for two reasons. `systemctl stop` and `pkill` send SIGTERM to supervisor and workers alike; a
    SIGTERM passed on by the supervisor would be the worker's second. And if the supervisor dies in any way, the line
    closes and every worker notices at once.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end

    @classmethod
    def of_this_process(cls) -> Lifeline:
        """Return the worker's end. Stdin is replaced, so that programs started by handlers do not inherit it.

        Raises `OSError` if stdin is no socket.
        """
        end = socket.socket(fileno=os.dup(0))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(end)

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, word: Word) -> None:
        """Send a word. Does nothing if the other end is gone."""
        with suppress(OSError):
            self._end.send(word.value)

    def stops(self) -> int | None:
        """Return how many STOPs arrived since the last call; None if the other end is gone."""
        heard = self._hear()
        return None if heard == b"" else (heard or b"").count(Word.STOP.value)

    def words(self) -> frozenset[Word]:
        """Return the words that arrived since the last call."""
        heard = self._hear() or b""
        return frozenset(word for word in Word if word.value in heard)

    def close(self) -> None:
        self._end.close()

    def _hear(self) -> bytes | None:
        """Return the received bytes: empty at the end of the line, None if nothing arrived."""
        try:
            return self._end.recv(1_024)
        except BlockingIOError:
            return None
        except OSError:
            return b""


class Stoppable(Protocol):
    """Work that a signal stops."""

    def stop(self) -> None:
        """Called in the event loop: the first call ends the work within the drain timeout, the second at once."""
        ...

    def orphan(self) -> None:
        """Called in the event loop before `stop` if the supervisor is gone."""
        ...

    def abandon(self) -> None:
        """Called in its own thread when the time is up: log the jobs left behind. It has only a moment."""
        ...


class Shutdown:
    """While `guards` is entered, the first SIGTERM or SIGINT stops the work within the drain timeout, the second at
    once. The words of a supervisor and its death count too.

    Handlers may hang in a thread, swallow their cancellation, or block the event loop. Therefore a separate thread
    counts the requests to stop, and ends the process when the time is up: `margin` seconds after the drain timeout or
    after the second signal. After a signal it keeps watching until the process has ended.
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
        # Requests to stop, as seen by the interpreter, by our signal handler, and by the supervisor's line.
        self._noticed = self._handled = self._requested = self._stops = 0

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
            return  # a non-daemon thread or an `atexit` function may still keep the process alive
        self._wakeup.send(b"\0")
        self._thread.join()
        self._selector.close()
        self._signals.close()
        self._wakeup.close()

    @property
    def is_stopping(self) -> bool:
        """Whether a request to stop has arrived. The process is killed when the time is up."""
        return self._stops > 0

    @contextmanager
    def guards(self, work: Stoppable) -> Iterator[None]:
        """Stop the work at a signal while the block runs. Enter it inside the event loop."""
        self._loop, self._work, self._is_done = asyncio.get_running_loop(), work, False
        # The event loop's own signal handlers need a turn of the loop, which a blocking handler never gives.
        descriptor = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            self._is_done = True
            if self._was_handled:
                # The work is over, and the thread, which watches on, ends the process with 0. This timer would end a
                # process that needs longer to exit with 1.
                faulthandler.cancel_dump_traceback_later()
            if not self._stops:
                for number, handler in previous.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(descriptor)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Count the signal, in case a handler redirected the wakeup descriptor to its own event loop."""
        del frame
        with suppress(OSError):
            self._wakeup.send(bytes((_HANDLED | number,)))
        # Code that never releases the interpreter, such as a regular expression, also blocks the watching thread.
        bound = self._margin + 2 * _LAST_WORDS + (0 if self._was_handled else self._drain)
        self._was_handled = True
        with suppress(OverflowError, ValueError, RuntimeError):
            faulthandler.dump_traceback_later(bound, exit=True, file=2)

    def _watch(self) -> None:
        """Run the watching thread. It alone counts and decides, so the signal handler needs no lock."""
        while True:
            ready = self._selector.select(self._patience())
            if any(not key.data() for key, _ in ready):
                return
            for stops in range(self._stops + 1, min(2, max(self._noticed, self._handled, self._requested)) + 1):
                self._stop(stops)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._leave()

    def _patience(self) -> float | None:
        # Every system can wait this long; longer timeouts may be rejected.
        return None if self._deadline is None else min(_LONGEST_WAIT, max(0, self._deadline - time.monotonic()))

    def _read_signals(self) -> bool:
        """Read signals. Return whether to go on."""
        numbers = self._signals.recv(1_024)
        self._noticed += sum(number in _SIGNALS for number in numbers)
        self._handled += sum(number - _HANDLED in _SIGNALS for number in numbers)
        return 0 not in numbers

    def _listen(self, lifeline: Lifeline) -> bool:
        stops = lifeline.stops()
        if stops is None:
            self._selector.unregister(lifeline)
            if self._work is not None:
                self._call(self._work.orphan)
        self._requested = max(self._requested, 1) if stops is None else self._requested + stops
        return True

    def _stop(self, stops: int) -> None:
        self._stops = stops
        deadline = time.monotonic() + self._margin + (self._drain if stops == 1 else 0)
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
        if self._work is None:
            self._leave()  # no job is claimed yet
        else:
            self._call(self._work.stop)

    def _call(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(call)

    def _leave(self) -> None:
        """Log the last lines in a thread with a time limit, because stderr may be a full pipe."""
        # Processes that are killed now end the work of their supervisor, which is no success.
        abandoned = None if self._is_done else self._work
        words = threading.Thread(target=self._say_last_words, args=(abandoned,), daemon=True)
        words.start()
        words.join(_LAST_WORDS)
        if abandoned is None and self._lifeline is not None:
            self._lifeline.say(Word.DONE)  # only its database, which may not answer, is not closed yet
        os._exit(0 if abandoned is None else 1)

    def _say_last_words(self, abandoned: Stoppable | None) -> None:
        if abandoned is not None:
            abandoned.abandon()
        for handler in logging.getLogger("server_jobs").handlers:
            handler.flush()
        with suppress(OSError, ValueError):  # the reader may be gone
            sys.stdout.flush()
            sys.stderr.flush()
