"""Declare, enable and fire schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from ...domain.audit import APPLICATION, AUDIT_RETENTION, AuditAction, log_entry
from ...domain.ids import new_job_id
from ...domain.interfaces import Statement, Value
from ...domain.record import Declaration, DueSchedules, Firing, NewJob, ScheduleChange, ScheduleRecord
from ...domain.text_limits import is_storable
from .enqueue import Enqueuing
from .parameters import EPOCH, BoundCall, declaration_row, json_of, milliseconds, new_job_row, schedule_row, timestamp
from .rows import schedule_of, text_of, time_of


class Schedules(Enqueuing):
    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        rows = json_of([schedule_row(schedule) for schedule in schedules])
        await self._run(self._statements.SAVE_SCHEDULES, schedules=rows)

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        of = self._statements
        sets = json_of([declaration_row(declaration) for declaration in declarations])
        _, unapplied = await self.database.run(
            self._call(of.TAKE_OVER_SCHEDULES, sets=sets, grace=milliseconds(grace)),
            self._call(of.UNAPPLIED_SCHEDULES, sets=sets),
        )
        names = {text_of(row["job_name"]) for row in unapplied}
        if not names:
            return ()
        current = [declaration for declaration in declarations if declaration.job_name in names]
        parameters = {
            "sets": json_of([declaration_row(declaration) for declaration in current]),
            "schedules": json_of([schedule_row(schedule) for each in current for schedule in each.schedules]),
        }
        calls = [
            self._call(one, **{name: text for name, text in parameters.items() if name in one.parameters})
            for one in (
                of.MARK_WITHDRAWN,
                of.WITHDRAW,
                of.SAVE_DECLARED,
                of.MARK_DECLARED,
                of.MARK_SUPERSEDED,
                of.MARK_APPLIED,
            )
        ]
        return [schedule_of(row) for rows in await self.database.run(*calls) for row in rows]

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        return [schedule_of(row) for row in await self._run(self._statements.LIST_SCHEDULES)]

    async def find_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        rows = await self._run_by_id(self._statements.FIND_SCHEDULE, schedule_id)
        return schedule_of(rows[0]) if rows else None

    async def enable_schedule(self, schedule_id: str, *, enabled: bool, by: str = APPLICATION) -> bool:
        if not is_storable(schedule_id):
            return False
        of, action = self._statements, AuditAction.RESUME if enabled else AuditAction.PAUSE
        given: dict[str, Value] = {"id": schedule_id, "enabled": int(enabled)}
        return await self._change(
            action,
            by,
            self._call(of.AUDIT_ENABLE_SCHEDULE, **given, action=action, **_entry(by)),
            self._call(of.ENABLE_SCHEDULE, **given),
            self._call(of.FORGET_WITHDRAWAL, id=schedule_id),
            target=schedule_id,
        )

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        of, row = self._statements, schedule_row(schedule)
        given = {name: value for name, value in row.items() if name not in ("enabled", "source")}
        named = {name: given[name] for name in ("id", "job_name", "name")}
        return await self._change(
            AuditAction.ADD,
            by,
            self._call(of.AUDIT_ADD_SCHEDULE, **named, **_entry(by)),
            self._call(of.ADD_SCHEDULE, **given),
            target=schedule.label,
        )

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        stored = ScheduleChange.__dataclass_fields__.keys() - {"shard_key"}
        values = {field: getattr(change, field) for field in stored}
        return await self._change_added(AuditAction.CHANGE, self._statements.CHANGE_SCHEDULE, schedule_id, by, **values)

    async def remove_schedule(self, schedule_id: str, *, by: str = APPLICATION) -> bool:
        return await self._change_added(AuditAction.REMOVE, self._statements.REMOVE_SCHEDULE, schedule_id, by)

    async def _change_added(
        self, action: AuditAction, change: Statement, schedule_id: str, by: str, **values: Value
    ) -> bool:
        if not is_storable(schedule_id):
            return False
        return await self._change(
            action,
            by,
            self._call(self._statements.AUDIT_CHANGE_SCHEDULE, id=schedule_id, action=action, **_entry(by)),
            self._call(change, id=schedule_id, **values),
            target=schedule_id,
        )

    async def _change(self, action: AuditAction, by: str, *calls: BoundCall, target: str) -> bool:
        """Execute an audit entry and the change that it records. Return whether a row changed."""
        forget = self._call(self._statements.FORGET_AUDIT, age=milliseconds(AUDIT_RETENTION))
        _, changed, *_ = await self.database.run(*calls, forget)
        if changed:
            log_entry(action, by, target)
        return bool(changed)

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        due, clock = await self.database.run(
            self._call(self._statements.DUE_SCHEDULES, job_names=json_of(list(job_names))),
            self._call(self._statements.NOW),
        )
        now = time_of(clock[0]["now"]) or EPOCH
        return DueSchedules(now, tuple(schedule_of(row) for row in due))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        new = [job for _, job in firing.slots]
        jobs = json_of(_slot_rows(new))
        call = self._call_with([job.unique_key for job in new])
        *_, created, _ = await self.database.run(
            *self._freeing(new),
            call(self._statements.FIRE, schedule_id=firing.schedule_id, jobs=jobs),
            self._call(
                self._statements.FIRED,
                schedule_id=firing.schedule_id,
                jobs=jobs,
                last_slot=timestamp(firing.slots[-1][0]) if firing.slots else None,
                cron_expression=firing.rule[0],
                timezone=firing.rule[1],
                next_run_at=timestamp(firing.next_run_at),
            ),
        )
        made = {text_of(row["id"]) for row in created}
        return [job.id in made for _, job in firing.slots]


def _slot_rows(jobs: Sequence[NewJob]) -> list[dict[str, Value]]:
    """Return jobs as elements of the parameter `jobs`. A job gives way to the last one with its unique key."""
    last: dict[str | None, str] = {job.unique_key: job.id for job in jobs if job.unique_key is not None}
    gives_way = (last.get(job.unique_key, job.id) != job.id for job in jobs)
    return [{**new_job_row(job), "gives_way": 1 if flag else None} for job, flag in zip(jobs, gives_way, strict=True)]


def _entry(by: str) -> dict[str, Value]:
    return {"audit_id": new_job_id(), "actor": by}
