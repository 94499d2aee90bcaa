"""The schedules of all shards. A schedule is in the shard of its params; one for `each` shard is in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain

from ...domain.audit import APPLICATION
from ...domain.interfaces import Store
from ...domain.options import EACH_SHARD
from ...domain.record import Declaration, DueSchedules, Firing, ScheduleChange, ScheduleRecord
from ...errors import InvalidOptionError
from .fan_out import FanOut


class Schedules(FanOut):
    """Declare, read, change and fire schedules."""

    def is_in(self, shard: str, schedule: ScheduleRecord) -> bool:
        """Whether a declared schedule belongs to this shard. Raises `InvalidOptionError` for an unknown shard."""
        if schedule.shard is None:
            return shard == self.shard_of(schedule.shard_key)
        if schedule.shard != EACH_SHARD and schedule.shard not in self.stores:
            raise InvalidOptionError(
                f"the schedule {schedule.label} names the shard {schedule.shard!r}; the shards are "
                f"{', '.join(self.stores)}"
            )
        return schedule.shard in (shard, EACH_SHARD)

    def of_shard(self, shard: str, declarations: Sequence[Declaration]) -> list[Declaration]:
        """Return the declarations of this shard. The schedules of the other shards are `elsewhere`."""
        found: list[Declaration] = []
        for one in declarations:
            here = tuple(each for each in one.schedules if self.is_in(shard, each))
            others = tuple(each for each in one.schedules if each not in here)
            found.append(Declaration(one.job_name, here, (*one.elsewhere, *others)))
        return found

    async def save_schedules(self, schedules: Sequence[ScheduleRecord]) -> None:
        for shard in self.stores:
            here = [schedule for schedule in schedules if self.is_in(shard, schedule)]
            await self.at(shard, partial(_save, schedules=here))

    async def declare_schedules(
        self, declarations: Sequence[Declaration], *, grace: timedelta
    ) -> Sequence[ScheduleRecord]:
        disabled: list[ScheduleRecord] = []
        for shard in self.stores:
            here = self.of_shard(shard, declarations)
            disabled += await self.at(shard, partial(_declare, declarations=here, grace=grace))
        return disabled

    async def list_schedules(self) -> Sequence[ScheduleRecord]:
        """Return each schedule once. One that is in several shards has its first next and its last run."""
        found: dict[str, ScheduleRecord] = {}
        for one in chain.from_iterable((await self.each(lambda store: store.list_schedules())).values()):
            found[one.id] = _same(found[one.id], one) if one.id in found else one
        return sorted(found.values(), key=lambda schedule: (schedule.job_name, schedule.name))

    async def find_schedule(self, schedule_id: str) -> ScheduleRecord | None:
        found = await self.locate(lambda store: store.find_schedule(schedule_id))
        return None if found is None else found[1]

    async def enable_schedule(self, schedule_id: str, *, enabled: bool, by: str = APPLICATION) -> bool:
        found = await self.every(lambda store: store.enable_schedule(schedule_id, enabled=enabled, by=by))
        return any(found.values())

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        if await self.find_schedule(schedule.id) is not None:
            return False
        shard = self.shard_of(schedule.shard_key)
        return await self.at(shard, lambda store: store.add_schedule(schedule, by=by))

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        """As in `ScheduleStore`. Raises `InvalidOptionError` for params of another shard."""
        found = await self.locate(lambda store: store.find_schedule(schedule_id))
        if found is None:
            return False
        shard, schedule = found
        if change.params is not None and self.shard_of(change.shard_key) != shard:
            raise InvalidOptionError(
                f"{schedule.label} is in the shard {shard}, and the new params belong to another one; "
                "remove the schedule, and add it with the new params"
            )
        return await self.at(shard, lambda store: store.change_schedule(schedule_id, change, by=by))

    async def remove_schedule(self, schedule_id: str, *, by: str = APPLICATION) -> bool:
        return any((await self.every(lambda store: store.remove_schedule(schedule_id, by=by))).values())

    async def due_schedules(self, job_names: Sequence[str]) -> DueSchedules:
        found = (await self.each(lambda store: store.due_schedules(job_names))).values()
        return DueSchedules(min(one.now for one in found), tuple(chain.from_iterable(one.schedules for one in found)))

    async def fire(self, firing: Firing) -> Sequence[bool]:
        found = await self.locate(lambda store: store.find_schedule(firing.schedule_id))
        if found is None:
            return [False] * len(firing.slots)
        return await self.at(found[0], lambda store: store.fire(firing))


async def _save(store: Store, schedules: Sequence[ScheduleRecord]) -> None:
    await store.save_schedules(schedules)


async def _declare(store: Store, declarations: Sequence[Declaration], grace: timedelta) -> Sequence[ScheduleRecord]:
    return await store.declare_schedules(declarations, grace=grace)


def _same(one: ScheduleRecord, other: ScheduleRecord) -> ScheduleRecord:
    """Return a schedule that is in two shards as one."""
    latest = max(one, other, key=lambda each: (each.last_run_at is not None, each.last_run_at))
    planned = [each.next_run_at for each in (one, other) if each.next_run_at is not None]
    return replace(
        one,
        enabled=one.enabled or other.enabled,
        last_run_at=latest.last_run_at,
        last_job_id=latest.last_job_id,
        next_run_at=min(planned, default=None),
    )
