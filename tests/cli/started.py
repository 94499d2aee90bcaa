"""A command as a process, observed through its stderr."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress

SLACK = 4.0
"""Extra seconds for a machine under load. Processes that ignore a signal end after eight seconds or later."""

_PATIENCE = 30.0


class Started:
    """A thread reads the process's lines, so that a test never waits forever; or no thread does."""

    def __init__(self, process: subprocess.Popen[str], *, is_read: bool = True) -> None:
        self.process = process
        self.lines: list[str] = []
        self._seen = 0
        self._is_at_end = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        if is_read:
            self._reader.start()

    @property
    def text(self) -> str:
        """Return everything printed until now."""
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches the pattern, after the last line waited for."""
        deadline = time.monotonic() + _PATIENCE
        with self._news:
            while True:
                while self._seen < len(self.lines):
                    self._seen += 1
                    if found := re.search(pattern, self.lines[self._seen - 1]):
                        return found
                if self._is_at_end or not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{pattern!r} was never printed:\n{self.text}")

    def skip(self) -> None:
        """Skip everything printed until now."""
        self._seen = len(self.lines)

    def look_again(self) -> None:
        """Look for lines from the first one on."""
        self._seen = 0

    def wait_for_all(self, *patterns: str) -> list[re.Match[str]]:
        """Wait until a line has matched each pattern, in any order."""
        begin, found = self._seen, []
        for pattern in patterns:
            self._seen = begin
            found.append(self.wait_for(pattern))
        self._seen = len(self.lines)
        return found

    def signal(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal, and return the time."""
        sent = time.monotonic()
        self.process.send_signal(number)
        return sent

    def wait(self) -> int:
        """Wait until it and everything it started have ended. Return its exit status."""
        status = self.process.wait(_PATIENCE)
        self.wait_until_nobody_prints()
        return status

    def wait_until_nobody_prints(self) -> None:
        """Wait until every process with its stderr has ended."""
        self._reader.join(_PATIENCE)
        assert not self._reader.is_alive(), f"something it started is still there:\n{self.text}"

    def kill(self) -> None:
        """Kill it after a test."""
        self.process.kill()
        self.process.wait()
        if self._reader.is_alive():
            for pid in re.findall(r" pid (\d+)", self.text):
                with suppress(ProcessLookupError):  # it ends with its supervisor, unless that is broken
                    os.kill(int(pid), signal.SIGKILL)
        if self._reader.ident is not None:
            self._reader.join(_PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._is_at_end = True
            self._news.notify_all()
