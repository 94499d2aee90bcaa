"""`server-jobs token`: a token for the routes."""

from __future__ import annotations

import click

from .output import say


@click.command()
def token() -> None:
    """Print a new token for the HTTP routes: 32 random bytes.

    Put it where the server finds it as JOBS_TOKEN. To change it without a gap, put the old one in JOBS_TOKEN_PREVIOUS
    until every caller has the new one.

    \b
    Examples:
      export JOBS_TOKEN=$(server-jobs token)
      server-jobs token | npx wrangler secret put JOBS_TOKEN

    Exit status: 0.
    """
    from ..tokens import new_token

    say(new_token())
