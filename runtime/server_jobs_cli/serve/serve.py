"""`server-jobs serve`: the HTTP routes, on a server of their own."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from server_jobs.errors import InvalidOptionError
from server_jobs.security.variables import NAMED_TOKENS_VARIABLE, TOKEN_VARIABLE

from ..console.arguments import duration
from ..console.log_lines import logging_to_stderr
from ..console.output import note
from ..project.options import with_workspace
from ..project.workspace import Workspace

if TYPE_CHECKING:
    from server_jobs.http.options import HttpOptions
    from server_jobs.security.tokens import Tokens

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name under which requests that write are taken; by default that of --host, and localhost.",
)
@click.option("--allow-origin", "origins", metavar="ORIGIN", multiple=True, help="Web pages that may write.")
@click.option(
    "--budget", metavar="DURATION", type=duration, default="25s", show_default=True, help="That of a trigger."
)
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

    Every request needs a token of JOBS_TOKEN or JOBS_TOKENS as `Authorization: Bearer TOKEN`. Runs no jobs but those
    of a trigger: start a worker beside it. Put a server that speaks TLS in front of it where it is reached from other
    machines.

    \b
    Examples:
      export JOBS_TOKEN=$(server-jobs token)
      server-jobs serve --port 8000
      curl -H "Authorization: Bearer $JOBS_TOKEN" http://127.0.0.1:8000/_jobs/status

    Exit status: 0 stopped by a signal, 2 wrong usage or no token, 3 project or database cannot be used.
    """
    from server_jobs.http.options import HttpOptions
    from server_jobs.security.tokens import Tokens

    try:
        tokens = Tokens.from_environment()
    except InvalidOptionError as error:
        variable = "" if str(error).startswith(NAMED_TOKENS_VARIABLE) else f"{TOKEN_VARIABLE}: "
        raise click.UsageError(f"{variable}{error}") from error
    if not tokens:
        raise click.UsageError(
            "no token is configured, so that nothing would be served; export JOBS_TOKEN=$(server-jobs token)"
        )
    options = HttpOptions(allowed_hosts=_allowed(host, hosts), allowed_origins=origins, trigger_budget=budget)
    with logging_to_stderr():
        is_stopped = asyncio.run(_serve(workspace, host, port, tokens, options, connections))
    if not is_stopped:
        raise click.UsageError(f"{host}:{port} cannot be listened on; the lines above say why")


async def _serve(
    workspace: Workspace, host: str, port: int, tokens: Tokens, options: HttpOptions, connections: int
) -> bool:
    """Serve until a signal comes. Return False if the address cannot be used."""
    from server_jobs.http.app import PREFIX, create_app, under_prefix
    from server_jobs.http.stopping import Stopping

    from .http_protocol import ConnectionLimits
    from .http_server import HttpServer

    async with workspace.open_backend() as backend:
        stopping = Stopping()
        app = under_prefix(create_app(backend, tokens, options=options, stopping=stopping))
        server = HttpServer(app, host, port, stopping, ConnectionLimits(connections=connections))
        return await server.run(lambda url: note(f"serving {url}{PREFIX}; stop with Ctrl-C"))


def _allowed(host: str, hosts: tuple[str, ...]) -> tuple[str, ...]:
    if hosts:
        return hosts
    try:
        is_every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_every = False
    if is_every:
        raise click.UsageError(f"--host {host} is every address there is; say under which names with --allow-host")
    return (host, *_LOOPBACK)
