"""The chores of every worker and every tick. `Maintenance` does them by time, `tick` those that are due."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from ..domain.record import MOST_LATE, Expired
from ..errors import ServerJobsError
from .attempts.failure_log import log_expired, log_late

if TYPE_CHECKING:
    from .execution import Execution

T = TypeVar("T")

EXPIRY_JITTER = timedelta(seconds=1)

_logger = logging.getLogger("server_jobs")


class Chores:
    """Work on the jobs and the tables of all workers. Each method is one chore, and raises its errors.

    On a backend with an allowance, chores end early when nothing is left of it.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._backend = execution.backend
        self._store = execution.store

    async def expire(self) -> Sequence[Expired]:
        """Expire leases: their jobs become pending again, or fail. Log each of them."""
        await self._backend.initialize()
        runner = self._execution.runner
        # After a pause (a suspended machine, a blocked event loop) this may run before the next renewal.
        leased = [attempt.claim.token for attempt in runner.leases.leased()]
        expired = await self._store.expire(jitter=EXPIRY_JITTER, except_for=leased)
        for one in expired:
            if self._backend.registry.get(one.job_name) is not None:
                runner.counts.note_failure(one.queue, one.job_name, one.status)
        log_expired(expired)
        return expired

    async def cancel_late(self) -> int:
        """Cancel the jobs that may not start any more, in small steps, and return their number. Log each of them."""
        await self._backend.initialize()
        count = 0
        while self._backend.allowance() != 0:
            late = await self._store.cancel_late()
            log_late(late)
            count += len(late)
            if len(late) < MOST_LATE:
                break
        return count

    async def declare(self, *, only_code: bool = False) -> None:
        """Store the schedules of the registry; with `only_code`, those of `define_job` only."""
        await self._execution.scheduler.declare(only_code=only_code)

    async def schedule(self) -> Sequence[str]:
        """Enqueue the jobs of due schedules, and return their ids."""
        return await self._execution.scheduler.tick(allowance=self._backend.allowance)

    async def end_batches(self, batch_ids: Sequence[str] | None = None) -> Sequence[str]:
        """Make the completion jobs of ended batches due, and return their ids. None: look at all batches."""
        return await self._backend.end_batches(batch_ids)

    async def prune(self) -> None:
        """Delete finished jobs past their retention, in a few steps of a scan that this process goes on with."""
        await self._execution.pruner.tick()

    async def prune_once(self) -> None:
        """Like `prune`, for a process that ends: the database has the place where the next one goes on."""
        await self._execution.pruner.resume(self._backend.allowance)

    async def count(self) -> None:
        """Store how many jobs this process has settled."""
        await self._execution.runner.counts.store(self._store)

    async def forget_workers(self) -> None:
        """Delete the reports of workers that died long ago."""
        await self._store.forget_workers()

    async def forget_counts(self) -> None:
        """Delete old counts."""
        await self._store.forget_counts()


class Failures:
    """The chores that fail. Logs a failure once, until the chore works again, so that the other chores still run.

    An error that this package does not raise is logged each time, with its traceback.

    `place` is who does the chores, for the log.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._errors: dict[str, Exception] = {}

    @property
    def first(self) -> Exception | None:
        """The error of the chore that has failed for the longest time, or None."""
        return next(iter(self._errors.values()), None)

    async def do(self, name: str, chore: Awaitable[T]) -> T | None:
        """Return the result of a chore, or None if it fails."""
        try:
            result = await chore
        except Exception as error:  # noqa: BLE001  `first` has it
            self._note(name, error)
            return None
        if self._errors.pop(name, None) is not None:
            _logger.warning("%s (%s) works again", self._place, name)
        return result

    def _note(self, name: str, error: Exception) -> None:
        is_known = name in self._errors
        self._errors.setdefault(name, error)
        if not isinstance(error, ServerJobsError):
            _logger.error("%s (%s) failed: %s", self._place, name, error, exc_info=error)
        elif not is_known:
            _logger.error("%s (%s) failed: %s", self._place, name, error)
