"""The workers of all shards in one process, started and stopped together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import ShardUnreachableError
from ..attempts.attempt import Attempt

if TYPE_CHECKING:
    from ..worker import Worker

_logger = logging.getLogger("server_jobs")
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0


class ShardWorkers:
    """One worker for each shard, by its name. A shard that cannot be reached delays only its own worker."""

    def __init__(self, workers: Mapping[str, Worker]) -> None:
        self._workers = workers
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop all workers; the second call releases their jobs."""
        self._stopped.set()
        for worker in self._workers.values():
            worker.stop()

    def attempts(self) -> list[Attempt]:
        """The running attempts of all workers."""
        return [attempt for worker in self._workers.values() for attempt in worker.attempts()]

    def unready(self) -> str | None:
        """Return why no worker claims jobs; None while one does."""
        reasons = {shard: worker.unready() for shard, worker in self._workers.items()}
        return None if None in reasons.values() else _joined(reasons)

    def stuck(self) -> str | None:
        """Return why one worker needs a restart; None if all work."""
        reasons = {shard: reason for shard, worker in self._workers.items() if (reason := worker.stuck())}
        return _joined(reasons) if reasons else None

    def reached_limit(self) -> str | None:
        """Return which limit of the process a worker has reached."""
        return next(filter(None, (worker.reached_limit for worker in self._workers.values())), None)

    def look_again(self) -> None:
        """Let all workers claim: this process has stored a job."""
        for worker in self._workers.values():
            for notify in worker.backend.inserted:
                notify()

    async def run(self) -> None:
        """Run all workers until they end. If one raises an error, stop the others first."""
        self._stopped.clear()
        tasks = [asyncio.create_task(self._run(shard, worker)) for shard, worker in self._workers.items()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._stop_if_failed(tasks)
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            task.result()

    def _stop_if_failed(self, tasks: list[asyncio.Task[None]]) -> None:
        if any(task.done() and task.exception() is not None for task in tasks):
            self.stop()

    async def _run(self, shard: str, worker: Worker) -> None:
        """Run the worker of a shard, once the shard can be reached."""
        pause = 0.0
        while not self._stopped.is_set():
            try:
                return await worker.run()
            except ShardUnreachableError as error:
                if not pause:
                    _logger.error("shard %s cannot be used, trying again: %s", shard, error.shards[shard])  # noqa: TRY400  one line
                pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopped.wait()
        return None


def _joined(reasons: Mapping[str, str | None]) -> str:
    return "; ".join(f"shard {shard}: {reason}" for shard, reason in reasons.items())
