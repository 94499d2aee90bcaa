"""`server-jobs pause` and `resume`: stop and restart claims from a queue."""

from __future__ import annotations

from collections.abc import Sequence

import click
from server_jobs.domain.record import PausedQueue
from server_jobs.errors import ServerJobsError
from server_jobs.registry import JobRegistry

from ..console.json_option import json_option
from ..console.log import logging_to_stderr
from ..console.options import with_workspace
from ..console.output import local, note, print_result, suggestion
from ..console.workspace import Workspace, actor


@click.command()
@click.argument("queue", metavar="QUEUE")
@with_workspace
@json_option
def pause(workspace: Workspace, *, queue: str, as_json: bool) -> None:
    """Stop workers from claiming jobs of QUEUE until it is resumed.

    Jobs can still be enqueued, and running jobs continue. `server-jobs now`, and a job that is run by its id, ignore
    the pause.

    \b
    Example:
      server-jobs pause mail

    Exit status: 0 it is paused, 2 wrong usage, 3 project or database cannot be used.
    """
    _note_unknown(workspace, queue)
    with logging_to_stderr():
        changed = workspace.with_store(lambda store: store.pause_queue(queue, by=actor()))
    document = {"queue": queue, "paused": True, "changed": changed}
    print_result(document, f"{queue} is paused" if changed else f"{queue} was paused already", as_json=as_json)


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
    with logging_to_stderr():
        changed = workspace.with_store(lambda store: store.resume_queue(queue, by=actor()))
    if not changed:
        _note_unknown(workspace, queue)
    document = {"queue": queue, "paused": False, "changed": changed}
    print_result(document, f"{queue} is resumed" if changed else f"{queue} was not paused", as_json=as_json)


def _note_unknown(workspace: Workspace, queue: str) -> None:
    try:
        remark = unknown_queue(workspace.registry, queue)
    except ServerJobsError:
        return
    if remark is not None:
        note(remark)


def unknown_queue(registry: JobRegistry, queue: str) -> str | None:
    """Return a remark on a queue that no job here uses. It may belong to another project, or be misspelled."""
    queues = {registration.job.options.queue for registration in registry.registrations()}
    return None if queue in queues else f"no job uses the queue {queue!r} here; {suggestion(queue, sorted(queues))}"


def note_paused(paused: Sequence[PausedQueue]) -> None:
    """Print which queues are paused on stderr, because this explains pending jobs."""
    for queue in paused:
        note(f"the queue {queue.name} is paused since {local(queue.paused_at)}")
