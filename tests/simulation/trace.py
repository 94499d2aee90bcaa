"""The events of a simulation, line by line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256


class Trace(logging.Handler):
    """The event log of one simulation, including the log of the runtime. The same seed gives the same lines."""

    def __init__(self, time: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.is_over = False
        """Whether later events are ignored."""
        self._time = time

    def note(self, who: str, what: str) -> None:
        """Add a line."""
        if not self.is_over:
            self.lines.append(f"{self._time():9.3f} {who:<9} {what}")

    def emit(self, record: logging.LogRecord) -> None:
        self.note("log", record.getMessage())

    @property
    def digest(self) -> str:
        """Return a hash of the lines. Two simulations with the same digest ran the same way."""
        return sha256("\n".join(self.lines).encode()).hexdigest()[:16]
