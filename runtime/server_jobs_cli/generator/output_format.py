"""`--format`: who reads what a command prints."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import click

from server_jobs_cli.console.failures import AS_JSON


class Form(StrEnum):
    """A person, a program, GitHub's annotations, or a service for code scanning."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def formatted(*forms: Form) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options `--format`, with these choices, and `--json`, which is short for one of them; the last one counts."""
    choice = click.Choice(forms, case_sensitive=False)

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        one = click.option(
            "--format",
            "form",
            type=choice,
            default=Form.TEXT,
            is_eager=True,
            callback=_remember,
            help="Who reads the output; text by default.",
        )
        short = click.option(
            "--json",
            "form",
            type=choice,
            flag_value=Form.JSON,
            default=Form.TEXT,
            is_eager=True,
            callback=_remember,
            help="Short for --format json: print JSON, errors included.",
        )
        return one(short(command))

    return with_options


def _remember(ctx: click.Context, _param: click.Parameter, form: Form) -> Form:
    ctx.meta[AS_JSON] = form is Form.JSON
    return form
