"""Options from environment variables: `--log-level` is also read from SERVER_JOBS_LOG_LEVEL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click
from click.core import ParameterSource
from server_jobs.databases.url import DATABASE_URL

from .output import one_line

PREFIX = "SERVER_JOBS_"

_CHANGING = frozenset({"import", "new", "retry", "repair", "cancel", "delete", "prune", "schedules"})
"""Commands whose options choose what they write or change. A forgotten variable must not choose it."""

_HARMLESS = frozenset({"--project", "--registry", "--json", "--dry-run", "--next"})
"""Options that these commands read from variables all the same."""

_DELIBERATE = frozenset(
    {"--force", "--relock", "--forget", "--downgrade", "--reveal", "--allow-writes", "--claim", "--delete", "--yes"}
)
"""Options of other commands that choose, overwrite, remove or disclose something, or let others do so."""

_SHOWN_CHARACTERS = 80
_SIMILAR = 0.85


def variable_of(command: str, option: click.Option) -> str | None:
    """Return the name of the variable of an option; None if only the command line sets it.

    The command line is the only source of hidden options, and of options that choose or confirm a change.
    """
    name = _name_of(option)
    if name == "--database":
        # `check` reads the rows of a database only on request.
        return None if command == "check" else DATABASE_URL
    is_deliberate = name in _DELIBERATE or (command in _CHANGING and name not in _HARMLESS)
    return None if option.hidden or is_deliberate else _variable(name)


def read_variables(name: str, command: click.Command) -> None:
    """Let the options of a command read their variables. The project names the variable of `--database`, not click."""
    for option in command.params:
        if isinstance(option, click.Option) and not isinstance(option, _OptionWithVariable):
            variable = variable_of(name, option)
            if variable is not None and variable != DATABASE_URL:
                option.__class__ = _OptionWithVariable  # so that a command declares its options as usual
                option.envvar, option.show_envvar = variable, True


def with_variables(error: click.UsageError) -> click.UsageError:
    """Return the error, and name the variable of each option in its message that a variable has set."""
    ctx = error.ctx
    if ctx is None or isinstance(error, click.BadParameter):
        return error
    options = (option for option in ctx.command.params if isinstance(option, _OptionWithVariable))
    found = [one for one in options if one.is_from_variable(ctx) and _name_of(one) in error.message]
    hints = "".join(f"; {one.envvar} sets {_name_of(one)}" for one in found)
    return click.UsageError(error.message + hints, ctx) if hints else error


def unread_variables(name: str, command: click.Command, all_variables: Callable[[], set[str] | None]) -> Iterator[str]:
    """Yield a note for each variable that looks like one of this command's options, but that no command reads.

    `all_variables` returns the variables of all commands, or None if a command cannot be imported. It is slow, and is
    called for suspects only.
    """
    options = {_variable(_name_of(one)): one for one in command.params if isinstance(one, click.Option)}
    known = {variable for one in options.values() if (variable := variable_of(name, one))}
    suspects = [
        each for each in sorted(os.environ) if each.startswith(PREFIX) and os.environ[each] and each not in known
    ]
    if not suspects:
        return
    from difflib import get_close_matches  # suspects are rare

    for variable in suspects:
        if variable in options and not options[variable].hidden:
            other = variable_of(name, options[variable])
            advice = f"use {other}" if other else f"give {_name_of(options[variable])} on the command line"
        elif close := get_close_matches(variable.removeprefix(PREFIX), _suffixes(known), 1, _SIMILAR):
            advice = f"did you mean {PREFIX}{close[0]}?"
        else:
            continue
        everywhere = all_variables()
        if everywhere is not None and variable not in everywhere:
            yield f"{variable} is not read; {advice}"


class _OptionWithVariable(click.Option):
    """An option with one variable. Several values stand between commas, or spaces if a value may have commas."""

    def value_from_envvar(self, ctx: click.Context) -> str | Sequence[str] | None:
        value = self.resolve_envvar_value(ctx)
        if value is None:
            return None
        if self.multiple:
            return _split(value, None if "," in (self.metavar or "") else ",")
        return value

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        value, source = super().consume_value(ctx, opts)
        # Some versions of click record the source only after a valid value; the hint of an error needs it before.
        ctx.set_parameter_source(str(self.name), source)
        return value, source

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the option, or for a value from the environment the variable, the value and what to do."""
        if ctx is None or not self.is_from_variable(ctx):
            return super(click.Option, self).get_error_hint(ctx)
        value = repr(one_line(os.environ.get(str(self.envvar), ""), _SHOWN_CHARACTERS))
        shown = "…" if self.metavar == "JSON" else value  # params may have secrets
        return f"{self.envvar}={shown} (correct the variable or unset it; it sets {_name_of(self)})"

    def is_from_variable(self, ctx: click.Context) -> bool:
        """Whether this command took the value from the variable."""
        return ctx.get_parameter_source(str(self.name)) is ParameterSource.ENVIRONMENT


def _name_of(option: click.Option) -> str:
    return next(name for name in option.opts if name.startswith("--"))


def _variable(name: str) -> str:
    return PREFIX + name.removeprefix("--").replace("-", "_").upper()


def _suffixes(variables: set[str]) -> list[str]:
    return [variable.removeprefix(PREFIX) for variable in sorted(variables)]


def _split(value: str, separator: str | None) -> Sequence[str]:
    return [part.strip() for part in value.split(separator) if part.strip()]
