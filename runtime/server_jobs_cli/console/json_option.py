"""The option `--json`. It is apart from the other options, which import the workspace."""

from __future__ import annotations

import click

from .failures import AS_JSON


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    del param
    if value:
        ctx.meta[AS_JSON] = True
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember_json,
    help="Print JSON, errors included (except wrong usage).",
)
