"""`server-jobs token`: a token for the routes."""

from __future__ import annotations

import click

from ..console.output import note, print_json, say
from ..project.options import json_option


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

    Without options, the token is for everything: put it where the server finds it as JOBS_TOKEN. To change it without
    a gap, put the old one in JOBS_TOKEN_PREVIOUS until every caller has the new one.

    With --name and --scope, the first line is the token, for the caller. The second line is for the variable
    JOBS_TOKENS of the server, which has one such line per token; it holds only a hash, from which nobody can compute
    the token. Scopes: read (list, show and watch jobs), enqueue, admin (cancel, retry, delete, trigger).

    \b
    Examples:
      export JOBS_TOKEN=$(server-jobs token)
      server-jobs token | npx wrangler secret put JOBS_TOKEN
      server-jobs token --name shop --scope enqueue:mail,reports --scope read

    Exit status: 0 done, 2 wrong usage.
    """
    from server_jobs.errors import InvalidOptionError
    from server_jobs.security.tokens import NamedToken, new_token, rights_of

    made = new_token()
    if name is None and not scopes:
        if as_json:
            print_json({"token": made})
        else:
            say(made)
        return
    if name is None or not scopes:
        raise click.UsageError("give --name and at least one --scope, or neither")
    try:
        line = NamedToken.of(name, rights_of(scopes), made).line
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json({"token": made, "line": line})
        return
    say(made)
    say(line)
    note("The first line is the token, for the caller. Add the second line to JOBS_TOKENS of the server.")
