"""A route with its description. The routing table and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from pydantic import BaseModel
from server_jobs.security.tokens import Scope
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .access import Endpoint, for_every_queue
from .schema_parts import Schema

Method = Literal["GET", "POST", "DELETE"]
Reach = Callable[[Scope, Endpoint], Endpoint]
"""The queues for which a caller needs the scope: `for_every_queue`, `for_some_queue` or `for_its_job`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a response to a request that was not refused."""

    schema: Schema
    description: str | None = None
    """What the status says; None: the summary of the route."""
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Description:
    """The description of one method of one path, and the decorator of its handler.

    `refusals` does not list the statuses that follow from the rest: 401, 429 and 503 of every route; 403 with a scope;
    404 with an id in the path; 408 and 415 with a body; 422 with a body or a query; and 400, 403, 411, 413 and 421 of a
    method that writes.

        @Description("GET", "/workers", name="list_workers", summary="Return the workers.", answers={200: WORKERS})
        async def workers(request: Request) -> Response: ...
    """

    method: Method
    path: str
    """The path below the prefix, such as `/jobs/{id}`."""
    _: KW_ONLY
    name: str
    """The id of the operation, such as `show_job`. With `per_job`, it contains `{name}`, the name of the job."""
    summary: str
    """A sentence. With `per_job`, it contains `{name}`, the name of the job."""
    answers: Mapping[int, Answer]
    """The responses to a request that is not refused, by status."""
    scope: Scope | None = None
    """The scope that the caller needs; None: any valid token."""
    reach: Reach = for_every_queue
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    """The meaning of each parameter in the path. Empty with `per_job`."""
    query: type[BaseModel] | None = None
    """The parameters in the query: the model with which the handler reads them."""
    body: type[BaseModel] | None = None
    """The body: the model with which the handler reads it."""
    refusals: tuple[int, ...] = ()
    """Statuses of refusals that do not follow from the rest."""
    by_link: bool = False
    """Whether a signed link opens it without a token."""
    per_job: bool = False
    """Whether the id in the path is the name of a job. The document has a path for each job."""

    def __call__(self, handler: Endpoint) -> DescribedRoute:
        """Describe this handler."""
        return DescribedRoute(self, handler)


@dataclass(frozen=True, slots=True)
class DescribedRoute:
    """A handler with its description."""

    description: Description
    handler: Endpoint

    @property
    def endpoint(self) -> Endpoint:
        """The handler behind the check of the scope."""
        scope = self.description.scope
        return self.handler if scope is None else self.description.reach(scope, self.handler)


def routing_table(described: Iterable[DescribedRoute]) -> tuple[Route, ...]:
    """Return one route of Starlette per path, so that `Allow` names all its methods."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for one in described:
        by_path.setdefault(one.description.path, {})[one.description.method] = one.endpoint
    return tuple(Route(path, _by_method(found), methods=list(found)) for path, found in by_path.items())


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    if len(endpoints) == 1:
        return next(iter(endpoints.values()))

    async def chosen(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return chosen
