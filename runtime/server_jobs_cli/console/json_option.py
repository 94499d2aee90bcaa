"""The option `--json`. It is apart from the other options, which import the workspace."""

from __future__ import annotations

import click

AS_JSON = "server_jobs.as_json"
"""The key in a context's `meta` that records that the output is JSON."""


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    del param
    if value:
        ctx.meta[AS_JSON] = True
    return value


def _remember_json_lines(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    return _remember_json(ctx, param, value)


def prints_lines(command: click.Command | None) -> bool:
    """Whether the JSON of this command is one object per line, errors included."""
    return command is not None and any(option.callback is _remember_json_lines for option in command.params)


_HELP = "Print JSON, errors included (except wrong usage)."

json_option = click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json, help=_HELP)
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json_lines, help=_HELP
)
"""For a command that prints one object per line, as a log does."""
