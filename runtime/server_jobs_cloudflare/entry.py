"""The entry of a Worker: cron triggers and requests."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from server_jobs.domain.interfaces import CountedDatabase, Database, Store
from server_jobs.domain.option_kinds import check_duration, check_range
from server_jobs.domain.record import Outcome
from server_jobs.engine.attempts.attempt import Attempt, Stop
from server_jobs.engine.backend import DEFAULT_LEASE, DEFAULT_POLL_INTERVAL, Backend
from server_jobs.engine.execution import Execution
from server_jobs.engine.tick import Tick, tick
from server_jobs.engine.worker_backend import PollingBackend
from server_jobs.errors import DatabaseError, InvalidOptionError
from server_jobs.registry import JobRegistry
from server_jobs.security.key_secret import key_secret
from server_jobs.security.variables import KEY_SECRET_VARIABLE
from server_jobs.stores.sql.store import SqlStore

from .alarm import AlarmSetter, next_alarm
from .background import Pauses, keep_running
from .bindings import database_of, text_in
from .console import log_ended, log_started, log_to_console
from .databases.d1 import D1Binding, D1Database
from .limits import (
    AT_ONCE_BUDGET,
    FEWEST_CONFIGURED,
    MOST_CONFIGURED,
    MOST_QUERIES,
    QUERIES_VARIABLE,
    TICK_BUDGET,
    queries_in,
)
from .query_budget import QueryBudget
from .routes import WorkerRequest, WorkerRoutes

if TYPE_CHECKING:
    from server_jobs_http.gate import TokensOf
    from server_jobs_http.http_options import HttpOptions
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

__all__ = ["CloudflareWorkerBackend", "CronHandler", "create_cron_handler", "database_of"]

CRON_CONCURRENCY = 10
_READS = ("GET", "HEAD", "OPTIONS")

_logger = logging.getLogger("server_jobs")

DatabaseSource = Store | Database | str | D1Binding | Callable[[Any], Store | Database | str | D1Binding]


class CloudflareWorkerBackend(PollingBackend):
    """A backend for one invocation of a Worker. `database` is a D1 binding (`env.DB`), a store, a database or a URL.

    An invocation makes at most `max_queries` queries, which are statements of D1 or requests to Turso: Cloudflare ends
    an invocation that makes more than 1,000 (50 on its free plan). A job starts only if half of an even share among
    `max_concurrency` jobs remains for it, and at least 10 queries (or a tenth of `max_queries`), besides the reserve
    for running jobs, outcomes and leases. Otherwise the next invocation runs it, and no attempt counts. Queries of
    handlers through this backend, as by `later`, count; one that would use the reserve raises `DatabaseError`.

    `lock_timeout` is the TypeScript package's name of `lease`.
    """

    def __init__(
        self,
        *,
        database: Store | Database | str | D1Binding,
        job_registry: JobRegistry,
        max_concurrency: int = CRON_CONCURRENCY,
        lease: timedelta = DEFAULT_LEASE,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
        max_queries: int = MOST_QUERIES,
        lock_timeout: timedelta | None = None,
    ) -> None:
        check_range("max_queries", max_queries, FEWEST_CONFIGURED, MOST_CONFIGURED)
        super().__init__(
            database=_adapted(database),
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lease=lease if lock_timeout is None else lock_timeout,
            poll_interval=poll_interval,
        )
        self.is_owner = isinstance(database, str)
        """Whether this backend opened its database from a URL."""
        self._budget: QueryBudget | None = None
        """None if nothing counts the queries."""
        self.started = asyncio.Event()
        """Set when an attempt has started."""
        self.is_followed_by_tick = False
        """Whether another backend of this invocation runs a tick after this one."""
        if isinstance(self.store, SqlStore) and isinstance(self.store.database, CountedDatabase):
            self._budget = QueryBudget(
                max_queries, max_concurrency, self.store.database, lambda: len(self.execution.runner.attempts())
            )

    def allowance(self) -> int | None:
        """Return how many jobs may start on the remaining queries; None if nothing counts them."""
        return None if self._budget is None else self._budget.most_to_claim()

    @property
    def has_queries(self) -> bool:
        """Whether one more query may be made after all jobs have ended."""
        return self._budget is None or not self._budget.is_used_up

    def new_execution(self, store: Store) -> Execution:
        return _CloudflareExecution(self, store, self._budget)

    def goes_on_after(self, earlier: CloudflareWorkerBackend) -> None:
        """Count the queries of another backend of the same invocation as well."""
        if self._budget is not None and earlier._budget is not None:
            self._budget.add(earlier._budget.used)

    async def handle_cron(self, *, budget: timedelta = TICK_BUDGET) -> Tick:
        """Expire leases, fire schedules, then run due jobs until none is left or `budget` is over."""
        return await tick(self, budget=budget)


class _CloudflareExecution(Execution):
    """Runs jobs within the queries of an invocation, and logs each attempt."""

    def __init__(self, backend: CloudflareWorkerBackend, store: Store, budget: QueryBudget | None) -> None:
        super().__init__(backend, store)
        self._invocation = backend
        self._budget = budget

    async def run(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        if self._budget is None:
            return await self._run_logged(attempt)
        if not self._budget.may_start():
            attempt.stop(Stop.SHUTDOWN)  # its release counts no attempt
            return await super().run(attempt)
        with self._budget.running_job():
            return await self._run_logged(attempt)

    async def _run_logged(self, attempt: Attempt) -> tuple[Outcome, str | None]:
        log_started(attempt.claim)
        self._invocation.started.set()
        began = self.clock.monotonic()
        outcome, error = await super().run(attempt)
        log_ended(attempt.claim, outcome, error, self.clock.monotonic() - began)
        return outcome, error


class CronHandler:
    """The handler behind the entry of a Worker. `create_cron_handler` makes it."""

    prefix = "/_jobs"
    """The place of the routes."""

    def __init__(self, make_backend: Callable[[object], CloudflareWorkerBackend], budget: timedelta) -> None:
        self._make_backend = make_backend
        self._budget = budget
        self._routes = WorkerRoutes(self._application, budget)
        self._alarm = AlarmSetter()

    async def scheduled(self, controller: object, env: object, ctx: object) -> Tick:
        """Run one cron invocation. `controller` and `ctx` come from Cloudflare; only `env` is used.

        Raises the first error at the end, so that Cloudflare shows the invocation as failed.
        """
        del controller, ctx
        pause = timedelta(0)
        async with self._backend(env) as backend:
            try:
                done = await backend.handle_cron(budget=self._budget)
                pause = Pauses().after(done)
                return done
            finally:
                await self._alarm.plan(backend, env, pause, is_sure=False)  # the object may be lost

    async def ring(self, env: object, started: asyncio.Event, pauses: Pauses) -> float | None:
        """Run one tick for the alarm, and return the time of the next one. Sets `started` when a job runs.

        The time is in milliseconds since the epoch; None if nothing is stored that needs an alarm.
        """
        async with self._backend(env) as backend:
            backend.started = started
            done = await backend.handle_cron(budget=self._budget)
            return await next_alarm(backend, pauses.after(done))

    async def next_alarm(self, env: object, pause: timedelta) -> float | None:
        """Return the time of the next alarm, in which work that is due now waits for the pause."""
        async with self._backend(env) as backend:
            return await next_alarm(backend, pause)

    @asynccontextmanager
    async def connect(self, env: object) -> AsyncIterator[CloudflareWorkerBackend]:
        """Bind the jobs to this Worker's database for code outside of the routes, and set the alarm at the end."""
        async with self._backend(env) as backend:
            await backend.initialize()
            try:
                yield backend
            finally:
                await self._alarm.plan(backend, env)

    async def fetch(self, request: WorkerRequest, env: object, ctx: object) -> object:
        """Answer one HTTP request with a JavaScript `Response`. Every request gets 404 unless `JOBS_TOKEN` is set.

        The variables `JOBS_ALLOWED_HOSTS` and `JOBS_ALLOWED_ORIGINS` set these options of `HttpOptions`, separated by
        commas. A job enqueued by a request runs right after the response.
        """
        return await self._routes.fetch(request, env, ctx)

    @property
    def app(self) -> Starlette:
        """The routes without variables for hosts and origins."""
        return self._routes.app

    def _application(self, options: HttpOptions, tokens: TokensOf) -> Starlette:
        """Return the routes. The backend comes from the environment of each request."""
        from server_jobs_http.app import application, under_prefix  # an extra that a cron trigger does not need

        app = application(
            self._open,
            tokens,
            options,
            self._run_at_once,
            follows_changes=False,
            further_routes=self.further_routes(),
        )
        return under_prefix(app, self.prefix)

    def further_routes(self) -> Sequence[Route]:
        """Return the further routes of this host."""
        return ()

    @asynccontextmanager
    async def _open(self, scope: MutableMapping[str, Any]) -> AsyncIterator[Backend]:
        async with self._backend(scope["env"]) as backend:
            await backend.initialize()
            yield backend
            if scope["method"] not in _READS and not backend.is_followed_by_tick:
                await self._alarm.plan(backend, scope["env"])

    def _run_at_once(self, request: Request) -> None:
        """Run due jobs after the response, in another backend, because the current one gets closed."""
        from server_jobs_http.gate import backend_of

        earlier = backend_of(request)
        if isinstance(earlier, CloudflareWorkerBackend):
            earlier.is_followed_by_tick = True
        keep_running(self._tick(request))

    async def _tick(self, request: Request) -> None:
        from server_jobs_http.gate import backend_of

        env, earlier = request.scope["env"], backend_of(request)
        try:
            async with self._backend(env) as backend:
                if isinstance(earlier, CloudflareWorkerBackend):
                    backend.goes_on_after(earlier)
                done = await backend.handle_cron(budget=min(self._budget, AT_ONCE_BUDGET))
                await self._alarm.plan(backend, env, Pauses().after(done))
        except Exception:
            _logger.exception("what a request enqueued could not be run at once; the next tick runs it")

    @asynccontextmanager
    async def _backend(self, env: object) -> AsyncIterator[CloudflareWorkerBackend]:
        """Yield a backend for this invocation, and close what it opened."""
        key_secret.give(text_in(env, KEY_SECRET_VARIABLE))
        backend = self._make_backend(env)
        try:
            yield backend
        finally:
            if backend.is_owner:
                await backend.shutdown()
            else:
                await backend.lifespans.close()


def create_cron_handler(
    *,
    database: DatabaseSource,
    job_registry: JobRegistry,
    max_concurrency: int = CRON_CONCURRENCY,
    lease: timedelta = DEFAULT_LEASE,
    budget: timedelta = TICK_BUDGET,
    max_queries: int = MOST_QUERIES,
    lock_timeout: timedelta | None = None,
) -> CronHandler:
    """Return the handler of a Worker's cron triggers and requests. The first invocation opens the database.

    `database` is an argument of `CloudflareWorkerBackend`, or a function that returns it from the Worker's `env`, such
    as `database_of`.

    `max_concurrency` limits the handlers of one tick. Ticks of requests, alarm and cron trigger run at the same time;
    the option `concurrency` of a job limits it over all of them.

    After `budget`, or with too few remaining queries, an invocation stops claiming, finishes its running jobs, and
    leaves the rest to the next invocation. `budget` also limits the CPU time, which a Worker cannot read: set
    `limits.cpu_ms` in wrangler.jsonc above it. If Cloudflare kills an invocation, the leases of its jobs expire.

    A variable `JOBS_MAX_QUERIES` of the Worker overrides `max_queries`. If it is not an integer from 20 to 1,000,000,
    each invocation raises `DatabaseError`, and the routes answer 503.

    Inside a Worker, the log of jobs and engine goes to the console, unless the application has its own handler.

    `lock_timeout` is the TypeScript package's name of `lease`.
    """
    check_duration("budget", budget)
    if sys.platform == "emscripten":
        log_to_console()

    def make_backend(env: object) -> CloudflareWorkerBackend:
        backend = CloudflareWorkerBackend(
            database=database(env) if callable(database) else database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lease=lease,
            lock_timeout=lock_timeout,
            max_queries=_configured_queries(env, max_queries),
        )
        job_registry.bind(backend)
        return backend

    return CronHandler(make_backend, budget)


def _adapted(database: Store | Database | str | D1Binding) -> Store | Database | str:
    if isinstance(database, str | Store | Database):
        return database
    return D1Database(database)


def _configured_queries(env: object, otherwise: int) -> int:
    try:
        return queries_in(getattr(env, QUERIES_VARIABLE, None)) or otherwise
    except InvalidOptionError as error:  # the configuration is wrong, not the request
        raise DatabaseError(f"{error}; it is under vars in wrangler.jsonc") from error
