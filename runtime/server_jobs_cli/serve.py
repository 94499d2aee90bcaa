"""`server-jobs serve` and `token`: a server for the HTTP routes, and tokens for its callers."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from server_jobs.errors import InvalidOptionError
from server_jobs.security.tokens import NamedToken, Tokens, new_token, rights_of
from server_jobs.security.variables import NAMED_TOKENS_VARIABLE, TOKEN_VARIABLE

from .console.json_option import json_option
from .console.log import logging_to_stderr
from .console.options import duration, with_workspace
from .console.output import note, print_result
from .console.workspace import Workspace

if TYPE_CHECKING:
    from server_jobs_http.http_options import HttpOptions
    from server_jobs_http.stopping import Stopping
    from starlette.types import ASGIApp


_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0 selects a free port.")
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A host name allowed for requests that write; by default --host and localhost.",
)
@click.option(
    "--allow-origin", "origins", metavar="ORIGIN", multiple=True, help="An origin of web pages that may write."
)
@click.option("--budget", type=duration, default="25s", show_default=True, help="Time that one trigger may take.")
@click.option(
    "--max-connections",
    "connections",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Connections open at a time; fewer if `ulimit -n` allows fewer.",
)
@with_workspace
def serve(
    workspace: Workspace,
    *,
    host: str,
    port: int,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    budget: timedelta,
    connections: int,
) -> None:
    """Serve the HTTP routes under /_jobs: enqueue, list, show, cancel, retry, watch, status, metrics, trigger.

    People open the dashboard at /_jobs/dashboard/, and sign in with a token. Every other request needs a token of
    JOBS_TOKEN or JOBS_TOKENS as `Authorization: Bearer TOKEN`. The server runs jobs of the trigger only: start a worker
    for the others. Put a server with TLS in front if other machines can reach it.

    If the project names several databases and --database chooses none, the routes of each are under /NAME/_jobs, and
    their dashboards link to each other.

    \b
    Examples:
      export JOBS_TOKEN=$(server-jobs token)
      server-jobs serve --port 8000
      curl -H "Authorization: Bearer $JOBS_TOKEN" http://127.0.0.1:8000/_jobs/status

    Exit status: 0 stopped by a signal, 2 wrong usage or no token, 3 project or database cannot be used.
    """
    from server_jobs_http.http_options import HttpOptions

    try:
        tokens = Tokens.from_environment()
    except InvalidOptionError as error:
        variable = "" if str(error).startswith(NAMED_TOKENS_VARIABLE) else f"{TOKEN_VARIABLE}: "
        raise click.UsageError(f"{variable}{error}") from error
    if not tokens:
        raise click.UsageError(
            "no token is configured, so every request would be rejected; export JOBS_TOKEN=$(server-jobs token)"
        )
    options = HttpOptions(
        allowed_hosts=_allowed(host, hosts),
        allowed_origins=origins,
        trigger_budget=budget,
        most_requests_per_caller=_share(100, connections),
        most_streams_per_caller=_share(100, connections),
        most_streams_per_link=_share(10, connections),
        most_streams=max(1, connections // 2),
    )
    with logging_to_stderr(with_audit=True):
        is_stopped = asyncio.run(_serve(workspace, host, port, tokens, options, connections))
    if not is_stopped:
        raise click.UsageError(f"{host}:{port} cannot be used; the lines above give the reason")


async def _serve(
    workspace: Workspace, host: str, port: int, tokens: Tokens, options: HttpOptions, connections: int
) -> bool:
    """Serve until a signal comes. Return False if the address cannot be used."""
    from server_jobs_http.stopping import Stopping

    from .http_server.limits import ConnectionLimits
    from .http_server.server import HttpServer
    from .interpreter import set_up_interpreter

    stopping = Stopping()
    async with _opened(workspace, tokens, options, stopping) as (app, prefixes):

        def announce(url: str) -> None:
            for prefix in prefixes:
                note(f"serving {url}{prefix}, with the dashboard at {url}{prefix}/dashboard/; stop with Ctrl-C")

        set_up_interpreter()
        server = HttpServer(app, host, port, stopping, ConnectionLimits(connections=connections))
        return await server.run(announce)


@asynccontextmanager
async def _opened(
    workspace: Workspace, tokens: Tokens, options: HttpOptions, stopping: Stopping
) -> AsyncIterator[tuple[ASGIApp, Sequence[str]]]:
    """Yield the routes of the database, or of each of several ones, and their prefixes."""
    from server_jobs_http.app import PREFIX, create_app, under_prefixes

    if len(workspace.databases()) == 1:
        async with workspace.open_backend() as backend:
            yield under_prefixes({PREFIX: create_app(backend, tokens, options=options, stopping=stopping)}), [PREFIX]
        return
    async with workspace.open_databases() as databases:
        prefixes = {name: f"/{name}{PREFIX}" for name in databases}
        linked = replace(options, databases={name: f"{prefix}/dashboard/" for name, prefix in prefixes.items()})
        apps = {
            prefix: create_app(databases[name], tokens, options=linked, stopping=stopping)
            for name, prefix in prefixes.items()
        }
        yield under_prefixes(apps), list(apps)


def _share(most: int, connections: int) -> int:
    """Return a limit for one caller, which leaves most of the connections to the others."""
    return max(1, min(most, connections // 4))


def _allowed(host: str, hosts: tuple[str, ...]) -> tuple[str, ...]:
    if hosts:
        return hosts
    try:
        is_every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_every = False
    if is_every:
        raise click.UsageError(f"--host {host} means every address; list the allowed host names with --allow-host")
    return (host, *_LOOPBACK)


@click.command()
@click.option("--name", metavar="NAME", help="Who uses the token; needs --scope.")
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPE[:QUEUE,...]",
    multiple=True,
    help="What the token is for: read, enqueue or admin, for every queue or for some. Repeat it for several.",
)
@json_option
def token(*, name: str | None, scopes: tuple[str, ...], as_json: bool) -> None:
    """Print a new token for the HTTP routes: 32 random bytes.

    Without options, the token allows everything. Set it as JOBS_TOKEN of the server. To rotate it without an outage,
    keep the old token in JOBS_TOKEN_PREVIOUS until every caller has the new one.

    With --name and --scope, the first line is the token, for the caller. The second line is for the variable
    JOBS_TOKENS of the server, which has one such line per token. It contains only a hash of the token.

    Scopes: read (list, show and watch jobs, list schedules), enqueue, admin (cancel, retry and delete jobs, change and
    run schedules, trigger a tick).

    \b
    Examples:
      export JOBS_TOKEN=$(server-jobs token)
      server-jobs token | npx wrangler secret put JOBS_TOKEN
      server-jobs token --name shop --scope enqueue:mail,reports --scope read

    Exit status: 0 done, 2 wrong usage.
    """
    made = new_token()
    if name is None and not scopes:
        print_result({"token": made}, made, as_json=as_json)
        return
    if name is None or not scopes:
        raise click.UsageError("give --name and at least one --scope, or neither")
    try:
        line = NamedToken.of(name, rights_of(scopes), made).line
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    print_result({"token": made, "line": line}, f"{made}\n{line}", as_json=as_json)
    if not as_json:
        note("The first line is the token, for the caller. Add the second line to JOBS_TOKENS of the server.")
