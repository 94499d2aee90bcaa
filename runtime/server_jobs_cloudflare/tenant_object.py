"""The object of one tenant: its store, its routes, and an alarm for the next due job, lease or schedule."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import TypeAdapter
from server_jobs.domain.record import Inserted, NewJob
from server_jobs.engine.backend import Backend
from server_jobs.engine.pruner import retention_rules
from server_jobs.engine.tick import Tick, tick
from server_jobs.errors import DatabaseError
from server_jobs.registry import JobRegistry

from .background import AlarmTicks, Pauses
from .databases.durable_object import DurableObjectDatabase, ObjectStorage
from .databases.revisions import ObjectRevision, ObjectSchema, newest
from .entry import CronHandler
from .routes import WorkerRequest
from .tenant_backend import TenantBackend
from .tenant_directory import check_name, directory_in, tenant_in
from .tenant_store import MakeTables, Send, TenantStore

if TYPE_CHECKING:
    from starlette.routing import Route

_MOST_RETRIES = 5
"""Cloudflare repeats a failing alarm up to six times. Before the last of them, the object plans the next one itself."""
_LONGEST_PAUSE = timedelta(minutes=1)
"""Most time between alarms while ticks fail."""
_PRUNING = timedelta(days=1)
"""Most time between alarms while the tables have jobs, and a spec has a retention."""

_TENANT = "CREATE TABLE IF NOT EXISTS tenant (name TEXT PRIMARY KEY, listed_version TEXT)"
_NAMED = "INSERT INTO tenant (name) VALUES (?1) ON CONFLICT DO NOTHING"
_READ = "SELECT name, listed_version FROM tenant"
_LISTED = "UPDATE tenant SET listed_version = ?1"
_HAS_JOBS = "SELECT 1 AS found FROM jobs LIMIT 1"

_logger = logging.getLogger("server_jobs")

MakeBackend = Callable[[DurableObjectDatabase, str, MakeTables, Callable[[], Awaitable[None]], Send], TenantBackend]


@cache
def sent_jobs() -> TypeAdapter[Sequence[NewJob]]:
    """Return the format of jobs on the way to the object of another tenant."""
    return TypeAdapter(Sequence[NewJob])


@cache
def sent_answers() -> TypeAdapter[Sequence[Inserted]]:
    """Return the format of the answers."""
    return TypeAdapter(Sequence[Inserted])


class AlarmStorage(ObjectStorage, Protocol):
    """The storage of an object, with its alarm."""

    def setAlarm(self, milliseconds: float, /) -> Awaitable[None]: ...  # noqa: N802  JavaScript's name

    def deleteAlarm(self) -> Awaitable[None]: ...  # noqa: N802

    def deleteAll(self) -> Awaitable[None]: ...  # noqa: N802


class ObjectContext(Protocol):
    """The used part of the `ctx` of a Durable Object."""

    @property
    def storage(self) -> AlarmStorage: ...


class TenantObject:
    """The jobs of one tenant.

    The first stored job makes the tenant: it creates the tables, and reports to the directory. A refused request stores
    nothing. After a deploy, the next call first runs the new revisions.
    """

    def __init__(
        self,
        ctx: ObjectContext,
        env: object,
        make_backend: MakeBackend,
        registry: JobRegistry,
        revisions: Sequence[ObjectRevision],
        budget: timedelta,
    ) -> None:
        self._ctx, self._env = ctx, env
        # The wrapper of the Workers SDK would convert what crosses it.
        self._storage: AlarmStorage = getattr(ctx.storage, "_binding", ctx.storage)
        self._database = DurableObjectDatabase(self._storage)
        self._schema = ObjectSchema(self._database, revisions)
        self._version = ", ".join(newest(revisions))
        self._registry = registry
        self._make_backend = make_backend
        self._handler = _TenantHandler(self, registry, budget)
        self._name = ""
        """The tenant, once a request has named it or its tables are up to date."""
        self._has_tables = False
        self._is_listed = False
        """Whether the directory knows that."""
        self._planner: TenantBackend | None = None
        self._alarm: int | None = None
        self._pauses = Pauses()
        self._ticks = AlarmTicks(self._tick, self.plan, self._tick_failed)

    async def fetch(self, request: WorkerRequest) -> object:
        """Answer a request to the routes under `/_jobs/tenants/TENANT/`, with a JavaScript `Response`."""
        return await self._handler.fetch(request, self._env, self._ctx)

    async def alarm(self, retries: int) -> None:
        """Run a tick, and plan the next alarm. `retries` says how often Cloudflare has repeated this alarm."""
        self._alarm = None
        if not self.exists:
            return  # a tick that still ran when the tenant was deleted has set the alarm
        try:
            await self._ticks.ring()
        except Exception:
            if retries < _MOST_RETRIES:
                raise  # Cloudflare calls the alarm again, after a pause
            _logger.exception("the alarm failed %d times; the next one comes in a minute", retries + 1)
            await self._set_alarm(_LONGEST_PAUSE)

    async def _tick(self, started: asyncio.Event) -> None:
        await self.upgrade()
        done = await self._handler.run_tick(self._env, started)
        await self.plan(self._pauses.after(done))

    async def _tick_failed(self) -> None:
        await self._set_alarm(_LONGEST_PAUSE)

    async def wake(self) -> None:
        """Run new revisions, and plan the alarm. Does nothing before the first job of the tenant."""
        if self.exists:
            await self.upgrade()
            await self.plan()

    async def insert(self, name: str, jobs: str) -> str:
        """Store jobs that a handler of another tenant enqueues, and return the answers. Both are JSON."""
        self.name_it(name)
        inserted = await self.backend().store.insert(sent_jobs().validate_json(jobs))
        await self.plan()
        return sent_answers().dump_json(inserted).decode()

    async def _send(self, tenant: str, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        """Store jobs of another tenant in its object. Raises `DatabaseError` if that fails."""
        check_name(tenant)
        try:
            answers = await tenant_in(self._env, tenant).insert(tenant, sent_jobs().dump_json(jobs).decode())
        except Exception as error:  # an error of JavaScript
            raise DatabaseError(f"the jobs of the tenant {tenant!r} could not be stored: {error}") from error
        return sent_answers().validate_json(answers)

    async def delete(self) -> bool:
        """Delete all data of the tenant. Return False if there is none. The next enqueued job makes a new tenant."""
        existed = self.exists
        self._name, self._has_tables, self._is_listed, self._alarm = "", False, False, None
        await self._storage.deleteAlarm()
        await self._storage.deleteAll()
        return existed

    @property
    def exists(self) -> bool:
        """Whether a job was enqueued for this tenant. Without one, the object stores nothing."""
        self._has_tables = self._has_tables or self._schema.exists
        return self._has_tables

    async def upgrade(self, name: str = "") -> None:
        """Make the tables or bring them to the newest revision, and report it. An alarm does not say the name."""
        if self._is_listed:
            return
        self._schema.upgrade()
        self._database.execute(_TENANT)
        if name:
            self._database.execute(_NAMED, [name])
        (tenant,) = self._database.execute(_READ)
        self._name = str(tenant["name"])
        self._is_listed = tenant["listed_version"] == self._version or await self._report()

    async def _report(self) -> bool:
        """Tell the directory the revision, and return whether it answered. If not, the next call tells it again."""
        try:
            await directory_in(self._env).record(self._name, self._version)
        except Exception:
            _logger.exception("the directory does not know yet that the tenant %r is at %s", self._name, self._version)
            return False
        self._database.execute(_LISTED, [self._version])
        return True

    def name_it(self, name: str) -> None:
        """Take the name from a request. Stores nothing."""
        self._name = name

    def backend(self, _env: object = None) -> TenantBackend:
        """Return a backend for one invocation. Its first insert makes the tables."""
        return self._make_backend(self._database, self._name, self._make_tables, self.plan, self._send)

    async def _make_tables(self) -> None:
        await self.upgrade(self._name)

    async def plan(self, pause: timedelta = timedelta(0)) -> None:
        """Set the alarm to the next due job, end of a lease, or schedule. Work that is due now waits for the pause."""
        backend = self._planner = self._planner or self.backend()
        wait = (await backend.store.upcoming_work(backend.execution.request(limit=1))).earliest(pause)
        if wait is not None:
            await self._set_alarm(wait)
        elif retention_rules(self._registry) and self._database.execute(_HAS_JOBS):
            await self._set_alarm(_PRUNING)

    async def _set_alarm(self, wait: timedelta) -> None:
        """Set the alarm, unless it is set to nearly the same time: each change of it costs a written row."""
        at = _milliseconds(wait)
        if self._alarm is None or abs(at - self._alarm) > 1:
            self._alarm = at
            await self._storage.setAlarm(at)


class _TenantHandler(CronHandler):
    """The routes of one tenant. They open the store of its object, and plan the alarm after each request."""

    prefix = "/_jobs/tenants/{tenant}"

    def __init__(self, tenant: TenantObject, registry: JobRegistry, budget: timedelta) -> None:
        super().__init__(tenant.backend, budget)
        self._tenant = tenant
        self._registry = registry

    def further_routes(self) -> Sequence[Route]:
        from .pipeline import PIPELINE  # needs the routes

        return (PIPELINE,)

    @asynccontextmanager
    async def _open(self, scope: MutableMapping[str, Any]) -> AsyncIterator[Backend]:
        from server_jobs_http.problem_document import RefusedError

        name: str = scope["path_params"]["tenant"]
        if self._tenant.exists:
            await self._tenant.upgrade(name)
        elif self._enqueues(scope):
            self._tenant.name_it(name)
        else:
            raise RefusedError(404, f"there is no tenant {name!r}; the first job that is enqueued for it makes it")
        async with super()._open(scope) as backend:
            if isinstance(backend.store, TenantStore):
                backend.store.send = None  # the caller could not find the job below this path
            try:
                yield backend
            finally:
                if self._tenant.exists:
                    await self._tenant.plan()

    async def run_tick(self, env: object, started: asyncio.Event) -> Tick:
        """Run one tick, and set `started` when a job has started."""
        async with self._backend(env) as backend:
            backend.started = started
            return await tick(backend, budget=self._budget)

    def _enqueues(self, scope: MutableMapping[str, Any]) -> bool:
        """Whether a request enqueues a job of a registered name, or a batch of such jobs."""
        kind, name = scope["path"].split("/")[-2:]
        return scope["method"] == "POST" and kind in ("jobs", "batches") and name in self._registry.get_names()


def _milliseconds(wait: timedelta) -> int:
    """Return the time after this wait, since the epoch."""
    return int((datetime.now(UTC) + wait).timestamp() * 1000)
