"""`server-jobs tenants`: list and delete the tenants of a deployed Worker, by its HTTP routes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click
from server_jobs.errors import DatabaseError, InvalidOptionError, ProjectError
from server_jobs.security.variables import TOKEN_VARIABLE
from server_jobs_cli.console.failures import NO
from server_jobs_cli.console.json_option import json_option
from server_jobs_cli.console.options import with_workspace
from server_jobs_cli.console.output import note, plain_table, print_json, say, stdout_console
from server_jobs_cli.console.workspace import Workspace
from server_jobs_turso.url import endpoint_of

from ..tenant_address import tenant_address

_PAGE = 1000
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, and the revision of its tables."""

    name: str
    version: str
    is_behind: bool


@dataclass(frozen=True, slots=True)
class TenantCounts:
    """The number of tenants, and of those behind the newest revision of the deployed Worker, `version`."""

    version: str
    total: int
    behind: int


@click.command(short_help="List or delete the tenants of a Worker.")
@with_workspace
@click.option("--delete", "doomed", metavar="NAME", help="Delete all data of this tenant instead.")
@click.option("--yes", is_flag=True, help="Delete it without asking.")
@json_option
def tenants(workspace: Workspace, *, doomed: str | None, yes: bool, as_json: bool) -> None:
    """List the tenants of a Worker with one store per tenant, or delete one.

    The database is the address of the tenants, and JOBS_TOKEN the token:

    \b
    Example:
      export SERVER_JOBS_DATABASE_URL=https://jobs.example.com/_jobs/tenants
      server-jobs tenants
      server-jobs tenants --delete acme

    Other commands reach the jobs of one tenant if its name follows: .../_jobs/tenants/acme

    --delete ends the tenant's running jobs without a result, and deletes its jobs, schedules and audit log. It needs a
    token with the scope admin for every queue. Without a terminal it needs --yes.

    Exit status: 0 they are listed, or the tenant is deleted, 1 nobody confirmed, 2 wrong usage, 3 project or Worker
    cannot be used, or there is no such tenant.
    """
    place = tenants_place(workspace)
    if place is None:
        raise ProjectError(
            f"the database {workspace.shown_url} is not the address of a Worker with tenants; set "
            "SERVER_JOBS_DATABASE_URL to one such as https://jobs.example.com/_jobs/tenants"
        )
    if doomed is not None:
        _delete(place, doomed, yes=yes, as_json=as_json)
        return
    found = list(every_tenant(place))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    table = plain_table("Tenant", "Revision")
    for one in found:
        table.add_row(one.name, f"{one.version}{' (behind)' if one.is_behind else ''}")
    stdout_console().print(table)
    if not found:
        note("there are no tenants yet; the first job that is enqueued for a tenant makes it")


def tenants_place(workspace: Workspace) -> str | None:
    """Return the address of all tenants, if the database is this address, or the address of one tenant."""
    address = tenant_address(workspace.url)
    return None if address is None else address.all


def count_tenants(place: str) -> TenantCounts:
    """Return the numbers of tenants. Raises `DatabaseError`."""
    return _counts(_page(place, "", 1))


def every_tenant(place: str) -> Iterator[Tenant]:
    """Yield all tenants by name, one request per 1,000. Raises `DatabaseError`."""
    after: str | None = ""
    while after is not None:
        page = _page(place, after, _PAGE)
        listed, after = page["tenants"], _text_or_none(page["next"])
        yield from (Tenant(**one) for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()


def _delete(place: str, name: str, *, yes: bool, as_json: bool) -> None:
    context = click.get_current_context()
    if not yes and (as_json or not sys.stdin.isatty()):
        note("Error: nothing was changed; confirm it with --yes")
        context.exit(NO)
    if not yes and not click.confirm(f"Delete all data of the tenant {name}?"):
        context.exit(NO)
    _requested("DELETE", place, f"/{quote(name, safe='')}", f"delete the tenant {name!r}")
    if as_json:
        print_json({"deleted": name})
    else:
        say(f"the tenant {name} is deleted")


def _requested(method: str, place: str, rest: str, purpose: str) -> bytes:
    """Return the body of an answer. Raises `DatabaseError`."""
    try:
        endpoint = endpoint_of(place, variable=TOKEN_VARIABLE)
    except InvalidOptionError as error:
        raise DatabaseError(str(error)) from error
    headers = {"authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    request = Request(f"{endpoint.place}{rest}", headers=headers, method=method)  # noqa: S310  http or https
    try:
        with _opener.open(request, timeout=_SECONDS) as reply:
            body: bytes = reply.read()
    except HTTPError as error:
        with error:
            said = error.read(1000).decode(errors="replace")
        if (target := error.headers.get("location")) is not None:
            raise DatabaseError(
                f"{place} redirects to {endpoint.shown(target)}, which gets no token; if that address is yours, set "
                "SERVER_JOBS_DATABASE_URL to it"
            ) from error
        raise DatabaseError(f"{place} refused to {purpose}: HTTP status {error.code}: {said}") from error
    except (URLError, OSError) as error:
        raise DatabaseError(f"{place} cannot {purpose}: {error}") from error
    return body


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect, because its target would receive the token."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Return None, so that the answer becomes an `HTTPError`."""


_opener = build_opener(_NoRedirects)


def _page(place: str, after: str, limit: int) -> dict[str, object]:
    body = _requested("GET", place, f"?{urlencode({'after': after, 'limit': limit})}", "list its tenants")
    try:
        page = json.loads(body)
    except ValueError as error:
        raise DatabaseError(f"{place} cannot list its tenants: {error}") from error
    if not isinstance(page, dict) or not {"tenants", "next", "version", "total", "behind"} <= page.keys():
        raise DatabaseError(f"{place} is not a Worker with one store per tenant; check the address")
    return page


def _counts(page: dict[str, object]) -> TenantCounts:
    return TenantCounts(str(page["version"]), int(str(page["total"])), int(str(page["behind"])))


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
