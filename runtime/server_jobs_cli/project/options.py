"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from ..console.failures import AS_JSON
from .workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")

_META = "server_jobs."


def with_workspace(command: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """Give a command the options `--project`, `--database`, `--registry`, and their `Workspace` as first argument."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        meta = click.get_current_context().meta
        workspace = Workspace(
            folder=meta[f"{_META}folder"],
            database=meta[f"{_META}database"],
            registry_place=meta[f"{_META}registry"],
        )
        return command(workspace, *args, **kwargs)

    for option in (_registry, _database, _folder):
        run = option(run)
    return run


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> object:
    ctx.meta[f"{_META}{param.name}"] = value
    return value


_folder = click.option(
    "--project",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    callback=_remember,
    expose_value=False,
    help="The project, or a folder inside it; this folder by default.",
)
_database = click.option(
    "--database",
    metavar="URL",
    callback=_remember,
    expose_value=False,
    help="The database, such as sqlite:///jobs.sqlite3; by default that of the project's environment variable, "
    "else that of TURSO_DATABASE_URL, else sqlite:///server-jobs.sqlite3.",
)
_registry = click.option(
    "--registry",
    metavar="MODULE:ATTRIBUTE",
    callback=_remember,
    expose_value=False,
    help="The registry of your jobs; by default the generated one of the project.",
)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    del param
    ctx.meta[AS_JSON] = value
    return value


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember_json,
    help="Print JSON, errors included (wrong usage is said in words).",
)
