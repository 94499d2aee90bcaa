"""Errors of commands: the message and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import click
from server_jobs.errors import (
    DatabaseError,
    InvalidDocumentError,
    InvalidOptionError,
    PlaceError,
    ProjectError,
    ServerJobsError,
    SetupError,
    UnknownJobError,
)

from .json_option import AS_JSON, prints_lines
from .output import note, print_json, printable, suggestion

NO = 1
WRONG_USAGE = 2
UNUSABLE = 3
INTERRUPTED = 130
TERMINATED = 143

_EXTRAS = {
    "rich": "cli",
    "alembic": "sqlalchemy",
    "sqlalchemy": "sqlalchemy",
    "psycopg": "postgres",
    "httpx": "turso",
    "prometheus_client": "metrics",
    "starlette": "serve",
    "uvicorn": "serve",
    "mcp": "mcp",
    "black": "generator",
    "datamodel_code_generator": "generator",
    "filelock": "generator",
    "jinja2": "generator",
    "yaml": "generator",
}


def exit_status(error: ServerJobsError) -> int:
    """Return the exit status of an error. The help of the program and the reference list them."""
    match error:
        case DatabaseError() | PlaceError() | ProjectError() | SetupError():
            return UNUSABLE
        case InvalidOptionError() | UnknownJobError():
            return WRONG_USAGE
        case _:
            return NO


def report(ctx: click.Context, error: ServerJobsError) -> None:
    """Print the error: lines on stderr, or one JSON object on stdout if the command prints JSON."""
    if ctx.meta.get(AS_JSON):
        print_json({"error": document_of(error)}, on_one_line=_prints_lines(ctx))
        return
    note(f"Error: {text_of(error)}")


def text_of(error: ServerJobsError) -> str:
    """Return the message of an error: for params that do not fit, a line for each problem."""
    match error:
        case InvalidDocumentError():
            problems = (f"\n  {printable(str(problem))}" for problem in error.problems)
            return f"{error.part} of {error.job_name} do not fit its spec:{''.join(problems)}"
        case UnknownJobError():
            return f"no job is called {error.name!r}; {suggestion(error.name, error.known)}"
        case _:
            return str(error)


def report_usage(ctx: click.Context, error: click.UsageError) -> None:
    """Print a usage error as JSON."""
    document = {"type": "UsageError", "message": error.format_message()}
    print_json({"error": document}, on_one_line=_prints_lines(ctx))


def _prints_lines(ctx: click.Context) -> bool:
    """Whether the output of the command is one JSON object per line. `ctx` is the context of the program."""
    program, name = ctx.command, ctx.invoked_subcommand
    return isinstance(program, click.Group) and name is not None and prints_lines(program.get_command(ctx, name))


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether the arguments ask for JSON, even if the command cannot parse them."""
    asks = any(one in ("--json", "--format=json") for one in arguments)
    return asks or ("--format", "json") in pairwise(arguments)


def missing_extra(error: ModuleNotFoundError) -> ProjectError | None:
    """Return the error for a missing package of an extra; None if the missing module is another one."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    if extra is None:
        return None
    return ProjectError(
        f"this command needs the package {package}; install it with: pip install 'server-jobs[{extra}]'"
    )


def document_of(error: ServerJobsError) -> dict[str, object]:
    document: dict[str, object] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, InvalidDocumentError):
        document["problems"] = [{"pointer": problem.pointer, "message": problem.message} for problem in error.problems]
    return document
