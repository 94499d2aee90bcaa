"""`server-jobs tick`: one round of work, for a cron trigger."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta

import click
from server_jobs.engine.tick import Tick
from server_jobs.engine.tick import tick as tick_once

from ..console.arguments import duration
from ..console.failures import NO
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="Run at most so many jobs; by default all that are due.")
@click.option("--budget", metavar="DURATION", type=duration, help="Begin no job after that time, such as 25s.")
@click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Jobs that run at a time."
)
@click.option(
    "--lock-timeout",
    metavar="DURATION",
    type=duration,
    default="60s",
    show_default=True,
    help="The lease of a job: others take it over that long after this process died.",
)
@with_workspace
@json_option
def tick(
    workspace: Workspace,
    *,
    limit: int | None,
    budget: timedelta | None,
    concurrency: int,
    lock_timeout: timedelta,
    as_json: bool,
) -> None:
    """Take over expired jobs, fire schedules, run what is due, and exit.

    For a cron line or another timer, where no worker runs all the time. Jobs that were begun are finished.

    \b
    Example, for crontab:
      * * * * *  cd /srv/shop && server-jobs tick --budget 50s

    Exit status: 0 done, whether or not a job failed; 1 a schedule could not fire; 2 wrong usage; 3 project or database
    cannot be used.
    """
    with logging_to_stderr():
        done = run(_tick(workspace, concurrency, lock_timeout, limit=limit, budget=budget))
    if as_json:
        print_json(asdict(done))
    else:
        say(
            f"{done.completed} completed, {done.failed} failed; "
            f"{done.scheduled} made by schedules, {done.expired} with an expired lease"
        )
    if done.unfired:
        note(f"{done.unfired} schedules could not fire; the log says why, and `server-jobs schedules` lists them")
        sys.exit(NO)


async def _tick(
    workspace: Workspace, concurrency: int, lock_timeout: timedelta, *, limit: int | None, budget: timedelta | None
) -> Tick:
    async with workspace.open_backend(concurrency=concurrency, lock_timeout=lock_timeout) as backend:
        return await tick_once(backend, limit=limit, budget=budget)
