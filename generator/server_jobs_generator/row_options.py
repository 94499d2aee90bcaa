"""The options of `generate` and `check` that are about rows which exist."""

from __future__ import annotations

from collections.abc import Sequence

import click


def _versions(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for value in values:
        name, _, version = value.rpartition(":")
        if not name or not version.isdecimal():
            raise click.BadParameter(f"{value!r} is not a job and a version, such as SendEmail:1")
        found.append((name, int(version)))
    return tuple(found)


forget_option = click.option(
    "--forget",
    "forgotten",
    metavar="JOB:VERSION",
    multiple=True,
    callback=_versions,
    help="Remove what was kept for an earlier version, of which no row is left. May be given several times.",
)

database_option = click.option(
    "--database",
    metavar="URL",
    help="Look at the rows there as well: which of them the generated code could not read. Changes none.",
)
