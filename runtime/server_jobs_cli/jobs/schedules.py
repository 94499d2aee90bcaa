"""`server-jobs schedules`: what runs when, and switching it on and off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
from server_jobs.domain.cron import load_zone, next_slot
from server_jobs.domain.interfaces import ScheduleStore
from server_jobs.domain.record import PausedQueue, ScheduleRecord
from server_jobs.errors import InvalidOptionError, ServerJobsError

from ..console.output import last_cell, note, one_line, plain_table, print_json, say, stdout_console
from ..console.suggestion import suggestion
from ..project.options import json_option, with_workspace
from ..project.running import run
from ..project.workspace import Workspace
from .list_jobs import note_paused


@click.command()
@click.option("--enable", metavar="SCHEDULE", help="Switch this one on: its id, or JOB/NAME.")
@click.option("--disable", metavar="SCHEDULE", help="Switch this one off, until it is switched on again.")
@click.option(
    "--next", "count", type=click.IntRange(1, 20), default=2, show_default=True, help="How many slots to foretell."
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
    records, paused = run(_switch_and_list(workspace, switches))
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


async def _switch_and_list(
    workspace: Workspace, switches: list[tuple[str, bool]]
) -> tuple[Sequence[ScheduleRecord], Sequence[PausedQueue]]:
    async with workspace.open_store(only_reads=not switches) as store:
        for name, is_on in switches:
            await _switch(store, name, is_on=is_on)
        return await store.list_schedules(), await store.paused_queues()


async def _switch(store: ScheduleStore, name: str, *, is_on: bool) -> None:
    schedule = _find(await store.list_schedules(), name)
    await store.enable_schedule(schedule.id, enabled=is_on)


def _find(records: Sequence[ScheduleRecord], name: str) -> ScheduleRecord:
    for record in records:
        if name in (record.id, _label(record)):
            return record
    raise InvalidOptionError(f"no schedule is called {name!r}; {suggestion(name, map(_label, records))}")


def _label(record: ScheduleRecord) -> str:
    return f"{record.job_name}/{record.name}"


def _slots(record: ScheduleRecord, now: datetime, count: int) -> Iterator[datetime]:
    """The slots to come, from the one that is stored: a slot that has passed and is not fired yet comes first."""
    zone = load_zone(record.timezone)
    slot = record.next_run_at or next_slot(record.cron_expression, record.timezone, now)
    for _ in range(count):
        yield slot.astimezone(zone)
        slot = next_slot(record.cron_expression, record.timezone, max(slot, now))


def _document(record: ScheduleRecord, now: datetime, count: int) -> dict[str, object]:
    slots, problem = _foretold(record, now, count)
    return {
        "id": record.id,
        "job_name": record.job_name,
        "name": record.name,
        "cron": record.cron_expression,
        "timezone": record.timezone,
        "misfire": record.misfire,
        "misfire_limit": record.misfire_limit,
        "enabled": record.enabled,
        "last_run_at": record.last_run_at and record.last_run_at.isoformat(),
        "last_job_id": record.last_job_id,
        "next_slots": [slot.isoformat() for slot in slots],
        "problem": problem,
    }


def _foretold(record: ScheduleRecord, now: datetime, count: int) -> tuple[list[datetime], str | None]:
    """The next slots, or why there are none: a row may hold an expression or a zone that nobody can read."""
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
        slots, problem = _foretold(record, now, count)
        upcoming = ", ".join(f"{slot:%a %Y-%m-%d %H:%M}" for slot in slots)
        cells = (_label(record), record.cron_expression, record.timezone, _misfire(record))
        state = last_cell(problem or upcoming) if record.enabled else last_cell("off", style="yellow")
        table.add_row(*(Text(one_line(cell, 60)) for cell in cells), state)
    stdout_console().print(table)
