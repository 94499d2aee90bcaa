"""The option `--format`: who reads the output of a command."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import wraps

import click
from click.core import ParameterSource

from ..console.json_option import AS_JSON, json_option


class Form(StrEnum):
    """A person, a program, GitHub's annotations, or a code scanning service."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def formatted(*forms: Form) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options `--format`, with these choices, and `--json`. The command gets the parameter `form`."""
    format_option = click.option(
        "--format",
        "form",
        type=click.Choice(forms, case_sensitive=False),
        default=Form.TEXT,
        is_eager=True,
        callback=_remember,
        help="Who reads the output; text by default.",
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(*args: object, form: Form, as_json: bool, **kwargs: object) -> None:
            ctx = click.get_current_context()
            chosen = _chosen(ctx, form, as_json)
            ctx.meta[AS_JSON] = chosen is Form.JSON
            command(*args, form=chosen, **kwargs)

        return format_option(json_option(run))

    return add


def _remember(ctx: click.Context, param: click.Parameter, form: Form) -> Form:
    del param
    if form is Form.JSON:
        ctx.meta[AS_JSON] = True
    return form


def _chosen(ctx: click.Context, form: Form, as_json: bool) -> Form:
    by_format, by_json = ctx.get_parameter_source("form"), ctx.get_parameter_source("as_json")
    if not as_json or by_format is ParameterSource.DEFAULT:
        return Form.JSON if as_json else form
    if form is not Form.JSON and by_format is by_json:
        raise click.UsageError(f"--json is short for --format json, and --format {form} asks for another; give one")
    return form if by_format is ParameterSource.COMMANDLINE else Form.JSON
