"""`server-jobs pause` and `server-jobs resume`: whether anything is claimed from a queue."""

from __future__ import annotations

import click
from server_jobs.errors import ServerJobsError

from ..console.actor import actor
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json, say
from ..console.suggestion import suggestion
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@click.command()
@click.argument("queue", metavar="QUEUE")
@with_workspace
@json_option
def pause(workspace: Workspace, *, queue: str, as_json: bool) -> None:
    """Let no worker claim jobs of QUEUE until it is resumed.

    Jobs are enqueued all the same, and those that run go on. `server-jobs now`, and a job that is run by its id, are
    not held back.

    \b
    Example:
      server-jobs pause mail

    Exit status: 0 it is paused, 2 wrong usage, 3 project or database cannot be used.
    """
    _note_unknown(workspace, queue)
    changed = run(_change(workspace, queue, paused=True))
    _answer(queue, changed, as_json=as_json, paused=True)


@click.command()
@click.argument("queue", metavar="QUEUE")
@with_workspace
@json_option
def resume(workspace: Workspace, *, queue: str, as_json: bool) -> None:
    """Let workers claim jobs of QUEUE again.

    \b
    Example:
      server-jobs resume mail

    Exit status: 0 it is not paused, 2 wrong usage, 3 project or database cannot be used.
    """
    changed = run(_change(workspace, queue, paused=False))
    if not changed:
        _note_unknown(workspace, queue)
    _answer(queue, changed, as_json=as_json, paused=False)


async def _change(workspace: Workspace, queue: str, *, paused: bool) -> bool:
    with logging_to_stderr():
        async with workspace.open_store() as store:
            return await (store.pause_queue(queue, by=actor()) if paused else store.resume_queue(queue, by=actor()))


def _note_unknown(workspace: Workspace, queue: str) -> None:
    """A queue that no job here uses may be that of another project, or a slip."""
    try:
        queues = {registration.job.options.queue for registration in workspace.registry.registrations()}
    except ServerJobsError:
        return
    if queue not in queues:
        note(f"no job uses the queue {queue!r} here; {suggestion(queue, sorted(queues))}")


def _answer(queue: str, changed: bool, *, as_json: bool, paused: bool) -> None:
    if as_json:
        print_json({"queue": queue, "paused": paused, "changed": changed})
    elif paused:
        say(f"{queue} is paused" if changed else f"{queue} was paused already")
    else:
        say(f"{queue} is resumed" if changed else f"{queue} was not paused")
