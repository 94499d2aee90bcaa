"""Backfill: enqueue the slots of a schedule in a range of the past, once each.

The id of a job follows from the schedule, the slot and the number of the run, so the primary key decides a race with a
worker or with another backfill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..binding import JobBackend
from ..domain.cron import count_slots, load_zone, next_slot, slots_between
from ..domain.enqueue_options import in_utc
from ..domain.ids import EPOCH, MOST_RUNS, labelled_schedule_id, slot_job_id
from ..domain.options import OnConflict
from ..domain.record import LONGEST_PAGE, Inserted, JobQuery, NewJob, ScheduleRecord
from ..errors import ScheduleError

if TYPE_CHECKING:
    from ..definition import JobDefinition

MOST_SLOTS = 1_000
"""The most slots of one call."""
_MOST_COUNTED = 10_000
_CHUNK = 100  # slots per transaction
_MOST_BYTES = 1_000_000  # of params in one transaction
_WINDOW = 4  # runs of a slot to look up at a time


class SlotOutcome(StrEnum):
    """What a backfill did with a slot.

    `STORED`: the slot has a job, so it was left out. `DUPLICATE`: an unfinished job has the unique key of its job.
    """

    ENQUEUED = "enqueued"
    STORED = "stored"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class BackfilledSlot:
    """A slot of a backfill in UTC, with the id of its job, or of the job that kept it out.

    The id is None if a dry run would enqueue the slot.
    """

    slot: datetime
    outcome: SlotOutcome
    job_id: str | None


@dataclass(frozen=True, slots=True)
class _Run:
    number: int
    job_id: str
    is_finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One backfill of a schedule. With `again`, a slot whose jobs have all finished gets another one."""

    job: type[JobDefinition[Any, Any, Any]]
    schedule: ScheduleRecord
    backend: JobBackend
    again: bool = False
    dry_run: bool = False

    async def run(self, start: datetime, end: datetime) -> list[BackfilledSlot]:
        """Enqueue the slots from `start` to before `end`, up to a hundred in one transaction.

        Raises `InvalidOptionError` for a range with a slot in the future, or with more than `MOST_SLOTS` slots.
        """
        slots = await self._slots(in_utc(start, "start"), in_utc(end, "end"))
        size = max(1, min(_CHUNK, _MOST_BYTES // (len(self.schedule.params) or 1)))
        done: list[BackfilledSlot] = []
        for first in range(0, len(slots), size):
            done += await self._enqueue(slots[first : first + size])
        return done

    async def _slots(self, start: datetime, end: datetime) -> list[datetime]:
        label, rule = self.schedule.label, (self.schedule.cron_expression, self.schedule.timezone)
        zone = load_zone(self.schedule.timezone)
        if not EPOCH <= start < end:
            given = f"{start.isoformat()} to {end.isoformat()}"
            raise ScheduleError(f"a backfill must end after its start, and start in 1970 or later, not go from {given}")
        following = next_slot(*rule, (await self.backend.store.due_schedules([])).now)
        if following < end:
            at = following.astimezone(zone).isoformat()
            raise ScheduleError(f"the slot {at} of {label} is in the future; end the range there or earlier")
        slots = list(islice(slots_between(*rule, start, end), MOST_SLOTS + 1))
        if len(slots) <= MOST_SLOTS:
            return slots
        count = count_slots(*rule, start, end, most=_MOST_COUNTED)
        shown = f"{'at least ' if count == _MOST_COUNTED else ''}{count:,}"
        raise ScheduleError(
            f"the range has {shown} slots of {label}, and one backfill takes {MOST_SLOTS:,}; end the first one at "
            f"{slots[-1].astimezone(zone).isoformat()}, where the next one starts"
        )

    async def _enqueue(self, slots: Sequence[datetime]) -> list[BackfilledSlot]:
        newest = await self._newest_runs(slots)
        done = {slot: BackfilledSlot(slot, SlotOutcome.STORED, run.job_id) for slot, run in newest.items()}
        wanted = [slot for slot in slots if slot not in newest or (self.again and newest[slot].is_finished)]
        if self.dry_run:
            done |= {slot: BackfilledSlot(slot, SlotOutcome.ENQUEUED, None) for slot in wanted}
        else:
            jobs = [self._new_job(slot, newest[slot].number + 1 if slot in newest else 0) for slot in wanted]
            inserted = await self.backend.insert(jobs) if jobs else []
            answers = zip(wanted, jobs, inserted, strict=True)
            done |= {slot: BackfilledSlot(slot, _outcome(job, one), one.id) for slot, job, one in answers}
        return [done[slot] for slot in slots]

    def _new_job(self, slot: datetime, run: int) -> NewJob:
        """Return the job of a slot, due now: `expires_after` counts from a slot, and would cancel an old one."""
        if run >= MOST_RUNS:
            raise ScheduleError(f"the slot {slot.isoformat()} of {self.schedule.label} has run {run:,} times, the most")
        new = self.job.scheduled_job(self.schedule, slot=slot, correlation_id=self.schedule.correlation_id)
        return new._replace(id=self._id(slot, run), expires_after=None, on_conflict=OnConflict.KEEP)

    def _id(self, slot: datetime, run: int) -> str:
        return slot_job_id(labelled_schedule_id(self.schedule.label), slot, run)

    async def _newest_runs(self, slots: Sequence[datetime]) -> dict[datetime, _Run]:
        """Return the newest stored run of each slot that has one. Jobs of earlier runs may have been deleted."""
        newest: dict[datetime, _Run] = {}
        first, open_slots = 0, list(slots)
        while open_slots and first < MOST_RUNS:
            window = range(first, first + _WINDOW)
            runs = {self._id(slot, number): (slot, number) for slot in open_slots for number in window}
            for one in await self.backend.store.list_summaries(JobQuery(ids=tuple(runs), limit=LONGEST_PAGE)):
                slot, number = runs[one.id]
                if slot not in newest or newest[slot].number < number:
                    newest[slot] = _Run(number, one.id, one.status.is_finished)
            first += _WINDOW
            open_slots = [slot for slot in open_slots if slot in newest and newest[slot].number == first - 1]
        return newest


def _outcome(job: NewJob, inserted: Inserted) -> SlotOutcome:
    if inserted.created:
        return SlotOutcome.ENQUEUED
    return SlotOutcome.STORED if inserted.id == job.id else SlotOutcome.DUPLICATE
