"""The handle of a schedule: add, change, pause, resume, run and remove it at run time."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..binding import Binding, JobBackend, Routed
from ..concurrency.blocking import wait_for
from ..contract.job_keys import shard_key
from ..domain.audit import APPLICATION
from ..domain.ids import schedule_id
from ..domain.options import Misfire, Schedule, ScheduleSource
from ..domain.record import NewJob, ScheduleChange, ScheduleRecord
from ..domain.text_limits import LONGEST_SCHEDULE_NAME, check_text
from ..errors import InvalidOptionError, ScheduleConflictError, ScheduleNotFoundError
from .jobs import JobHandle, R, _Bound

if TYPE_CHECKING:
    from ..contract.slot_params import SlotParams
    from ..definition import JobDefinition
    from ..domain.interfaces import Store
    from .backfill import BackfilledSlot

G = TypeVar("G")  # the params that callers may give
T = TypeVar("T")


class ScheduleHandle(_Bound[R], Generic[R, G]):
    """One schedule of a job, by its name. It can be stored or not.

    A schedule that is declared in code or in a spec can be paused, resumed and run. Only an added schedule can be
    changed and removed. `by` names the caller in the audit log. Raises `InvalidOptionError` for an invalid name.

        weekly = SendEmail.schedule("weekly")
        news = {"to": "ada@example.com", "subject": "News"}
        await weekly.add(cron="0 7 * * 1", timezone="Europe/Berlin", params=news)
        await weekly.change(cron="0 8 * * 1")
        await weekly.pause()
        await weekly.resume()
        handle = await weekly.run()
        await weekly.remove()
    """

    def __init__(
        self,
        job: type[JobDefinition[Any, R, Any]],
        name: str,
        backend: JobBackend | None = None,
        *,
        by: str = APPLICATION,
    ) -> None:
        check_text("the name of a schedule", name, LONGEST_SCHEDULE_NAME)
        self._job = job
        self.name = name
        self.id = schedule_id(job.job_name, name)
        self._backend = backend
        self._by = by

    @property
    def job(self) -> type[JobDefinition[Any, R, Any]]:
        """The job that the schedule enqueues."""
        return self._job

    async def add(
        self,
        *,
        cron: str,
        timezone: str = "UTC",
        misfire: Misfire = Misfire.FIRE_ONCE,
        misfire_limit: int | None = None,
        params: G | SlotParams | None = None,
    ) -> None:
        """Store a new schedule. The next scheduler plans it: its first slot is the first one after that.

        Each job gets `params`, in which `{"$slot": "date"}` or `{"$slot": "date-time"}` stands for its slot, in the
        time zone of the schedule; see `SlotParams`.

        Raises `InvalidParamsError` if the params do not fit the spec, `ScheduleError` for an invalid rule, and
        `ScheduleConflictError` if the job has a schedule with this name. Then nothing is stored.
        """
        _check_rule(
            Schedule(name=self.name, cron=cron, timezone=timezone, misfire=misfire, misfire_limit=misfire_limit)
        )
        new, text = self._checked({} if params is None else params, timezone)
        schedule = ScheduleRecord(
            id=self.id,
            job_name=self.job.job_name,
            name=self.name,
            cron_expression=cron,
            timezone=timezone,
            misfire=misfire,
            misfire_limit=misfire_limit,
            params=text,
            source=ScheduleSource.ADDED,
            spec_version=new.spec_version,
            shard_key=new.shard_key,
        )
        if not await (await self._store_for(new)).add_schedule(schedule, by=self._by):
            raise ScheduleConflictError(f"{schedule.label} is stored already: change it, or choose another name")

    def add_sync(
        self,
        *,
        cron: str,
        timezone: str = "UTC",
        misfire: Misfire = Misfire.FIRE_ONCE,
        misfire_limit: int | None = None,
        params: G | SlotParams | None = None,
    ) -> None:
        """Like `add`, for code without an event loop."""
        rule = partial(self.add, cron=cron, timezone=timezone, misfire=misfire, misfire_limit=misfire_limit)
        self._wait(partial(rule, params=params), lambda: self._checked({} if params is None else params, timezone)[0])

    async def change(
        self,
        *,
        cron: str | None = None,
        timezone: str | None = None,
        misfire: Misfire | None = None,
        misfire_limit: int | None = None,
        params: G | SlotParams | None = None,
    ) -> None:
        """Change the given values of an added schedule. A new rule is planned again.

        `misfire_limit` comes with `misfire`. Raises the errors of `add`, `ScheduleNotFoundError`, and
        `ScheduleConflictError` for a declared schedule.
        """
        stored = await self._added("change")
        if misfire is None and misfire_limit is not None:
            raise InvalidOptionError("give misfire together with misfire_limit: the limit belongs to Misfire.FIRE_ALL")
        _check_rule(
            Schedule(
                name=self.name,
                cron=stored.cron_expression if cron is None else cron,
                timezone=stored.timezone if timezone is None else timezone,
                misfire=misfire or Misfire.FIRE_ONCE,
                misfire_limit=misfire_limit,
            )
        )
        new, text = (None, None) if params is None else self._checked(params, timezone or stored.timezone)
        change = ScheduleChange(
            cron_expression=cron,
            timezone=timezone,
            misfire=misfire,
            misfire_limit=misfire_limit,
            params=text,
            spec_version=None if new is None else new.spec_version,
            shard_key=None if new is None else new.shard_key,
        )
        if not await (await self._store_for(new)).change_schedule(self.id, change, by=self._by):
            raise ScheduleNotFoundError(self.job.job_name, self.name)

    def change_sync(
        self,
        *,
        cron: str | None = None,
        timezone: str | None = None,
        misfire: Misfire | None = None,
        misfire_limit: int | None = None,
        params: G | SlotParams | None = None,
    ) -> None:
        """Like `change`, for code without an event loop."""
        rule = partial(self.change, cron=cron, timezone=timezone, misfire=misfire, misfire_limit=misfire_limit)
        self._wait(partial(rule, params=params))

    async def pause(self) -> None:
        """Stop firing the schedule until `resume`. Raises `ScheduleNotFoundError`."""
        await self._enable(enabled=False)

    def pause_sync(self) -> None:
        """Like `pause`, for code without an event loop."""
        self._wait(self.pause)

    async def resume(self) -> None:
        """Fire the schedule again, from the next slot on. Raises `ScheduleNotFoundError`."""
        await self._enable(enabled=True)

    def resume_sync(self) -> None:
        """Like `resume`, for code without an event loop."""
        self._wait(self.resume)

    async def run(self) -> JobHandle[R]:
        """Enqueue one job now with the params of the schedule, paused or not. Each call makes a job.

        The job has no slot; params that take one get the current time. The plan of the schedule stays. The correlation
        id of the job is the name of its job and of the schedule, such as `SendEmail/weekly`. Raises
        `ScheduleNotFoundError`, or the error of params that no longer fit the spec.
        """
        schedule = await self.record()
        backend = self.bound_backend()
        (inserted,) = await backend.insert([self.job.scheduled_job(schedule, correlation_id=schedule.correlation_id)])
        return JobHandle.of(self.job, backend, inserted)

    def run_sync(self) -> JobHandle[R]:
        """Like `run`, for code without an event loop."""
        return self._wait(self.run)

    async def backfill(
        self, *, start: datetime, end: datetime, again: bool = False, dry_run: bool = False
    ) -> list[BackfilledSlot]:
        """Enqueue the slots from `start` to before `end`, paused or not, and return what happened to each.

        The slots may be older than the schedule. Each one is enqueued once: a slot with a stored job is left out, no
        matter whether a worker or a backfill enqueued it, also at the same time. With `again`, it is left out only if
        its job is unfinished. The jobs are due now, the oldest slot first, and do not expire. `dry_run` stores nothing.

        Raises `ScheduleNotFoundError`, and `InvalidOptionError` for times without a zone, for a slot in the future, and
        for more than 1,000 slots. If a call fails, the next one goes on where it ended.

            weekly = SendEmail.schedule("weekly")
            await weekly.add(cron="0 7 * * 1", params={"to": "ada@example.com", "subject": "News"})
            slots = await weekly.backfill(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
            print([str(one.slot) for one in slots if one.outcome == "enqueued"])
        """
        from .backfill import Backfill  # most processes backfill nothing

        schedule = await self.record()
        backfill = Backfill(job=self.job, schedule=schedule, backend=self.bound_backend(), again=again, dry_run=dry_run)
        return await backfill.run(start, end)

    def backfill_sync(
        self, *, start: datetime, end: datetime, again: bool = False, dry_run: bool = False
    ) -> list[BackfilledSlot]:
        """Like `backfill`, for code without an event loop."""
        return self._wait(partial(self.backfill, start=start, end=end, again=again, dry_run=dry_run))

    async def remove(self) -> None:
        """Delete an added schedule. Its jobs stay. Raises `ScheduleNotFoundError` or `ScheduleConflictError`."""
        await self._added("remove")
        if not await (await self._store()).remove_schedule(self.id, by=self._by):
            raise ScheduleNotFoundError(self.job.job_name, self.name)

    def remove_sync(self) -> None:
        """Like `remove`, for code without an event loop."""
        self._wait(self.remove)

    async def record(self) -> ScheduleRecord:
        """Read the stored schedule. Raises `ScheduleNotFoundError`."""
        schedule = await (await self._store()).find_schedule(self.id)
        if schedule is None:
            raise ScheduleNotFoundError(self.job.job_name, self.name)
        return schedule

    def record_sync(self) -> ScheduleRecord:
        """Like `record`, for code without an event loop."""
        return self._wait(self.record)

    def _checked(self, params: object, timezone: str) -> tuple[NewJob, str]:
        """Return a job with these params, and the params to store. If they take the slot, now is the sample.

        Raises `InvalidOptionError` if the slot is the value at `shardBy`, because a schedule is in one database.
        """
        from ..contract.slot_params import fill_slot, slot_params  # most processes add no schedule

        text = slot_params(params)
        if text is None:
            new = self.job.new_job(params)
            return new, new.params
        shard_key(self.job.job_name, self.job.options, text)
        return self.job.new_job(json.loads(fill_slot(text, datetime.now(UTC), timezone))), text

    async def _added(self, action: str) -> ScheduleRecord:
        schedule = await self.record()
        if schedule.source != ScheduleSource.ADDED:
            raise ScheduleConflictError(
                f"{schedule.label} is declared in code or in a spec: {action} it there, or pause it here"
            )
        return schedule

    async def _enable(self, *, enabled: bool) -> None:
        if not await (await self._store()).enable_schedule(self.id, enabled=enabled, by=self._by):
            raise ScheduleNotFoundError(self.job.job_name, self.name)

    async def _store(self) -> Store:
        return (await self._open_backend()).store

    async def _store_for(self, new: NewJob | None) -> Store:
        """Return the store for a schedule with the params of this job. Raises `InvalidOptionError` for another one."""
        if new is None:
            return await self._store()
        backend = self._backend_for(new)
        await backend.initialize()
        return backend.store

    def _backend_for(self, new: NewJob) -> JobBackend:
        given = cast("Binding | None", self._backend)
        if isinstance(given, Routed):
            given.name_for(self.job, [new])
        return self._backend or self.job.current_backend([new])

    def _wait(self, call: Callable[[], Coroutine[object, object, T]], new: Callable[[], NewJob] | None = None) -> T:
        """Run the call and wait for it. With several databases, it uses the one of `new`."""
        is_routed = new is not None and isinstance(self._backend or self.job.binding(), Routed)
        backend = self._backend_for(new()) if new is not None and is_routed else self.bound_backend()
        return wait_for(backend, f"a call of the schedule {self.name!r}", call)


def _check_rule(schedule: Schedule) -> None:
    from ..domain.cron import check_cron  # most processes add no schedules

    check_cron(schedule.cron, schedule.timezone)
