"""Enqueue the jobs of schedules: one job per slot, with any number of schedulers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic_core import to_json

from ..contract.job_keys import shard_key
from ..definition import AnyDefinition
from ..domain.ids import labelled_schedule_id, schedule_id, slot_job_id
from ..domain.interfaces import Store
from ..domain.options import Misfire, OnConflict, ScheduleSource
from ..domain.record import Declaration, Firing, NewJob, ScheduleRecord
from ..domain.text_limits import LONGEST_CORRELATION_ID
from ..errors import DatabaseError, ServerJobsError
from ..middleware import enqueuing
from ..registry import JobRegistry

DECLARATION_INTERVAL = timedelta(seconds=15)
DECLARATION_GRACE = timedelta(minutes=1)
"""Time after the last worker with the current schedules of a job, until an older release may replace them."""
_MOST_COUNTED = 1000
_MOST_BYTES = 1_000_000  # of params in one statement parameter; some databases accept no more than 2,000,000
_logger = logging.getLogger("server_jobs")


class Scheduler:
    """Enqueues the jobs of due schedules. The next slot follows from the stored one, not from the clock here."""

    def __init__(self, store: Store, registry: JobRegistry) -> None:
        self._store = store
        self._registry = registry
        self._reported: dict[str, str] = {}
        self.unfired: set[str] = set()
        """Ids of the schedules that the last `tick` could not fire."""

    @property
    def has_schedules_in_code(self) -> bool:
        """Whether a job of `define_job` has a schedule, which no migration stores."""
        return any(one.job.is_in_code and one.job.schedules for one in self._registry.registrations())

    async def declare(self, *, only_code: bool = False) -> None:
        """Store the schedules of the registry, unless their job has another current set of schedules.

        Call at the start and every `DECLARATION_INTERVAL`, so that other workers know that the set is in use. With
        `only_code`, store the schedules of `define_job` only.
        """
        declarations = self.declarations(only_code=only_code)
        for schedule in await self._store.declare_schedules(declarations, grace=DECLARATION_GRACE):
            reason = self.withdrawal_reason(schedule)
            _logger.warning("schedule %s of %s is disabled: %s", schedule.name, schedule.job_name, reason)

    def withdrawal_reason(self, schedule: ScheduleRecord) -> str:
        """Return why the declarations lack a stored schedule."""
        del schedule
        return "the registry no longer declares it"

    def declarations(self, *, only_code: bool = False) -> Sequence[Declaration]:
        """Return the schedules to store, of each job of the registry; with `only_code`, of `define_job` only."""
        jobs = [one.job for one in self._registry.registrations()]
        return [declaration_of(job) for job in jobs if job.is_in_code or not only_code]

    async def tick(self, *, allowance: Callable[[], int | None] = lambda: None) -> list[str]:
        """Enqueue the jobs of due slots until `allowance` is zero. Return the ids of the new jobs.

        With an allowance, `declare` may not have disabled a schedule that the code no longer has. It does not fire.
        If the database rejects one schedule, the others still fire; the first such `DatabaseError` is raised at the
        end. If the database stops answering, the error is raised at once.
        """
        self.unfired.clear()
        names = dict.fromkeys(job.name for job in self._registry.known_jobs())
        due = await self._store.due_schedules(list(names))
        fired: list[str] = []
        refused: DatabaseError | None = None
        dropped = [] if allowance() is None else [one for one in due.schedules if self._is_dropped(one)]
        if dropped:
            await self.declare(only_code=True)
        for schedule in due.schedules:
            if schedule in dropped:
                continue
            if allowance() == 0:
                break
            try:
                fired += await self._fire(schedule, due.now)
            except DatabaseError as error:
                await self._store.ping()
                self._report(schedule, str(error))
                refused = refused or error
            except Exception as error:  # noqa: BLE001  middleware is user code, and other schedules must still fire
                self._report(schedule, str(error) if isinstance(error, ServerJobsError) else repr(error))
        if refused is not None:
            raise refused
        return fired

    def _is_dropped(self, schedule: ScheduleRecord) -> bool:
        """Whether the schedule was declared by a job of `define_job`, which no longer declares it."""
        job = self._registry.find(schedule.job_name).job
        is_declared = any(one.name == schedule.name for one in job.schedules)
        return job.is_in_code and schedule.source == ScheduleSource.DECLARED and not is_declared

    async def _fire(self, schedule: ScheduleRecord, now: datetime) -> list[str]:
        firing = self._firing(schedule, now)
        if firing is None:
            return []
        with enqueuing(self._registry.hooks.middleware, [job for _, job in firing.slots]) as jobs:
            slots = tuple((slot, job) for (slot, _), job in zip(firing.slots, jobs, strict=True))
            made = await self._store.fire(replace(firing, slots=slots))
        self._reported.pop(schedule.id, None)
        if any(made):
            _report_dropped(schedule, firing)
        return [job.id for (_, job), is_new in zip(firing.slots, made, strict=True) if is_new]

    def _firing(self, schedule: ScheduleRecord, now: datetime) -> Firing | None:
        """Return the slots to fire and the next one. Report an unreadable schedule once, and skip it."""
        from ..domain.cron import due_slots, next_slot  # most starts of a Worker have no due schedule

        rule = (schedule.cron_expression, schedule.timezone)
        try:
            if schedule.next_run_at is None:
                return Firing(schedule_id=schedule.id, rule=rule, slots=(), next_run_at=next_slot(*rule, now))
            slots, following = due_slots(
                Misfire(schedule.misfire), *rule, schedule.next_run_at, now, misfire_limit=schedule.misfire_limit
            )
            jobs = tuple(self._jobs(schedule, slots))
            if len(jobs) < len(slots):
                following = slots[len(jobs)]
        except Exception as error:  # noqa: BLE001  validators are user code, and other schedules must still fire
            self._report(schedule, str(error) if isinstance(error, ServerJobsError) else repr(error))
            return None
        return Firing(schedule_id=schedule.id, rule=rule, slots=jobs, next_run_at=following)

    def _jobs(self, schedule: ScheduleRecord, slots: Sequence[datetime]) -> Iterator[tuple[datetime, NewJob]]:
        """Yield the oldest slot and the following ones, as many as fit into one statement."""
        size = 0
        for slot in slots:
            job = self.job_of(schedule, slot)
            size += len(to_json(job.params))  # as sent: JSON text inside JSON
            if size > _MOST_BYTES and slot != slots[0]:
                return
            yield slot, job

    def _report(self, schedule: ScheduleRecord, reason: str) -> None:
        """Note that a schedule cannot fire. Log the reason unless the last tick logged it."""
        self.unfired.add(schedule.id)
        if self._reported.get(schedule.id) != reason:
            self._reported[schedule.id] = reason
            _logger.error("schedule %s of %s cannot fire: %s", schedule.name, schedule.job_name, reason)

    def job_of(self, schedule: ScheduleRecord, slot: datetime) -> NewJob:
        """Return the job of a slot. An error is logged once, and the schedule does not fire."""
        job = self._registry.find(schedule.job_name).job
        new = job.scheduled_job(
            schedule,
            self._registry.versions_of(job),
            slot=slot,
            scheduled_for=slot,
            correlation_id=schedule.label[:LONGEST_CORRELATION_ID],  # a row may have a longer name
        )
        return new._replace(id=slot_job_id(labelled_schedule_id(schedule.label), slot), on_conflict=OnConflict.KEEP)


def declaration_of(job: AnyDefinition) -> Declaration:
    """Return the schedules of a job, as its workers declare them."""
    schedules = tuple(
        ScheduleRecord(
            id=schedule_id(job.job_name, schedule.name),
            job_name=job.job_name,
            name=schedule.name,
            cron_expression=schedule.cron,
            timezone=schedule.timezone,
            misfire=schedule.misfire,
            misfire_limit=schedule.misfire_limit,
            params=schedule.params,
            shard_key=shard_key(job.job_name, job.options, schedule.params),
        )
        for schedule in job.schedules
    )
    return Declaration(job.job_name, schedules)


def _report_dropped(schedule: ScheduleRecord, firing: Firing) -> None:
    """Log how many missed slots the limit drops."""
    from ..domain.cron import count_slots

    oldest, _ = firing.slots[0]
    if schedule.misfire_limit is None or schedule.next_run_at is None or schedule.next_run_at >= oldest:
        return
    count = count_slots(*firing.rule, schedule.next_run_at, oldest, most=_MOST_COUNTED)
    if count:
        _logger.warning(
            "schedule %s of %s: %s%d slots from %s on passed without a scheduler and are dropped; the newest %d fire",
            schedule.name,
            schedule.job_name,
            "at least " if count == _MOST_COUNTED else "",
            count,
            schedule.next_run_at.isoformat(),
            schedule.misfire_limit,
        )
