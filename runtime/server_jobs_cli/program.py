"""The program `server-jobs`: import the command, and print errors that the user can solve."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from itertools import groupby
from typing import cast

import click
from server_jobs import __version__
from server_jobs.errors import ServerJobsError

from .commands import COMMANDS
from .console.failures import INTERRUPTED, asks_for_json, exit_status, missing_extra, report, report_usage
from .console.json_option import AS_JSON
from .console.output import LONGEST_ERROR, note, one_line, suggestion
from .console.variables import read_variables, unread_variables, variable_of, with_variables

EPILOG = """\b
Examples:
  server-jobs init shop && cd shop
  server-jobs generate && server-jobs migrate
  server-jobs enqueue SendEmail --params '{"to": ["ann@example.com"]}'
  server-jobs worker --until-empty

\b
Environment:
  SERVER_JOBS_LOG_LEVEL=warning means --log-level warning; the help of a command
  shows the variable of each option. The command line wins.

\b
Exit status:
  0  done
  1  the answer is no: params that do not fit, a failed job, a difference
  2  wrong usage
  3  the project or the database cannot be used
  130, 143  interrupted, terminated"""

_LONGEST_SUMMARY = 60


class Program(click.Group):
    """The group of all commands. Each is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        from .command_plug_ins import command_names  # most calls run a command of this package

        return command_names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if entry := COMMANDS.get(cmd_name):
            module, _, attribute = entry.place.partition(":")
            command = cast("click.Command", getattr(import_module(module, __package__), attribute))
        else:
            from .command_plug_ins import PLUG_INS

            if (found := PLUG_INS.find(cmd_name)) is None:
                return None
            command = found
        command.name = cmd_name
        read_variables(cmd_name, command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and name not in (known := self.list_commands(ctx)):
            ctx.fail(f"there is no command {name!r}; {suggestion(name, known)}")
        found = super().resolve_command(ctx, args)
        if found[1] is not None and "--supervised" not in args:  # the supervisor has warned
            for remark in unread_variables(name, found[1], partial(self._variables, ctx)):
                note(f"warning: {remark}")
        return found

    def _variables(self, ctx: click.Context) -> set[str] | None:
        """Return the variables of all commands; None if a command cannot be imported."""
        try:
            commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        except (ModuleNotFoundError, ServerJobsError):
            return None
        options = [(name, one) for name, command in commands if command for one in command.params]
        found = (variable_of(name, one) for name, one in options if isinstance(one, click.Option))
        return {variable for variable in found if variable}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from .command_plug_ins import plug_in_names

        width = max(map(len, self.list_commands(ctx)))
        for section, entries in groupby(COMMANDS.items(), key=lambda item: item[1].section):
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), entry.summary) for name, entry in entries])
        if plug_ins := plug_in_names():
            with formatter.section("Plug-ins"):
                formatter.write_dl([(name.ljust(width), self.summary(ctx, name)) for name in plug_ins])

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of the help of a plug-in's command."""
        try:
            command = self.get_command(ctx, name)
        except ServerJobsError as error:  # the help lists the other commands
            return one_line(str(error), LONGEST_ERROR)
        return "" if command is None else command.get_short_help_str(limit=_LONGEST_SUMMARY)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A command that cannot be parsed cannot report its own format, so read it from the arguments.
        ctx.meta[AS_JSON] = asks_for_json(args)
        given = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            command = next((word for word in given if word in self.list_commands(ctx)), None)
            if command is None:
                raise
            option = error.option_name
            place = f"write it after the command: {ctx.info_name} {command} {option} ..."
            raise click.UsageError(f"{option} stands before the command {command}; {place}", ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.UsageError as raised:
            error = with_variables(raised)
            if not ctx.meta[AS_JSON]:
                raise error from None
            report_usage(ctx, error)
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


@click.command(
    cls=Program, epilog=EPILOG, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="server-jobs", message="%(prog)s %(version)s")
def program() -> None:
    """Background jobs whose contract is a JSON Schema in specs/. The code around a job is generated from it.

    `server-jobs COMMAND --help` explains each command.
    """
