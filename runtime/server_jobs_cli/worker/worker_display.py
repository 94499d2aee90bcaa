"""The live display of a worker: running jobs with their progress, and finished jobs scrolling above."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from server_jobs.domain.clock import length
from server_jobs.engine.attempts.attempt import Attempt
from server_jobs.engine.worker import Worker

from ..console.log import LineFormatter
from ..console.output import one_line
from .worker_log import EVENTS, WorkerLog

_REFRESH_SECONDS = 0.1
_BAR_WIDTH = 24
_MESSAGE_CHARACTERS = 80
_ID_END = 8


class ConsoleHandler(logging.Handler):
    """Prints records above the display: outcomes and problems, but no starts."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(LineFormatter(tracebacks=False))

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == EVENTS:
            return getattr(record, "event", None) != "started"
        return record.levelno >= logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.WARNING else ""
        self._console.print(Text(self.format(record), style=style), soft_wrap=True)


@asynccontextmanager
async def live_display(worker: Worker, log: WorkerLog, console: Console) -> AsyncIterator[None]:
    """Update the display while the block runs. Afterwards it disappears; the lines printed above it stay."""
    display = _Display(worker, log)
    with Live(console=console, get_renderable=display.render, auto_refresh=False, transient=True) as live:
        task = asyncio.create_task(_keep_fresh(live))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _keep_fresh(live: Live) -> None:
    # Runs in the event loop, not in a thread of Live, because its data belongs to the loop.
    while True:
        live.refresh()
        await asyncio.sleep(_REFRESH_SECONDS)


class _Display:
    def __init__(self, worker: Worker, log: WorkerLog) -> None:
        self._worker = worker
        self._log = log
        self._began = time.monotonic()
        self._since: dict[str, float] = {}

    def render(self) -> RenderableType:
        attempts = self._worker.attempts()
        now = time.monotonic()
        self._since = {attempt.claim.id: self._since.get(attempt.claim.id, now) for attempt in attempts}
        table = Table.grid(padding=(0, 2, 0, 0))
        for column in ("job", "id", "attempt", "bar", "percent", "time", "message"):
            table.add_column(no_wrap=True, overflow="ellipsis", justify="right" if column == "percent" else "left")
        for attempt in attempts:
            table.add_row(*_cells(attempt, now - self._since[attempt.claim.id]))
        return Group(table, self._sum(len(attempts), now))

    def _sum(self, running: int, now: float) -> Text:
        failed = self._log.totals.failed
        parts = [
            Text(f"{running} running", style="cyan"),
            Text(f"{self._log.totals.completed} completed", style="green"),
            Text(f"{failed} failed", style="red" if failed else ""),
            Text(length(timedelta(seconds=int(now - self._began)))),
        ]
        return Text("  ").join(parts)


def _cells(attempt: Attempt, seconds: float) -> list[RenderableType]:
    claim, context = attempt.claim, attempt.context
    return [
        Text(one_line(claim.job_name), style="bold"),
        Text(f"…{one_line(claim.id)[-_ID_END:]}", style="bright_black"),
        Text(f"{claim.attempt}/{claim.max_attempts}"),
        ProgressBar(total=100, completed=context.progress, width=_BAR_WIDTH),
        Text(f"{context.progress}%"),
        Text(length(timedelta(seconds=seconds))),
        Text(one_line(context.progress_message or "", _MESSAGE_CHARACTERS)),
    ]
