"""The health of a worker: whether it claims jobs, and why not."""

from __future__ import annotations

import logging

from ..errors import DatabaseError
from .execution import Execution
from .slots import Slots

_logger = logging.getLogger("server_jobs")

_LONGEST_PAUSE = 2.0
_LATE = 10.0
"""Seconds without a look for jobs after which a worker is not ready. It looks every second or two."""


class WorkerHealth:
    """What a worker knows of itself and of its database. Any thread may ask."""

    def __init__(self, execution: Execution, slots: Slots, *, is_stopping: bool) -> None:
        self._execution = execution
        self._slots = slots
        self.is_stopping = is_stopping
        self.reached_limit: str | None = None
        """Which of its limits this process has reached, as a sentence."""
        self.has_claimed = False
        """Whether the database has permitted a claim."""
        self.pause = 0.0
        """Seconds until the worker tries the database again; 0 while the database can be used."""
        self._looked: float | None = None

    def note_look(self) -> None:
        """Note that the worker starts, or has looked for jobs."""
        self._looked = self._execution.clock.monotonic()

    def note_failure(self, error: DatabaseError) -> None:
        """Lengthen the pause, and log the first error."""
        if not self.pause:
            _logger.error("the database cannot be used, trying again: %s", error)
        self.pause = min(_LONGEST_PAUSE, self.pause * 2 or 0.1)

    def note_success(self) -> None:
        """End the pause after a claim and the chores, if outcomes can be stored too."""
        if self.pause and not self._execution.runner.is_failing:
            _logger.warning("the database is back")
            self.pause = 0.0

    def unready(self) -> str | None:
        """Return why the worker claims no jobs, as a sentence; None while it claims them."""
        if self.is_stopping:
            return f"the worker is stopping; jobs that still run: {len(self._slots.attempts())}"
        if self.reached_limit is not None:
            return f"the worker claims no more jobs, because {self.reached_limit}"
        if self._looked is None or not (self.has_claimed or self.pause):
            return "the worker is starting"
        if self.pause:
            return "the database cannot be used; the log of the worker has the error"
        if self._execution.runner.is_failing:
            return "outcomes cannot be stored; the log of the worker has the error"
        if (late := self._late()) > _LATE:
            return f"the worker has not looked for jobs for {late:.0f} s"
        return self.stuck()

    def stuck(self) -> str | None:
        """Return why only a restart helps the worker, as a sentence; None while it works.

        A worker is stuck if it has not looked for jobs for a whole lease: a handler blocks its event loop, or the
        database never answers. It is also stuck if handlers in threads that do not return occupy all slots.
        """
        if self.is_stopping or self._looked is None:
            return None
        if self._slots.is_stuck:
            return "handlers that did not return in time occupy all slots"
        late = self._late()
        if late > max(_LATE, self._execution.config.lease.total_seconds()):
            return f"the worker has not looked for jobs for {late:.0f} s"
        return None

    def _late(self) -> float:
        return 0.0 if self._looked is None else self._execution.clock.monotonic() - self._looked
