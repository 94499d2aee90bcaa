"""`server-jobs run`: run one job that a worker has claimed, in a pod that the worker has started."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

import click
from server_jobs.domain.record import Outcome
from server_jobs.engine.attempts.attempt import Attempt, Stop
from server_jobs.engine.execution import Execution
from server_jobs.errors import InvalidOptionError
from server_jobs_cli.console.failures import NO
from server_jobs_cli.console.json_option import json_lines_option
from server_jobs_cli.console.log import logging_through
from server_jobs_cli.console.options import duration, with_workspace
from server_jobs_cli.console.workspace import Workspace
from server_jobs_cli.worker.shutdown import Shutdown
from server_jobs_cli.worker.starting import WorkerOptions, drain_timeout_option, log_level_option, open_backend
from server_jobs_cli.worker.worker_log import EVENTS, WorkerLog, log_handler

from .claims import ClaimName
from .taking_over import take_over

_logger = logging.getLogger(EVENTS)


def _claim(text: str) -> ClaimName:
    try:
        return ClaimName.parse(text)
    except InvalidOptionError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--claim", required=True, metavar="JOB_ID:DIGEST", type=_claim, help="The claim, as its worker writes it."
)
@click.option("--lease", type=duration, default="60s", show_default=True, help="The lease of the job, renewed here.")
@drain_timeout_option
@log_level_option
@with_workspace
@json_lines_option
def run(
    workspace: Workspace,
    *,
    claim: ClaimName,
    lease: timedelta,
    drain_timeout: timedelta,
    log_level: str,
    as_json: bool,
) -> None:
    """Run one job that a worker has claimed.

    For the pods of jobs with "runIn": "kubernetes", which their worker starts. The command renews the lease of the
    claim, runs the handler in its own process, and stores the outcome. If the claim is not the newest of its job, the
    handler does not run. SIGTERM lets the handler finish within the drain timeout. A job that does not finish is
    released, and its attempt does not count.

    Exit status: 0 the outcome is stored, or the claim is not the newest; 1 the claim was lost while the job ran; 2
    wrong usage; 3 project or database cannot be used.
    """
    options = WorkerOptions(
        concurrency=1,
        queues=None,
        drain_timeout=drain_timeout,
        lease=lease,
        poll_interval=timedelta(seconds=1),
        until_empty=True,
    )
    handler = log_handler(as_json=as_json)
    with logging_through(handler, log_level), Shutdown(drain_timeout) as shutdown:
        outcome = asyncio.run(_run(workspace, options, shutdown, claim))
    if outcome is Outcome.LOST:
        sys.exit(NO)


async def _run(workspace: Workspace, options: WorkerOptions, shutdown: Shutdown, name: ClaimName) -> Outcome | None:
    """Return the outcome; None if the claim is not the newest."""
    async with open_backend(workspace, options, shutdown) as backend:
        attempt = await take_over(backend.execution, name)
        if attempt is None:
            _logger.warning("job %s: this claim is not the newest, so its handler does not run", name.job_id)
            return None
        with shutdown.guards(_Stopping(attempt, options.drain_timeout)):
            return await _run_attempt(backend.execution, attempt)


async def _run_attempt(execution: Execution, attempt: Attempt) -> Outcome:
    log, began = WorkerLog(), execution.clock.monotonic()
    log.started(attempt.claim)
    outcome, error = await execution.run(attempt)
    log.ended(attempt.claim, outcome, error, execution.clock.monotonic() - began)
    await execution.runner.counts.store(execution.store)
    if batches := list(execution.runner.batches):
        await execution.backend.end_batches(batches)
    return outcome


class _Stopping:
    """The attempt as `Shutdown` sees it: it ends within the drain timeout, or is released."""

    def __init__(self, attempt: Attempt, drain_timeout: timedelta) -> None:
        self._attempt = attempt
        self._drain_timeout = drain_timeout.total_seconds()
        self._stops = 0

    def stop(self) -> None:
        self._stops += 1
        delay = self._drain_timeout if self._stops == 1 else 0.0
        asyncio.get_running_loop().call_later(delay, self._attempt.stop, Stop.SHUTDOWN)

    def orphan(self) -> None:
        """Do nothing, because a pod has no supervisor."""

    def abandon(self) -> None:
        claim = self._attempt.claim
        _logger.error("%s %s does not end; its lease expires", claim.job_name, claim.id, extra={"event": "abandoned"})
