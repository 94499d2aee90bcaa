"""What a command that cannot do its work prints, and the status it exits with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import click
from server_jobs.errors import (
    DatabaseError,
    InvalidDocumentError,
    InvalidOptionError,
    ProjectError,
    ServerJobsError,
    UnknownJobError,
)

from .output import note, print_json, printable
from .suggestion import suggestion

NO = 1
WRONG_USAGE = 2
UNUSABLE = 3
INTERRUPTED = 130
TERMINATED = 143

AS_JSON = "server_jobs.as_json"
"""The key in a context's `meta` that says that the output is read by a program."""

_EXTRAS = {
    "rich": "cli",
    "alembic": "sqlalchemy",
    "sqlalchemy": "sqlalchemy",
    "psycopg": "postgres",
    "httpx": "turso",
    "starlette": "serve",
    "uvicorn": "serve",
    "jinja2": "generator",
    "datamodel_code_generator": "generator",
}


def exit_status(error: ServerJobsError) -> int:
    """Documented in the help of the program and in the README."""
    match error:
        case DatabaseError() | ProjectError():
            return UNUSABLE
        case InvalidOptionError() | UnknownJobError():
            return WRONG_USAGE
        case _:
            return NO


def report(ctx: click.Context, error: ServerJobsError) -> None:
    """Say what is wrong: lines on stderr, or one JSON object on stdout if the command was asked for JSON."""
    if ctx.meta.get(AS_JSON):
        print_json({"error": _document(error)})
        return
    match error:
        case InvalidDocumentError():
            note(f"Error: {error.part} of {error.job_name} do not fit its spec:")
            for problem in error.problems:
                note(f"  {printable(str(problem))}")
        case UnknownJobError():
            note(f"Error: no job is called {error.name!r}; {suggestion(error.name, error.known)}")
        case _:
            note(f"Error: {error}")


def report_usage(error: click.UsageError) -> None:
    """Say in JSON how a command was called wrongly."""
    print_json({"error": {"type": "UsageError", "message": error.format_message()}})


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether the arguments of a command say that its output is read by a program, whatever else they say."""
    asks = any(one in ("--json", "--format=json") for one in arguments)
    return asks or ("--format", "json") in pairwise(arguments)


def missing_extra(error: ModuleNotFoundError) -> ProjectError | None:
    """The refusal for a package that an extra would bring; None if the module that is missing is another one."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    if extra is None:
        return None
    return ProjectError(
        f"this command needs the package {package}; install it with: pip install 'server-jobs[{extra}]'"
    )


def _document(error: ServerJobsError) -> dict[str, object]:
    document: dict[str, object] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, InvalidDocumentError):
        document["problems"] = [{"pointer": problem.pointer, "message": problem.message} for problem in error.problems]
    return document
