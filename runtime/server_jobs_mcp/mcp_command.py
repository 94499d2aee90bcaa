"""`server-jobs mcp`: serve tools for agents over stdin and stdout."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from datetime import timedelta

import click
from server_jobs_cli.console.log import logging_to_stderr
from server_jobs_cli.console.options import duration, with_workspace
from server_jobs_cli.console.workspace import Workspace, run


@click.command(short_help="Serve tools for agents (MCP).")
@click.option(
    "--allow-writes",
    is_flag=True,
    help="Also offer tools that enqueue, retry and cancel jobs, and pause and resume queues.",
)
@click.option(
    "--wait",
    type=duration,
    default="30s",
    show_default=True,
    help="Time that the tool of a job waits for its result. Keep it below the time limit of your client.",
)
@with_workspace
def mcp(workspace: Workspace, *, allow_writes: bool, wait: timedelta) -> None:
    """Serve tools for agents over stdin and stdout, by the Model Context Protocol.

    An agent can list and show jobs, ask why a job waits, and read queues, workers and specs. Values that the spec lists
    under `redact` are hidden. With --allow-writes, each job is a tool too: it enqueues the job, waits for a worker to
    run it, and returns its result.

    The client starts the command and ends it. The log goes to stderr.

    \b
    Examples:
      server-jobs mcp --project /srv/shop
      server-jobs mcp --project /srv/shop --allow-writes

    Exit status: 0 the client closed the connection, 2 wrong usage, 3 project or database cannot be used.
    """
    from .mcp_server import serve

    with logging_to_stderr(with_audit=True):
        with redirect_stdout(sys.stderr):  # stdout is for the protocol, and modules of a project may print
            registry = workspace.registry
        run(serve(workspace, registry, wait if allow_writes else None))
