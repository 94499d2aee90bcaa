"""The options of `generate` and `check` that are about rows which exist."""

from __future__ import annotations

from collections.abc import Sequence

import click


def _versions(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for value in values:
        name, version = _job_and_version(value)
        if version is None:
            raise click.BadParameter(f"{value!r} is not a job and a version, such as SendEmail:1")
        found.append((name, version))
    return tuple(found)


def _jobs(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> tuple[tuple[str, int | None], ...]:
    return tuple(map(_job_and_version, values))


def _job_and_version(value: str) -> tuple[str, int | None]:
    name, colon, version = value.rpartition(":")
    if not colon:
        return value, None
    if not (name and version.isascii() and version.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a job and a version, such as SendEmail:1")
    return name, int(version)


relock_option = click.option(
    "--relock",
    "relocked",
    metavar="JOB[:VERSION]",
    multiple=True,
    callback=_jobs,
    help="Drop what was released of a job, or of its newest version, of which no row exists, so that its spec may "
    "change freely.",
)

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
