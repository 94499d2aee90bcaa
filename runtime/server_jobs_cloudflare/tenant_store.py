"""The store of one tenant, in its Durable Object or at the address of the object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from server_jobs.domain.audit import APPLICATION
from server_jobs.domain.interfaces import Database
from server_jobs.domain.record import Claim, Inserted, NewJob, ScheduleChange, ScheduleRecord
from server_jobs.errors import InvalidOptionError
from server_jobs.stores.sql.store import SqlStore

Send = Callable[[str, Sequence[NewJob]], Awaitable[Sequence[Inserted]]]
MakeTables = Callable[[], Awaitable[None]]


class TenantStore(SqlStore):
    """The jobs of one tenant. A job or schedule whose `shardBy` names another tenant raises `InvalidOptionError`.

    With `send`, new jobs of another tenant are passed to it, with the name of that tenant. With `make_tables`, the
    store opens without tables. It calls the function before each insert that is not refused.
    """

    def __init__(
        self, database: Database, tenant: str, *, send: Send | None = None, make_tables: MakeTables | None = None
    ) -> None:
        super().__init__(database)
        self.tenant = tenant
        self.send = send
        self._make_tables = make_tables

    async def open(self) -> None:
        if self._make_tables is None:
            await super().open()
        else:
            await self.database.open()

    async def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store the jobs as `JobStore.insert` does, or send them to the object of their tenant.

        Raises `InvalidOptionError` if they do not all have one tenant.
        """
        tenants = {job.shard_key for job in jobs} - {None}
        if self.send is not None and len(tenants) == 1 and tenants != {self.tenant}:
            return await self.send(str(*tenants), jobs)
        for job in jobs:
            self._check(job.shard_key, f"a {job.job_name}")
        if self._make_tables is not None:
            await self._make_tables()
        return await super().insert(jobs)

    async def start(self, job: NewJob, lease: timedelta) -> Claim:
        self._check(job.shard_key, f"a {job.job_name}")
        return await super().start(job, lease)

    async def add_schedule(self, schedule: ScheduleRecord, *, by: str = APPLICATION) -> bool:
        self._check(schedule.shard_key, f"the schedule {schedule.label}")
        return await super().add_schedule(schedule, by=by)

    async def change_schedule(self, schedule_id: str, change: ScheduleChange, *, by: str = APPLICATION) -> bool:
        self._check(change.shard_key, "a schedule")
        return await super().change_schedule(schedule_id, change, by=by)

    def _check(self, shard_key: str | None, what: str) -> None:
        if shard_key not in (None, self.tenant):
            raise InvalidOptionError(
                f"{what} of the tenant {shard_key!r} cannot be stored for the tenant {self.tenant!r}; send it to "
                f"/_jobs/tenants/{shard_key} of the Worker"
            )
