"""Log lines about refused callers: counts per interval instead of a line per request."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter

from starlette.types import Scope

_logger = logging.getLogger("server_jobs")

INTERVAL = 60.0
_HAS_TIMERS = sys.platform != "emscripten"  # a timer of a Worker ends with its request


class RefusalLog:
    """Counts requests refused for their token, by reason. Logs the counts at most once per interval.

    The first refusal is logged at once.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._counts: Counter[str] = Counter()
        self._last_client = ""
        self._next_line = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def note(self, reason: str, scope: Scope) -> None:
        """Count one refused request."""
        client = scope.get("client")
        self._last_client = str(client[0]) if client else "an unknown address"
        self._counts[reason] += 1
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_line:
            self._write(loop)
        elif self._timer is None and _HAS_TIMERS:
            self._timer = loop.call_at(self._next_line, self._write, loop)

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._next_line = loop.time() + self._interval
        for reason, count in self._counts.items():
            requests = "request" if count == 1 else "requests"
            _logger.warning("refused %d %s: %s (the last from %s)", count, requests, reason, self._last_client)
        self._counts.clear()
