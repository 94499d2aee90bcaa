"""The routes of a Worker with one store per tenant: the list of tenants, and jobs whose params name their tenant.

Below the path of a tenant, the Worker answers requests without a valid token, link or cookie: it refuses them, or shows
the page to sign in to the dashboard.
"""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from server_jobs.contract.job_keys import shard_key
from server_jobs.engine.backend import Backend
from server_jobs.registry import JobRegistry
from server_jobs.security.tokens import Scope
from server_jobs_http.access import check_queue, for_every_queue, for_some_queue
from server_jobs_http.app import under_prefix, with_dashboard
from server_jobs_http.body import json_body
from server_jobs_http.gate import Gate, TokensOf
from server_jobs_http.http_options import HttpOptions
from server_jobs_http.places import Places
from server_jobs_http.problem_document import RefusedError, http_exception
from server_jobs_http.reading import checked, read_body
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import Scope as RequestScope

from .tenant_directory import check_name, directory_in, tenant_in

_FORWARDED = ("authorization", "content-type", "host", "origin", "sec-fetch-site", "traceparent", "tracestate")
_RETURNED = ("content-type", "location", "retry-after", "www-authenticate")


class TenantPage(BaseModel):
    """The parameters of `GET /_jobs/tenants`."""

    model_config = ConfigDict(extra="forbid")

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class OneJob(BaseModel):
    """The part of a body that names the tenant of one job."""

    params: dict[str, JsonValue]


class Batch(BaseModel):
    """The part of a body that names the tenant of all jobs of a batch."""

    params: Annotated[list[dict[str, JsonValue]], Field(min_length=1)]


def tenant_routes(registry: JobRegistry, version: str, options: HttpOptions, tokens: TokensOf) -> Starlette:
    """Return the application. The objects check tokens, scopes and params again."""
    places = Places(options)
    gate = Middleware(Gate, open_backend=lambda _scope: nullcontext(), tokens_of=tokens, options=options, places=places)
    sign_in = with_dashboard(_no_backend, tokens, options, places, follows_changes=False)
    anything = [Route("/{path:path}", name_the_tenant, methods=["GET", "POST", "DELETE"])]
    handlers = {HTTPException: http_exception}
    routes = [
        Route("/tenants", for_every_queue(Scope.READ, partial(list_tenants, version)), methods=["GET"]),
        Route("/tenants/{tenant}", for_every_queue(Scope.ADMIN, delete_tenant), methods=["DELETE"]),
        *(
            Route(
                f"/{kind}/{{name}}", for_some_queue(Scope.ENQUEUE, partial(forward, registry, kind)), methods=["POST"]
            )
            for kind in ("jobs", "batches")
        ),
        *anything,
    ]
    app = Starlette(routes=routes, middleware=[gate], exception_handlers=handlers)
    app.state.options = options
    tenant = Starlette(routes=anything, middleware=[sign_in, gate], exception_handlers=handlers)
    return under_prefix(Router([Mount("/tenants/{tenant}", tenant), Mount("/", app)], redirect_slashes=False))


def _no_backend(scope: RequestScope) -> AbstractAsyncContextManager[Backend]:
    """Refuse a page of a name that no tenant can have."""
    check_name(scope["path_params"]["tenant"])
    raise RefusedError(404, "this page is gone; load it again")


async def list_tenants(version: str, request: Request) -> Response:
    """Return a page of tenants by name, and how many are behind the newest revision. `next` is the next `after`."""
    wanted = checked(TenantPage, dict(request.query_params))
    found = await directory_in(request.scope["env"]).page(version, wanted.after, wanted.limit)
    return Response(found, media_type="application/json")


async def delete_tenant(request: Request) -> Response:
    """Delete all data of a tenant, and answer 204. Answer 404 if there is none."""
    name: str = request.path_params["tenant"]
    check_name(name)
    env = request.scope["env"]
    existed = await tenant_in(env, name).delete()
    await directory_in(env).forget(name)  # also after a call that failed between the two
    if not existed:
        raise RefusedError(404, f"there is no tenant {name!r}")
    return Response(status_code=204)


async def forward(registry: JobRegistry, kind: str, request: Request) -> Response:
    """Send the body to the object of the tenant that its params name, and return the object's answer."""
    options: HttpOptions = request.app.state.options
    name: str = request.path_params["name"]
    body = await json_body(request, within=options.body_timeout)
    check_queue(request, Scope.ENQUEUE, registry.find(name).job.options.queue)
    tenant = _tenant_of(registry, kind, name, body)
    place = f"/_jobs/tenants/{quote(tenant, safe='@:+')}/{kind}/{quote(name)}"
    reply = await tenant_in(request.scope["env"], tenant).fetch(
        str(request.url.replace(path=place, query="")),
        method="POST",
        headers={one: value for one in _FORWARDED if (value := request.headers.get(one)) is not None},
        body=body.decode(errors="replace"),
    )
    headers = {one: str(value) for one in _RETURNED if (value := reply.headers.get(one)) is not None}
    return Response(await reply.text(), reply.status, headers)


async def name_the_tenant(request: Request) -> Response:
    """Refuse a route that exists below each tenant only, or the name of the tenant."""
    if (tenant := request.path_params.get("tenant")) is not None:
        check_name(tenant)
    raise RefusedError(404, "this Worker has one store per tenant; ask /_jobs/tenants/TENANT/…, or list /_jobs/tenants")


def _tenant_of(registry: JobRegistry, kind: str, name: str, body: bytes) -> str:
    """Return the tenant of a body. Raises `RefusedError` unless all params name the same one."""
    options = registry.find(name).job.options
    if options.shard_by is None:
        raise RefusedError(422, f"{name} has no shardBy, so name the tenant: POST /_jobs/tenants/TENANT/{kind}/{name}")
    listed = [read_body(OneJob, body).params] if kind == "jobs" else read_body(Batch, body).params
    tenants = {shard_key(name, options, json.dumps(params)) for params in listed}
    if len(tenants) > 1:
        raise RefusedError(422, f"the jobs of a batch must have one {options.shard_by}, not {len(tenants)}")
    tenant = str(tenants.pop())
    check_name(tenant)
    return tenant
