"""`server-jobs retry` and `server-jobs cancel`: what a person may do to stored jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

import click
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import Cancellation
from server_jobs.errors import DuplicateJobError, JobNotFoundError, JobNotRetryableError

from ..console.actor import actor
from ..console.failures import NO
from ..console.log_lines import logging_to_stderr
from ..console.output import note, print_json, say
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it for one job; `ok` is false where nothing was changed."""

    id: str
    ok: bool
    outcome: str


Change = Callable[[Store, str], Awaitable[Answer]]


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@with_workspace
@json_option
def retry(workspace: Workspace, *, job_ids: tuple[str, ...], as_json: bool) -> None:
    """Put the failed or cancelled jobs ID... back in their queue, with all their attempts.

    \b
    Examples:
      server-jobs retry 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de
      server-jobs list --status failed --json | jq -r '.[].id' | xargs server-jobs retry

    Exit status: 0 all of them are pending, 1 at least one could not be retried, 2 wrong usage, 3 project or database
    cannot be used.
    """
    _answer(run(_change(workspace, job_ids, _retry)), as_json=as_json)


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@with_workspace
@json_option
def cancel(workspace: Workspace, *, job_ids: tuple[str, ...], as_json: bool) -> None:
    """Cancel the pending jobs among ID... at once, and ask the running ones to stop.

    Parked ones, which nobody could read, are given up, and may be pruned then. A running job learns of it within some
    seconds. If its handler finishes first, the job is completed all the same.

    \b
    Example:
      server-jobs cancel 0199d2a4-77a0-7cc1-a1f3-52a9b6a1c0de

    Exit status: 0 all of them are cancelled or asked, 1 at least one is finished or unknown, 2 wrong usage, 3 project
    or database cannot be used.
    """
    _answer(run(_change(workspace, job_ids, _cancel)), as_json=as_json)


async def _change(workspace: Workspace, job_ids: Sequence[str], change: Change) -> list[Answer]:
    with logging_to_stderr():  # with the lines of the audit log
        async with workspace.open_store() as store:
            return [await change(store, job_id) for job_id in job_ids]


async def _retry(store: Store, job_id: str) -> Answer:
    try:
        await store.retry(job_id, by=actor())
    except (JobNotFoundError, JobNotRetryableError, DuplicateJobError) as error:
        return Answer(job_id, ok=False, outcome=str(error))
    return Answer(job_id, ok=True, outcome="pending")


async def _cancel(store: Store, job_id: str) -> Answer:
    try:
        cancellation = await store.cancel(job_id, by=actor())
    except JobNotFoundError as error:
        return Answer(job_id, ok=False, outcome=str(error))
    match cancellation:
        case Cancellation.CANCELLED:
            return Answer(job_id, ok=True, outcome="cancelled")
        case Cancellation.REQUESTED:
            return Answer(job_id, ok=True, outcome="running, asked to stop")
        case Cancellation.FINISHED:
            return Answer(job_id, ok=False, outcome=f"job {job_id} is finished already; there is nothing to cancel")


def _answer(answers: Sequence[Answer], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(answer) for answer in answers])
    else:
        for answer in answers:
            if answer.ok:
                say(f"{answer.id}  {answer.outcome}")
            else:
                note(f"Error: {answer.outcome}")
    if not all(answer.ok for answer in answers):
        click.get_current_context().exit(NO)
