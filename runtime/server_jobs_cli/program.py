"""`server-jobs` itself: finds and imports the command, and makes one message of an error the user can solve."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from typing import cast

import click
from server_jobs import __version__
from server_jobs.errors import ServerJobsError

from .commands import COMMANDS
from .console.failures import AS_JSON, INTERRUPTED, asks_for_json, exit_status, missing_extra, report, report_usage
from .console.suggestion import suggestion

EPILOG = """\b
Examples:
  server-jobs init shop && cd shop
  server-jobs generate && server-jobs migrate
  server-jobs enqueue SendEmail --params '{"to": ["ann@example.com"]}'
  server-jobs worker --until-empty

\b
Exit status:
  0  done
  1  the answer is no: params that do not fit, a failed job, a difference
  2  wrong usage
  3  the project or the database cannot be used
  130, 143  interrupted, terminated"""


class Program(click.Group):
    """The group of all commands. None is imported before it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.place.partition(":")
        command = cast("click.Command", getattr(import_module(module, __package__), attribute))
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}; {suggestion(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        width = max(map(len, COMMANDS))
        for section, rows in _sections():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A command that cannot be parsed does not get to say what it was asked for.
        ctx.meta[AS_JSON] = asks_for_json(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if not ctx.meta[AS_JSON]:
                raise
            report_usage(error)
            ctx.exit(error.exit_code)
        except ServerJobsError as error:
            report(ctx, error)
            ctx.exit(exit_status(error))
        except ModuleNotFoundError as error:
            refusal = missing_extra(error)
            if refusal is None:
                raise
            report(ctx, refusal)
            ctx.exit(exit_status(refusal))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def _sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for section, entries in groupby(COMMANDS.items(), key=lambda item: item[1].section):
        yield section, [(name, entry.summary) for name, entry in entries]


@click.command(
    cls=Program, epilog=EPILOG, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="server-jobs", message="%(prog)s %(version)s")
def program() -> None:
    """Background jobs whose contract is a file: what a job takes and returns is a JSON Schema in specs/, and the code
    around it is generated.

    `server-jobs COMMAND --help` explains each command.
    """
