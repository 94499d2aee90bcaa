"""The start of a worker while its database is away: wait for it, and end at a signal."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import click
from server_jobs.engine.backend import Backend
from server_jobs.errors import DatabaseUnreachableError

from ..project.workspace import Workspace
from .shutdown import Shutdown
from .worker_log import EVENTS
from .worker_options import WorkerOptions

_logger = logging.getLogger(EVENTS)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0


@asynccontextmanager
async def open_backend(workspace: Workspace, options: WorkerOptions, shutdown: Shutdown) -> AsyncIterator[Backend]:
    """Yield a backend on an open database, which is waited for while it cannot be reached.

    Everything else that keeps a worker from starting is raised at once: a wrong password, missing tables, the project.
    A signal ends the command with status 0.
    """
    _ = workspace.registry, workspace.open_database()  # what is wrong here is raised before anything waits
    async with AsyncExitStack() as stack:
        starting = _Starting()
        with shutdown.guards(starting):
            try:
                backend = await _wait_for_backend(stack, workspace, options)
            except asyncio.CancelledError:
                if starting.is_stopped:
                    _logger.info("stopped before the database was reached", extra={"event": "worker_stopped"})
                    raise click.exceptions.Exit(0) from None
                raise
        yield backend


async def _wait_for_backend(stack: AsyncExitStack, workspace: Workspace, options: WorkerOptions) -> Backend:
    pause = _FIRST_PAUSE
    is_away = False
    while True:
        opening = workspace.open_backend(
            concurrency=options.concurrency, lock_timeout=options.lock_timeout, poll_interval=options.poll_interval
        )
        try:
            backend = await stack.enter_async_context(opening)
        except DatabaseUnreachableError as error:
            if not is_away:
                is_away = True
                extra = {"event": "database_away"}
                _logger.error("the database cannot be reached, trying again: %s", error, extra=extra)  # noqa: TRY400  one line
        else:
            if is_away:
                _logger.warning("the database is reached now", extra={"event": "database_back"})
            return backend
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  spreads load only
        pause = min(_LONGEST_PAUSE, pause * 2)


class _Starting:
    """The wait for the database, as `Shutdown` sees it."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._task = asyncio.current_task()

    def stop(self) -> None:
        self.is_stopped = True
        if self._task is not None:
            self._task.cancel()

    def orphan(self) -> None:
        _logger.warning("the supervisor is gone", extra={"event": "orphaned"})

    def abandon(self) -> None:
        """Nothing is claimed yet."""
