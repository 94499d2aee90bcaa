"""Cloudflare Workers: a cron trigger runs one tick, and two HTTP routes stand behind a bearer token."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from .backend import DEFAULT_LOCK_TIMEOUT, DEFAULT_POLL_INTERVAL, Backend
from .databases.d1 import D1Binding, D1Database
from .http import Answer, answer, refusal
from .ports import Database, Store
from .registry import JobRegistry
from .worker import Tick, tick

__all__ = ["CloudflareWorkerBackend", "CronHandler", "create_cron_handler"]

CRON_CONCURRENCY = 10
TICK_BUDGET = timedelta(seconds=25)
TOKEN_VARIABLE = "JOBS_TOKEN"  # noqa: S105  the name of the variable, not a token

DatabaseSource = Store | Database | str | D1Binding | Callable[[Any], Store | Database | str | D1Binding]


class RequestHeaders(Protocol):
    """The headers of a request."""

    def get(self, name: str, /) -> str | None: ...


class WorkerRequest(Protocol):
    """What is read of a `workers.Request`."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> RequestHeaders: ...


class CloudflareWorkerBackend(Backend):
    """A backend for one invocation of a Worker. `database` is a D1 binding (`env.DB`), a store, a database or a URL."""

    def __init__(
        self,
        *,
        database: Store | Database | str | D1Binding,
        job_registry: JobRegistry,
        max_concurrency: int = CRON_CONCURRENCY,
        lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
        poll_interval: timedelta = DEFAULT_POLL_INTERVAL,
    ) -> None:
        super().__init__(
            database=_adapted(database),
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
            poll_interval=poll_interval,
        )
        self.is_owner = isinstance(database, str)
        """Whether the database was opened from a URL, by this backend and for it alone."""

    async def handle_cron(self, *, budget: timedelta = TICK_BUDGET) -> Tick:
        """Expire dead leases, fire due schedules, then claim and run until nothing is due or the budget is used up."""
        return await tick(self, budget=budget)


class CronHandler:
    """What a Worker's entry delegates to; made by `create_cron_handler`."""

    def __init__(self, make_backend: Callable[[object], CloudflareWorkerBackend]) -> None:
        self._make_backend = make_backend

    async def scheduled(self, controller: object, env: object, ctx: object) -> Tick:
        """One cron invocation. `controller` and `ctx` are as Cloudflare gives them; only `env` is read."""
        del controller, ctx
        async with self._backend(env) as backend:
            return await backend.handle_cron()

    async def fetch(self, request: WorkerRequest, env: object, ctx: object) -> object:
        """Answer one HTTP request with a `workers.Response`; everything is 404 unless `JOBS_TOKEN` is set."""
        del ctx
        reply = await self._answer(request, env)
        workers = importlib.import_module("workers")  # exists in a Worker only
        return workers.Response(reply.body, status=reply.status, headers={"content-type": "application/json"})

    async def _answer(self, request: WorkerRequest, env: object) -> Answer:
        """Whoever may not ask makes nothing be opened."""
        method, path = request.method, urlsplit(request.url).path
        headers = {"authorization": request.headers.get("authorization") or ""}
        token = _text(getattr(env, TOKEN_VARIABLE, None))
        refused = refusal(method=method, path=path, headers=headers, token=token)
        if refused is not None:
            return refused
        async with self._backend(env) as backend:
            return await answer(backend, method=method, path=path, headers=headers, token=token, budget=TICK_BUDGET)

    @asynccontextmanager
    async def _backend(self, env: object) -> AsyncIterator[CloudflareWorkerBackend]:
        """A backend for this invocation; what it opened itself is closed again."""
        backend = self._make_backend(env)
        try:
            yield backend
        finally:
            if backend.is_owner:
                await backend.shutdown()


def create_cron_handler(
    *,
    database: DatabaseSource,
    job_registry: JobRegistry,
    max_concurrency: int = CRON_CONCURRENCY,
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
) -> CronHandler:
    """The handler of a Worker's cron trigger and requests.

    `database` is what `CloudflareWorkerBackend` takes, or a function that gets it from the Worker's `env`, such as
    `lambda env: env.DB`. Nothing is opened until the first invocation.
    """

    def make_backend(env: object) -> CloudflareWorkerBackend:
        backend = CloudflareWorkerBackend(
            database=database(env) if callable(database) else database,
            job_registry=job_registry,
            max_concurrency=max_concurrency,
            lock_timeout=lock_timeout,
        )
        job_registry.bind(backend)
        return backend

    return CronHandler(make_backend)


def _adapted(database: Store | Database | str | D1Binding) -> Store | Database | str:
    if isinstance(database, str | Store | Database):
        return database
    return D1Database(database)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
