"""Options that commands share, and the types of their values: durations, times, JSON, lists of names."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, NoReturn, ParamSpec, TypeVar, cast

import click

if TYPE_CHECKING:
    from .workspace import Workspace

P = ParamSpec("P")
R = TypeVar("R")

_META = "server_jobs."
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_BYTES = {"MB": 1024**2, "GB": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(MB|GB)", re.ASCII)
_LONGEST_SHOWN = 200
_EXAMPLE = """'{"name": "value"}'"""
_KINDS = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def with_workspace(command: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """Give a command the options `--project`, `--database` and `--registry`.

    Their `Workspace` is its first argument.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from .workspace import Workspace  # imports the engine, which `generate` does without

        context = click.get_current_context()
        meta = context.meta
        workspace = Workspace(
            folder=meta[f"{_META}folder"],
            database=meta[f"{_META}database"],
            registry_place=meta[f"{_META}registry"],
            program=context.obj,
        )
        _ = workspace.uses_django  # now, because it configures logging
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
    metavar="NAME|URL",
    callback=_remember,
    expose_value=False,
    help="A database that the project names, or a URL such as sqlite:///jobs.sqlite3. Default: the only database, with "
    "the URL in SERVER_JOBS_DATABASE_URL (the project may name another variable), else in TURSO_DATABASE_URL, else "
    "sqlite:///server-jobs.sqlite3.",
)
_registry = click.option(
    "--registry",
    metavar="MODULE:ATTRIBUTE",
    callback=_remember,
    expose_value=False,
    help="The registry of your jobs; by default the generated one of the project.",
)


def duration(text: str) -> timedelta:
    """Parse a duration such as `30s`, `1.5h` or `1m30s`. The units are ms, s, m, h and d."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise click.BadParameter(f"{text!r} is not a duration; write a number and a unit, such as 30s, 5m, 1h30m or 2d")
    try:
        return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in found))
    except OverflowError:
        raise click.BadParameter(f"{text!r} is too long") from None


def megabytes(text: str) -> int:
    """Parse a size such as `512MB` or `1.5GB`, and return its bytes. A megabyte has 1024 * 1024 bytes."""
    found = _SIZE.fullmatch(text)
    size = int(float(found[1]) * _BYTES[found[2]]) if found else 0
    if size < 1:
        raise click.BadParameter(f"{text!r} is not a size; write a number and a unit, such as 512MB or 2GB")
    return size


def moment(text: str) -> datetime:
    """Parse an ISO 8601 time with a time zone: `2026-01-31T09:00:00Z`, `2026-01-31T09:00+01:00`."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-01-31T09:00:00Z") from None
    if value.tzinfo is None:
        raise click.BadParameter(f"{text!r} has no time zone; add Z for UTC, or an offset such as +01:00")
    return value


def names(text: str) -> tuple[str, ...]:
    """Parse names between commas."""
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise click.BadParameter(f"{text!r} has an empty name; write names between commas, such as mail,default")
    return found


def json_object(text: str) -> dict[str, object]:
    """Parse a JSON object: inline, from a file (`@file`), or from stdin (`-`)."""
    source = _read(text)
    try:
        value: object = json.loads(source, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # Params of a file, of stdin or of a variable may have secrets, and nobody has typed them here.
        is_typed = source is text and text not in os.environ.values()
        got = f"; got {_shown(text)}; {_json_advice(text)}" if is_typed else ""
        raise click.BadParameter(f"not valid JSON: {error or 'nested too deeply'}{got}") from None
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "null")
        raise click.BadParameter(f'must be a JSON object such as {{"name": "value"}}, not {kind}')
    return cast("dict[str, object]", value)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _json_advice(text: str) -> str:
    """Return how to write what was probably meant: a dict of Python, or an object without quotes for the shell."""
    try:
        meant: object = ast.literal_eval(text) if len(text) <= _LONGEST_SHOWN else None
        if isinstance(meant, dict):
            import shlex  # wrong values are rare

            return f"JSON has double quotes: write {shlex.quote(json.dumps(meant, ensure_ascii=False))}"
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    return f"write an object with double quotes inside single ones: {_EXAMPLE}"


def _read(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{text[1:]} cannot be read: {error}") from None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {json.dumps(repeated)} occurs twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
