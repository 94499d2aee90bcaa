"""Declare, enable and fire schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from ...domain.audit import APPLICATION, AuditAction
from ...domain.options import ScheduleSource
from ...domain.record import Declaration, DueSchedules, Firing, ScheduleChange, ScheduleRecord
from .enqueue import Enqueuing


class Schedules(Enqueuing):
    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        for schedule in schedules:
            stored = self._schedules.get(schedule.id)
            self._schedules[schedule.id] = schedule if stored is None else _merged(stored, schedule)

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        withdrawn: list[ScheduleRecord] = []
        for declaration in declarations:
            if self._takes_over(declaration, grace):
                withdrawn += self._withdrawn_by(declaration)
                await self._store_declared(declaration)
        return withdrawn

    def _takes_over(self, declaration: Declaration, grace: timedelta) -> bool:
        """Note a declaration of this set. Return whether it becomes the current one."""
        name, now = declaration.job_name, self._clock.now()
        if not declaration.schedules and all(stored.job_name != name for stored in self._schedules.values()):
            return False
        known = self._known_sets.setdefault(name, set())
        current, seen = self._current_sets.get(name, (None, now))
        is_new = declaration.fingerprint not in known
        if declaration.fingerprint != current and not is_new and now - seen <= grace:
            return False
        known.add(declaration.fingerprint)
        self._current_sets[name] = (declaration.fingerprint, now)
        return declaration.fingerprint != current

    def _withdrawn_by(self, declaration: Declaration) -> list[ScheduleRecord]:
        declared = {schedule.id for schedule in declaration.schedules}
        withdrawn = [
            replace(stored, enabled=False, next_run_at=None)
            for stored in self._schedules.values()
            if stored.enabled
            and stored.source == ScheduleSource.DECLARED
            and stored.job_name == declaration.job_name
            and stored.id not in declared
            and self._marks.get(stored.id) == "declared"
        ]
        for schedule in withdrawn:
            self._schedules[schedule.id] = schedule
            self._marks[schedule.id] = "withdrawn"
        return withdrawn

    async def _store_declared(self, declaration: Declaration) -> None:
        await self.save_schedules(declaration.schedules)
        for schedule in declaration.schedules:
            if self._marks.get(schedule.id) == "withdrawn":
                self._schedules[schedule.id] = replace(self._schedules[schedule.id], enabled=True)
            self._marks[schedule.id] = "declared"

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return sorted(self._schedules.values(), key=lambda schedule: (schedule.job_name, schedule.name))

    async def find_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        return self._schedules.get(schedule_id)

    async def enable_schedule(self, schedule_id: str, *, enabled: bool, by: str = APPLICATION) -> bool:
        schedule = self._schedules.get(schedule_id)
        if schedule is None:
            return False
        next_run_at = schedule.next_run_at if enabled and schedule.enabled else None
        self._schedules[schedule_id] = replace(schedule, enabled=enabled, next_run_at=next_run_at)
        if self._marks.get(schedule_id) == "withdrawn":
            del self._marks[schedule_id]
        if enabled is not schedule.enabled:
            self._note(AuditAction.RESUME if enabled else AuditAction.PAUSE, schedule, by)
        return True

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        if schedule.id in self._schedules:
            return False
        self._schedules[schedule.id] = replace(schedule, source=ScheduleSource.ADDED)
        self._note(AuditAction.ADD, schedule, by)
        return True

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        stored = self._added(schedule_id)
        if stored is None:
            return False
        given = {name: value for name, value in asdict(change).items() if value is not None}
        if change.misfire is not None:
            given["misfire_limit"] = change.misfire_limit
        self._schedules[schedule_id] = _merged(stored, replace(stored, **given))
        self._note(AuditAction.CHANGE, stored, by)
        return True

    async def remove_schedule(self, schedule_id: str, *, by: str = APPLICATION) -> bool:
        stored = self._added(schedule_id)
        if stored is None:
            return False
        del self._schedules[schedule_id]
        self._note(AuditAction.REMOVE, stored, by)
        return True

    def _added(self, schedule_id: str) -> ScheduleRecord | None:
        stored = self._schedules.get(schedule_id)
        return stored if stored is not None and stored.source == ScheduleSource.ADDED else None

    def _note(self, action: AuditAction, schedule: ScheduleRecord, by: str) -> None:
        self._enter(action, by, schedule.label, schedule.job_name)

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        now = self._clock.now()
        due = tuple(
            schedule
            for schedule in await self.list_schedules()
            if schedule.enabled
            and schedule.job_name in job_names
            and (schedule.next_run_at is None or schedule.next_run_at <= now)
        )
        return DueSchedules(now, due)

    async def fire(self, firing: Firing) -> Sequence[bool]:
        for _, job in firing.slots:
            self._free(job)
        schedule = self._schedules.get(firing.schedule_id)
        if schedule is None or not schedule.enabled:
            return [False for _ in firing.slots]
        made = [_is_new_slot(schedule, slot) and self.add(job).created for slot, job in firing.slots]
        for (slot, job), created in zip(firing.slots, made, strict=True):
            if _is_new_slot(schedule, slot):
                last_job_id = job.id if created else schedule.last_job_id
                schedule = replace(schedule, last_run_at=slot, last_job_id=last_job_id)
        if firing.rule == (schedule.cron_expression, schedule.timezone):
            schedule = replace(schedule, next_run_at=firing.next_run_at)
        self._schedules[schedule.id] = schedule
        return made


def _merged(stored: ScheduleRecord, declared: ScheduleRecord) -> ScheduleRecord:
    """Return the declared schedule with the history of the stored one. Plan it again if its rule changed."""
    same_rule = _rule(stored) == _rule(declared)
    return replace(
        declared,
        enabled=stored.enabled,
        last_run_at=stored.last_run_at,
        last_job_id=stored.last_job_id,
        next_run_at=stored.next_run_at if same_rule else None,
    )


def _rule(schedule: ScheduleRecord) -> tuple[str, str, str, int | None]:
    return (schedule.cron_expression, schedule.timezone, schedule.misfire, schedule.misfire_limit)


def _is_new_slot(schedule: ScheduleRecord, slot: datetime) -> bool:
    return schedule.last_run_at is None or schedule.last_run_at < slot
