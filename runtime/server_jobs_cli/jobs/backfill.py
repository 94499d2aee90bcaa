"""`server-jobs schedules backfill`: read the range, and show what happened to each slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from pydantic import BaseModel
from server_jobs import BackfilledSlot, SlotOutcome
from server_jobs.domain.cron import load_zone
from server_jobs.errors import InvalidOptionError
from server_jobs.handle import ScheduleHandle

from ..console.output import note

_LEFT_OUT = {
    SlotOutcome.STORED: "left out: they have a job",
    SlotOutcome.DUPLICATE: "left out: an unfinished job has the unique key",
}


@dataclass(frozen=True, slots=True)
class Range:
    """The options of a backfill, as given. No `end`: now."""

    start: str
    end: str | None
    again: bool
    dry_run: bool


async def backfill(
    schedule: ScheduleHandle[BaseModel, Mapping[str, object]], wanted: Range
) -> tuple[dict[str, object], str]:
    """Backfill the range. Return the answer as JSON and as text, a line per slot."""
    zone = load_zone((await schedule.record()).timezone)
    start = _time_in(zone, "--from", wanted.start)
    end = datetime.now(UTC) if wanted.end is None else _time_in(zone, "--to", wanted.end)
    slots = await schedule.backfill(start=start, end=end, again=wanted.again, dry_run=wanted.dry_run)
    note(_summary(slots, dry_run=wanted.dry_run))
    document = [{"slot": one.slot.astimezone(zone), "outcome": one.outcome, "job_id": one.job_id} for one in slots]
    lines = (f"{one.slot.astimezone(zone).isoformat()} {one.outcome} {one.job_id or '-'}" for one in slots)
    return {"dry_run": wanted.dry_run, "slots": document}, "\n".join(lines)


def _time_in(zone: tzinfo, option: str, text: str) -> datetime:
    """Return a date or a time, in this zone if it has none."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-01-31, 2026-01-31T07:00 or 2026-01-31T07:00+01:00"
        raise InvalidOptionError(f"{option} must be a date or a time such as {example}, not {text!r}") from None
    return given if given.tzinfo is not None else given.replace(tzinfo=zone)


def _summary(slots: Sequence[BackfilledSlot], *, dry_run: bool) -> str:
    return ", ".join(_counts(slots, dry_run=dry_run))


def _counts(slots: Sequence[BackfilledSlot], *, dry_run: bool) -> Iterator[str]:
    enqueued = sum(one.outcome is SlotOutcome.ENQUEUED for one in slots)
    slots_text = "1 slot" if enqueued == 1 else f"{enqueued:,} slots"
    yield f"{slots_text} would be enqueued" if dry_run else f"{slots_text} enqueued"
    for outcome, why in _LEFT_OUT.items():
        if count := sum(one.outcome is outcome for one in slots):
            yield f"{count:,} {why}"
