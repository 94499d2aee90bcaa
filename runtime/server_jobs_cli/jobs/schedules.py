"""`server-jobs schedules`: list schedules, and enable or disable one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
from server_jobs.domain.cron import load_zone, next_slot
from server_jobs.domain.record import PausedQueue, ScheduleRecord
from server_jobs.errors import InvalidOptionError, ServerJobsError
from server_jobs.stores.sql import SqlStore

from ..console.json_option import json_option
from ..console.options import with_workspace
from ..console.output import last_cell, note, one_line, plain_table, print_json, say, stdout_console, suggestion
from ..console.workspace import Workspace
from .queues import note_paused


@click.command()
@click.option("--enable", metavar="SCHEDULE", help="Enable this schedule: its id, or JOB/NAME.")
@click.option("--disable", metavar="SCHEDULE", help="Disable this schedule until it is enabled again.")
@click.option(
    "--next", "count", type=click.IntRange(1, 20), default=2, show_default=True, help="How many coming slots to show."
)
@with_workspace
@json_option
def schedules(workspace: Workspace, *, enable: str | None, disable: str | None, count: int, as_json: bool) -> None:
    """List the stored schedules with their next slots, each in its own time zone.

    Schedules are declared in the specs and stored by migrations; a worker or a tick fires them.

    \b
    Examples:
      server-jobs schedules
      server-jobs schedules --disable DailyDigest/every-morning

    Exit status: 0 done, 2 wrong usage or no such schedule, 3 project or database cannot be used.
    """
    switches = [(name, is_on) for name, is_on in ((enable, True), (disable, False)) if name is not None]

    async def switch_and_list(store: SqlStore) -> tuple[Sequence[ScheduleRecord], Sequence[PausedQueue]]:
        for name, is_on in switches:
            schedule = _find(await store.list_schedules(), name)
            await store.enable_schedule(schedule.id, enabled=is_on)
        return await store.list_schedules(), await store.paused_queues()

    records, paused = workspace.with_store(switch_and_list, only_reads=not switches)
    now = datetime.now(UTC)
    if as_json:
        print_json([_document(record, now, count) for record in records])
    elif switches:
        for name, is_on in switches:
            say(f"{_label(_find(records, name))} is {'on' if is_on else 'off'}")
    elif records:
        _print_table(records, now, count)
    else:
        note("no schedules; declare them in x-job of a spec, then run `server-jobs generate` and `server-jobs migrate`")
    if not as_json:
        note_paused(paused)


def _find(records: Sequence[ScheduleRecord], name: str) -> ScheduleRecord:
    for record in records:
        if name in (record.id, _label(record)):
            return record
    raise InvalidOptionError(f"no schedule is called {name!r}; {suggestion(name, map(_label, records))}")


def _label(record: ScheduleRecord) -> str:
    return f"{record.job_name}/{record.name}"


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
        cells = (_label(record), record.cron_expression, record.timezone, _misfire(record))
        state = last_cell(problem or upcoming) if record.enabled else last_cell("off", style="yellow")
        table.add_row(*(Text(one_line(cell, 60)) for cell in cells), state)
    stdout_console().print(table)
