"""The entry of a Worker with one store per tenant. Each store is in the Durable Object of the tenant's name."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from server_jobs.domain.option_kinds import check_duration
from server_jobs.engine.backend import DEFAULT_LEASE
from server_jobs.registry import JobRegistry

from .console import log_to_console
from .databases.durable_object import DurableObjectDatabase
from .databases.revisions import newest, revisions_in
from .entry import CRON_CONCURRENCY
from .limits import TICK_BUDGET
from .routes import WorkerRequest, WorkerRoutes
from .tenant_admission import is_admitted
from .tenant_backend import TenantBackend
from .tenant_directory import directory_in, is_name, tenant_in
from .tenant_object import ObjectContext, TenantObject
from .tenant_store import MakeTables, Send

if TYPE_CHECKING:
    from server_jobs_http.gate import TokensOf
    from server_jobs_http.http_options import HttpOptions
    from starlette.applications import Starlette

_logger = logging.getLogger("server_jobs")

_PATH = re.compile(r"/_jobs/tenants/([^/]+)/.*")
_WOKEN = 100
"""Tenants that one cron event brings to the newest revision: each is a request, and an invocation may make 1,000."""


class TenantHandler:
    """The handler behind the classes of a Worker. `create_tenant_handler` makes it."""

    def __init__(
        self,
        job_registry: JobRegistry,
        migrations: Mapping[str, str],
        max_concurrency: int,
        lease: timedelta,
        budget: timedelta,
    ) -> None:
        self._registry = job_registry
        self._revisions = revisions_in(migrations)
        self.version = ", ".join(newest(self._revisions))
        """The newest revision, as tenants report it."""
        self._max_concurrency = max_concurrency
        self._lease = lease
        self._budget = budget
        self._routes = WorkerRoutes(self._application, budget)

    def tenant(self, ctx: ObjectContext, env: object) -> TenantObject:
        """Return the jobs of one object."""
        return TenantObject(ctx, env, self._backend, self._registry, self._revisions, self._budget)

    async def fetch(self, request: WorkerRequest, env: object, ctx: object) -> object:
        """Answer one HTTP request with a JavaScript `Response`.

        The object of a tenant answers admitted requests below `/_jobs/tenants/TENANT/`. `POST /_jobs/jobs/NAME` goes
        to the object that the params name by `shardBy`, `GET /_jobs/tenants` lists the tenants, and
        `DELETE /_jobs/tenants/TENANT` deletes one. Every request gets 404 unless `JOBS_TOKEN` is set.
        """
        found = _PATH.fullmatch(urlsplit(request.url).path)
        name = unquote(found[1]) if found else ""
        if is_name(name) and is_admitted(request, env, name):
            answer: object = await tenant_in(env, name).fetch(request)
            return answer
        return await self._routes.fetch(request, env, ctx)

    async def scheduled(self, env: object) -> None:
        """Wake tenants that a deploy left behind, so that new schedules start without a request.

        A tenant whose migration fails delays no other one. Raises the first error at the end, so that Cloudflare shows
        the invocation as failed.
        """
        names: list[str] = json.loads(await directory_in(env).behind(self.version, _WOKEN))
        errors = list[Exception]()
        for name in names:
            tenant = tenant_in(env, name)
            try:
                await tenant.wake()
            except Exception as error:
                _logger.exception("the tenant %r stays behind the newest revision; a later tick tries again", name)
                errors.append(error)
        if errors:
            raise errors[0]

    @property
    def app(self) -> Starlette:
        """The routes of the Worker itself."""
        return self._routes.app

    def _application(self, options: HttpOptions, tokens: TokensOf) -> Starlette:
        from .tenant_routes import tenant_routes  # needs an extra

        return tenant_routes(self._registry, self.version, options, tokens)

    def _backend(
        self,
        database: DurableObjectDatabase,
        tenant: str,
        make_tables: MakeTables,
        stored: Callable[[], Awaitable[None]],
        send: Send,
    ) -> TenantBackend:
        return TenantBackend(
            tenant,
            database=database,
            job_registry=self._registry,
            max_concurrency=self._max_concurrency,
            lease=self._lease,
            make_tables=make_tables,
            stored=stored,
            send=send,
        )


def create_tenant_handler(
    *,
    job_registry: JobRegistry,
    migrations: Mapping[str, str],
    max_concurrency: int = CRON_CONCURRENCY,
    lease: timedelta = DEFAULT_LEASE,
    budget: timedelta = TICK_BUDGET,
) -> TenantHandler:
    """Return the handler of a Worker with one store per tenant.

    `migrations` are the names and texts of the files in the Worker's folder `migrations`; `bundle.py` collects them.
    The other arguments are as in `create_cron_handler`, for each tenant.
    """
    check_duration("budget", budget)
    if sys.platform == "emscripten":
        log_to_console()
    return TenantHandler(job_registry, migrations, max_concurrency, lease, budget)
