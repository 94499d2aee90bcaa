"""`server-jobs schedules`: list schedules, or add, change, pause, resume, run, backfill or remove one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import click
from pydantic import BaseModel
from server_jobs.domain.cron import load_zone, next_slot
from server_jobs.domain.interfaces import Store
from server_jobs.domain.options import Misfire
from server_jobs.domain.record import PausedQueue, ScheduleRecord
from server_jobs.errors import InvalidOptionError, ServerJobsError
from server_jobs.handle import ScheduleHandle

from ..console.json_option import json_option
from ..console.options import json_object, with_workspace
from ..console.output import (
    last_cell,
    note,
    one_line,
    plain_table,
    print_json,
    print_result,
    print_table,
    suggestion,
)
from ..console.workspace import Workspace, actor, run
from .backfill import Range, backfill
from .queues import note_paused


class Action(StrEnum):
    """What happens to one schedule."""

    ADD = "add"
    CHANGE = "change"
    PAUSE = "pause"
    RESUME = "resume"
    RUN = "run"
    BACKFILL = "backfill"
    REMOVE = "remove"


_DONE = {
    Action.ADD: "added",
    Action.CHANGE: "changed",
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.REMOVE: "removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of a new schedule, or those to change. None: not given."""

    cron: str | None
    timezone: str | None
    misfire: Misfire | None
    misfire_limit: int | None
    params: dict[str, object] | None

    @property
    def is_empty(self) -> bool:
        return all(value is None for value in (self.cron, self.timezone, self.misfire, self.misfire_limit, self.params))


@click.command()
@click.argument("action", type=click.Choice([str(one) for one in Action]), required=False)
@click.argument("job", required=False)
@click.argument("name", required=False)
@click.option("--cron", metavar="EXPRESSION", help="For add and change: five fields, such as '0 7 * * 1-5'.")
@click.option("--timezone", metavar="ZONE", help="For add and change: the IANA zone of the expression; UTC if new.")
@click.option(
    "--misfire",
    type=click.Choice([str(one) for one in Misfire]),
    help="For add and change: what happens to slots that passed while no worker ran; fire_once if new.",
)
@click.option("--misfire-limit", type=int, help="With --misfire fire_all: how many passed slots fire at most.")
@click.option(
    "--params",
    metavar="JSON",
    type=json_object,
    help="For add and change: the params of each job, a JSON object; @FILE reads a file, - reads stdin.",
)
@click.option(
    "--next", "count", type=click.IntRange(1, 20), default=2, show_default=True, help="How many coming slots to show."
)
@click.option(
    "--from",
    "start",
    metavar="TIME",
    help="For backfill: the first time, such as 2026-01-31 or 2026-01-31T07:00, in the zone of the schedule.",
)
@click.option("--to", "end", metavar="TIME", help="For backfill: the time before which the slots end; now by default.")
@click.option("--again", is_flag=True, help="For backfill: also slots whose jobs have finished.")
@click.option("--dry-run", is_flag=True, help="For backfill: only show the slots.")
@with_workspace
@json_option
def schedules(
    workspace: Workspace,
    *,
    action: str | None,
    job: str | None,
    name: str | None,
    cron: str | None,
    timezone: str | None,
    misfire: str | None,
    misfire_limit: int | None,
    params: dict[str, object] | None,
    count: int,
    start: str | None,
    end: str | None,
    again: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """List the stored schedules with their next slots, each in its own time zone.

    With ACTION, JOB and NAME: add a schedule to a job, or change, pause, resume, run, backfill or remove one. JOB/NAME
    names it too, and so does NAME alone if only one schedule has it. `run` enqueues one job now, and `backfill` the
    slots of a range once each. Schedules of specs and of code are declared: they cannot be changed or removed. A worker
    or a tick fires schedules.

    \b
    Examples:
      server-jobs schedules
      server-jobs schedules add DailyDigest customer-42 --cron '0 7 * * *' --params '{"audience": "customer-42"}'
      server-jobs schedules change DailyDigest customer-42 --timezone Europe/Berlin
      server-jobs schedules pause DailyDigest every-morning
      server-jobs schedules backfill DailyDigest/every-morning --from 2026-01-01 --to 2026-02-01

    Exit status: 0 done, 1 the params do not fit, 2 wrong usage or no such schedule, 3 project or database cannot be
    used.
    """
    policy = None if misfire is None else Misfire(misfire)
    values = Values(cron=cron, timezone=timezone, misfire=policy, misfire_limit=misfire_limit, params=params)
    if action is None:
        _list(workspace, count, as_json=as_json)
    elif job is None or (name is None and action == Action.ADD and "/" not in job):
        raise click.UsageError(f"name the job and the schedule: `server-jobs schedules {action} JOB NAME`")
    elif (start is None) is (action == Action.BACKFILL):
        raise click.UsageError("backfill needs --from" if start is None else f"{action} takes no --from")
    elif action != Action.BACKFILL and (end is not None or again or dry_run):
        raise click.UsageError(f"--to, --again and --dry-run belong to backfill, not to {action}")
    elif action not in (Action.ADD, Action.CHANGE) and not values.is_empty:
        raise click.UsageError(f"{action} takes no values; `change` sets them")
    elif action == Action.ADD and cron is None:
        raise click.UsageError("a new schedule needs --cron, such as --cron '0 7 * * *'")
    else:
        wanted = Range(start or "", end, again=again, dry_run=dry_run)
        document, text = run(_act(workspace, Action(action), (job, name), values, wanted))
        print_result(document, text, as_json=as_json)


async def _act(
    workspace: Workspace, action: Action, place: tuple[str, str | None], values: Values, wanted: Range
) -> tuple[dict[str, object], str]:
    """Do it. Return the answer as JSON and as text."""
    async with workspace.open_backend() as backend:
        records = [] if action is Action.ADD else await backend.store.list_schedules()
        job_name, name = _named(records, *place)
        job = workspace.registry.find(job_name).job
        schedule: ScheduleHandle[BaseModel, Mapping[str, object]] = ScheduleHandle(job, name, backend, by=actor())
        label = f"{job.job_name}/{name}"
        document: dict[str, object] = {"id": schedule.id, "job_name": job.job_name, "name": name, "action": action}
        if action is not Action.ADD:
            _check_known(records, label)
        match action:
            case Action.ADD:
                await schedule.add(
                    cron=values.cron or "",
                    timezone=values.timezone or "UTC",
                    misfire=values.misfire or Misfire.FIRE_ONCE,
                    misfire_limit=values.misfire_limit,
                    params=values.params,
                )
            case Action.CHANGE:
                await schedule.change(
                    cron=values.cron,
                    timezone=values.timezone,
                    misfire=values.misfire,
                    misfire_limit=values.misfire_limit,
                    params=values.params,
                )
            case Action.PAUSE:
                await schedule.pause()
            case Action.RESUME:
                await schedule.resume()
            case Action.REMOVE:
                await schedule.remove()
            case Action.RUN:
                enqueued = str(await schedule.run())
                return {**document, "job_id": enqueued}, enqueued
            case Action.BACKFILL:
                more, text = await backfill(schedule, wanted)
                return {**document, **more}, text
    return document, f"{label} is {_DONE[action]}"


def _list(workspace: Workspace, count: int, *, as_json: bool) -> None:
    async def read(store: Store) -> tuple[Sequence[ScheduleRecord], Sequence[PausedQueue]]:
        return await store.list_schedules(), await store.paused_queues()

    records, paused = workspace.with_store(read, only_reads=True)
    now = datetime.now(UTC)
    if as_json:
        print_json([_document(record, now, count) for record in records])
        return
    if records:
        _print_table(records, now, count)
    else:
        note(
            "no schedules; declare them in x-job of a spec, then run `server-jobs generate` and `server-jobs migrate`; "
            "or add one with `server-jobs schedules add`"
        )
    note_paused(paused)


def _named(records: Sequence[ScheduleRecord], job: str, name: str | None) -> tuple[str, str]:
    """Return the names of the job and of the schedule. Without `name`, `job` is a label or the name of a schedule."""
    if name is not None:
        return job, name
    found = [record for record in records if job in (record.label, record.name)]
    if len(found) > 1:
        labels = ", ".join(record.label for record in found)
        raise InvalidOptionError(f"several schedules are called {job!r}; write one of {labels}")
    if not found and "/" not in job:
        _check_known(records, job)
    label = found[0].label if found else job
    before, _, after = label.partition("/")
    return before, after


def _check_known(records: Sequence[ScheduleRecord], label: str) -> None:
    labels = [record.label for record in records]
    if label not in labels:
        raise InvalidOptionError(f"no schedule is called {label!r}; {suggestion(label, labels)}")


def _slots(record: ScheduleRecord, now: datetime, count: int) -> Iterator[datetime]:
    """Yield the coming slots, starting with the stored one: a slot that passed without firing comes first."""
    zone = load_zone(record.timezone)
    slot = record.next_run_at or next_slot(record.cron_expression, record.timezone, now)
    for _ in range(count):
        yield slot.astimezone(zone)
        slot = next_slot(record.cron_expression, record.timezone, max(slot, now))


def _document(record: ScheduleRecord, now: datetime, count: int) -> dict[str, object]:
    slots, problem = _next_slots(record, now, count)
    return {
        "id": record.id,
        "job_name": record.job_name,
        "name": record.name,
        "cron": record.cron_expression,
        "timezone": record.timezone,
        "misfire": record.misfire,
        "misfire_limit": record.misfire_limit,
        "source": record.source,
        "enabled": record.enabled,
        "last_run_at": record.last_run_at,
        "last_job_id": record.last_job_id,
        "next_slots": slots,
        "problem": problem,
    }


def _next_slots(record: ScheduleRecord, now: datetime, count: int) -> tuple[list[datetime], str | None]:
    """Return the next slots, or the reason why there are none, such as an invalid expression or zone in the row."""
    if not record.enabled:
        return [], None
    try:
        return list(_slots(record, now, count)), None
    except (ServerJobsError, ValueError, OSError) as error:
        return [], str(error)


def _misfire(record: ScheduleRecord) -> str:
    return record.misfire if record.misfire_limit is None else f"{record.misfire}, at most {record.misfire_limit}"


def _print_table(records: Sequence[ScheduleRecord], now: datetime, count: int) -> None:
    from rich.text import Text

    table = plain_table("schedule", "cron", "zone", "misfire", "next")
    for record in records:
        slots, problem = _next_slots(record, now, count)
        upcoming = ", ".join(f"{slot:%a %Y-%m-%d %H:%M}" for slot in slots)
        cells = (record.cron_expression, record.timezone, _misfire(record))
        state = last_cell(problem or upcoming) if record.enabled else last_cell("paused", style="yellow")
        # Other commands take the label, so it is not cut.
        table.add_row(Text(one_line(record.label)), *(Text(one_line(cell, 60)) for cell in cells), state)
    print_table(table)
