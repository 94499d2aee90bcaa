"""Several worker processes: starts them, starts another for one that dies, and stops them all together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from server_jobs.databases.sqlite.database import SqliteDatabase, wal_reset_warning

from ..console.failures import NO
from ..console.log_lines import logging_through
from ..console.times import length
from ..project.workspace import Workspace
from .restarts import Restarts
from .shutdown import Shutdown
from .starting import open_backend
from .worker_log import EVENTS, announce, log_handler
from .worker_options import WorkerOptions, worker_command
from .worker_process import ProcessEnd, WorkerProcess

_logger = logging.getLogger(EVENTS)

# The workers end themselves a moment earlier, and those that give jobs back are not disturbed.
_MARGIN = 0.92


def supervise(workspace: Workspace, options: WorkerOptions, processes: int) -> int:
    """Run that many workers until they are stopped, or are done. The status to exit with.

    Project, registry and database are looked at once before: what is wrong from the start is raised, as by one worker.
    """
    command = worker_command(workspace, options)
    with (
        logging_through(log_handler(as_json=options.as_json), options.log_level),
        Shutdown(options.drain_timeout, margin=_MARGIN) as shutdown,
    ):
        return asyncio.run(_supervise(workspace, options, processes, command, shutdown))


async def _supervise(
    workspace: Workspace, options: WorkerOptions, processes: int, command: Sequence[str], shutdown: Shutdown
) -> int:
    async with open_backend(workspace, options, shutdown) as backend:
        announce(backend.registry, options, workspace.shown_url, processes=processes)
    if isinstance(workspace.open_database(), SqliteDatabase) and (warning := wal_reset_warning()):
        _logger.warning(warning, extra={"event": "sqlite_wal_reset"})
    supervisor = Supervisor(command, processes, drain_timeout=options.drain_timeout, until_empty=options.until_empty)
    with shutdown.guards(supervisor):
        return await supervisor.run()


class Supervisor:
    """Keeps that many processes of a command running until `stop` is called. Each is told its number, from 1 on.

    With `until_empty`, a process that says it is done has no successor, and it ends with the last one.
    """

    def __init__(self, command: Sequence[str], processes: int, *, drain_timeout: timedelta, until_empty: bool) -> None:
        self._command = command
        self._processes = processes
        self._drain_timeout = drain_timeout.total_seconds()
        self._until_empty = until_empty
        self._running: dict[int, WorkerProcess] = {}
        self._is_stopping = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Until all have ended. 0, or 1 if one of them had to be ended hard, or the status of a set-up gone wrong."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._processes + 1):
                group.create_task(self._keep(number))
        _logger.info("all processes have ended", extra={"event": "supervisor_stopped"})
        return self._status

    def stop(self) -> None:
        for process in self._running.values():
            process.stop()
        if not self._is_stopping.is_set():
            self._is_stopping.set()
            _logger.info(
                "stopping %d processes, with %g s to finish; a second signal stops them at once",
                len(self._running),
                self._drain_timeout,
                extra={"event": "stopping"},
            )

    def orphan(self) -> None:
        """A supervisor has none itself."""

    def abandon(self) -> None:
        for number, process in list(self._running.items()):
            process.kill()
            _logger.error(
                "worker[%d] does not end and was killed; its jobs are taken over when their leases have run out",
                number,
                extra={"event": "worker_killed", "worker": number},
            )

    async def _keep(self, number: int) -> None:
        """Keep one process running."""
        restarts = Restarts()
        end = await self._run_one(number)
        while not self._is_over(number, end):
            restarts = restarts.after(end.ran)
            self._log_death(number, end, restarts.pause)
            await self._pause(restarts.pause)
            if self._is_stopping.is_set():
                return
            end = await self._run_one(number, again=True)

    async def _run_one(self, number: int, *, again: bool = False) -> ProcessEnd:
        try:
            process = WorkerProcess([*self._command, "--supervised", str(number)])
        except OSError as error:  # no memory, too many processes
            return ProcessEnd(status=NO, how=f"could not be started: {error}")
        if again:
            extra = {"event": "worker_restarted", "worker": number, "pid": process.pid}
            _logger.info("worker[%d] started again, pid %d", number, process.pid, extra=extra)
        self._running[number] = process
        try:
            return await process.ended()
        finally:
            del self._running[number]

    def _is_over(self, number: int, end: ProcessEnd) -> bool:
        """Whether no other process is to take the place of the one that ended."""
        if self._is_stopping.is_set():
            if end.was_ready and not end.is_done:
                self._status = NO
                _logger.error("worker[%d] %s instead of stopping", number, end.how, extra={"worker": number})
            return True
        if end.is_unusable and not self._running:
            # Others that run may have been started before somebody broke the project: they are worth keeping.
            self._status = end.status
            self._is_stopping.set()
            _logger.error("worker[%d] cannot be set up, and no other one runs", number, extra={"worker": number})
            return True
        return self._until_empty and end.is_done

    def _log_death(self, number: int, end: ProcessEnd, pause: timedelta) -> None:
        _logger.warning(
            "worker[%d] %s after %s; another one is started %s",
            number,
            end.how,
            length(end.ran),
            f"in {length(pause)}" if pause else "at once",
            extra={"event": "worker_died", "worker": number, "status": end.status},
        )

    async def _pause(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._is_stopping.wait()
