"""The options of a filter for jobs, which several commands share, and the change of all jobs that match it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import click
from server_jobs.domain.interfaces import Store
from server_jobs.domain.record import TEXT_FILTERS, JobFilter, JobStatus
from server_jobs.domain.search import FindStep
from server_jobs.engine.bulk import UNREADABLE_DOCUMENT, BulkAction, BulkResult, change_page, with_conditions
from server_jobs.errors import InvalidOptionError, ServerJobsError
from server_jobs.registry import JobRegistry

from ..console.failures import NO
from ..console.log import logging_to_stderr
from ..console.options import duration, names
from ..console.output import note, print_json, say
from ..console.workspace import Workspace, actor

SHOWN = 20
"""How many jobs are named that could not be changed."""

P = ParamSpec("P")
R = TypeVar("R")

_DONE = {BulkAction.RETRY: "retried", BulkAction.CANCEL: "cancelled or asked to stop", BulkAction.DELETE: "deleted"}
_SUCCESSES = {
    BulkAction.RETRY: ("retried",),
    BulkAction.CANCEL: ("cancelled", "requested"),
    BulkAction.DELETE: ("deleted",),
}
RUNNING_STAYS = (
    "is running, and was not deleted; cancel it with `server-jobs cancel`, and delete it once its worker has stopped it"
)
_REASONS = {
    "duplicate": "stays: an unfinished job has its unique key",
    "running": RUNNING_STAYS,
    UNREADABLE_DOCUMENT: "was not searched: its params or result are not JSON; inspect it, and name it by id",
}
"""Why a found job was not changed. A job that another process changed in the meantime is no problem."""

_WRONG_STATUSES = {
    "finished": "not cancelled: only pending and running jobs can be",
    "not retryable": "not retried: only failed and cancelled jobs can be",
}
"""Why no job in a status of the filter can be changed. One line counts these jobs."""


__all__ = [
    "RUNNING_STAYS",
    "SHOWN",
    "BulkAction",
    "FilterCommand",
    "FilterOptions",
    "bulk_options",
    "change_found",
    "filter_options",
    "is_by_id",
    "jobs_were",
]


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The given options."""

    status: str | None = None
    parked: bool = False
    queue: tuple[str, ...] | None = None
    older_than: timedelta | None = None
    newer_than: timedelta | None = None
    where: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """The fields of `JobFilter` that are texts, by name."""

    @property
    def is_given(self) -> bool:
        """Whether any option is given."""
        return self != FilterOptions()

    def filter(self, workspace: Workspace) -> JobFilter:
        """Return the filter. A wrong condition is wrong usage."""
        texts = {name: workspace.stored_name(text) if name == "job_name" else text for name, text in self.texts.items()}
        wanted = JobFilter(
            status=JobStatus(self.status) if self.status else None,
            parked=self.parked,
            queues=self.queue,
            older_than=self.older_than,
            newer_than=self.newer_than,
        ).with_texts(texts)
        if not self.where:
            return wanted
        try:  # `show --reveal` shows the same user all params
            return with_conditions(wanted, self.where, _registry(workspace), may_reveal=True)
        except InvalidOptionError as error:
            raise click.UsageError(str(error)) from error


_FIELDS = tuple(one.name for one in fields(FilterOptions) if one.name != "texts")
_OPTIONS = frozenset((*_FIELDS, *(one.option for one in TEXT_FILTERS.values())))


def _registry(workspace: Workspace) -> JobRegistry | None:
    try:
        return workspace.registry
    except ServerJobsError:
        return None


class FilterCommand(click.Command):
    """A command with the options of a filter, each of which may be given once, except `--where`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option in given:
            is_single = isinstance(option, click.Option) and not (option.multiple or option.is_flag)
            if is_single and option.name in _OPTIONS and given.count(option) > 1:
                raise click.UsageError(f"{option.opts[0]} was given more than once", ctx)
        return super().parse_args(ctx, args)


def filter_options(
    statuses: Sequence[JobStatus] = tuple(JobStatus),
) -> Callable[[Callable[Concatenate[Workspace, P], R]], Callable[Concatenate[Workspace, P], R]]:
    """Give a `FilterCommand` the options of a filter, and their values as the argument `options`."""

    def decorate(command: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
        @wraps(command)
        def run(workspace: Workspace, /, *args: P.args, **kwargs: P.kwargs) -> R:
            given = {name: kwargs.pop(name) for name in _FIELDS}
            texts = {name: kwargs.pop(one.option) for name, one in TEXT_FILTERS.items()}
            given["texts"] = {name: text for name, text in texts.items() if text is not None}
            kwargs["options"] = FilterOptions(**given)  # type: ignore[arg-type]  # click made the values
            return command(workspace, *args, **kwargs)

        decorated: Callable[Concatenate[Workspace, P], R] = run
        for option in reversed(_options(statuses)):
            decorated = option(decorated)
        return decorated

    return decorate


def _options(statuses: Sequence[JobStatus]) -> list[Callable[[Callable[P, R]], Callable[P, R]]]:
    return [
        click.option("--status", type=click.Choice([str(one) for one in statuses]), help="Only jobs in this status."),
        click.option("--parked", is_flag=True, help="Only jobs that failed because their params cannot be read."),
        click.option("--queue", metavar="NAME,...", type=names, help="Only jobs of these queues."),
        *(
            click.option(f"--{one.option.replace('_', '-')}", metavar=one.metavar, help=one.about)
            for one in TEXT_FILTERS.values()
        ),
        click.option(
            "--older-than",
            metavar="AGE",
            type=duration,
            help="Only jobs that ended longer ago, such as 2h; unfinished ones that were created longer ago.",
        ),
        click.option(
            "--newer-than",
            metavar="AGE",
            type=duration,
            help="Only jobs that ended later, such as 2h; unfinished ones that were created later.",
        ),
        click.option(
            "--where",
            metavar="PLACE=VALUE",
            multiple=True,
            help="Only jobs with that value at that place, such as params.customerId=42. Several must all match.",
        ),
    ]


def bulk_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options `--dry-run` and `--yes`."""
    command = click.option("--yes", is_flag=True, help="Do not ask before the change of the jobs that were found.")(
        command
    )
    return click.option("--dry-run", is_flag=True, help="Print how many jobs the filter finds, and change nothing.")(
        command
    )


def is_by_id(job_ids: Sequence[str], options: FilterOptions, *, is_bulk: bool) -> bool:
    """Return whether ids are given, and not a filter. Both or none of them is wrong usage."""
    if bool(job_ids) == options.is_given:
        raise click.UsageError("give either IDs or a filter, such as --job NAME")
    if job_ids and is_bulk:
        raise click.UsageError("--dry-run and --yes are for a filter")
    return bool(job_ids)


def change_found(
    workspace: Workspace, action: BulkAction, options: FilterOptions, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Count the jobs of the filter, ask for confirmation, change them page by page, and print the counts.

    Exit with status 1 if a found job could not be changed, or if nobody confirmed.
    """
    among = action.among(options.filter(workspace))
    with logging_to_stderr():
        counted = workspace.with_store(lambda store: _change(store, action, among, dry_run=True), only_reads=True)
        found = counted.found.total()
        if not as_json:
            say(_found(counted.found))
        result = counted
        if found and not dry_run:
            if not yes and (as_json or not sys.stdin.isatty()):
                note("Error: nothing was changed; confirm it with --yes")
                click.get_current_context().exit(NO)
            if not yes and not click.confirm(f"{action.capitalize()} {_jobs(found)}?"):
                click.get_current_context().exit(NO)
            result = workspace.with_store(lambda store: _change(store, action, among, dry_run=False))
    _print(action, result, is_dry_run=dry_run, as_json=as_json)
    if not dry_run and any(result.results[reason] for reason in (*_REASONS, *_WRONG_STATUSES)):
        click.get_current_context().exit(NO)


async def _change(store: Store, action: BulkAction, among: JobFilter, *, dry_run: bool) -> BulkResult:
    result = BulkResult()
    while result.after is not None:
        step = FindStep(filter=among, after=result.after)
        await change_page(store, action, step, result, by=actor(), dry_run=dry_run)
    return result


def _found(found: Counter[tuple[str, JobStatus]]) -> str:
    shown = ", ".join(f"{count} {status} {name}" for (name, status), count in sorted(found.items()))
    return f"{jobs_were(found.total())} found" + (f": {shown}" if shown else "")


def _print(action: BulkAction, result: BulkResult, *, is_dry_run: bool, as_json: bool) -> None:
    if as_json:
        found = [{"job_name": name, "status": status, "count": count} for (name, status), count in result.found.items()]
        print_json({"found": found, "dry_run": is_dry_run, "results": result.results})
        return
    if is_dry_run:
        say("nothing was changed (dry run)")
    else:
        say(f"{jobs_were(sum(result.results[one] for one in _SUCCESSES[action]))} {_DONE[action]}")
    for reason, text in _REASONS.items():
        for job_id in result.some.get(reason, [])[:SHOWN]:
            note(f"Error: {job_id} {text}")
        more = result.results[reason] - SHOWN
        if more > 0:
            note(f"Error: and {more} more: each {text}")
    for reason, text in _WRONG_STATUSES.items():
        if count := result.results[reason]:
            note(f"Error: {jobs_were(count)} {text}")


def _jobs(count: int) -> str:
    return f"{count} {'job' if count == 1 else 'jobs'}"


def jobs_were(count: int) -> str:
    """Return `1 job was`, or `2 jobs were`."""
    return f"{count} {'job was' if count == 1 else 'jobs were'}"
