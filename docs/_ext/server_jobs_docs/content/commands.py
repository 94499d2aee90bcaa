"""The commands of `server-jobs`, from the program."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from server_jobs_cli.command_plug_ins import plug_in_names
from server_jobs_cli.commands import COMMANDS
from server_jobs_cli.console.variables import variable_of
from server_jobs_cli.program import program

from ..markdown import block, code, escaped, sentence, table

_OPTION = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")


def summary() -> str:
    """Return the table of all commands, in the order of `server-jobs --help`."""
    described = [(name, entry.section, entry.summary) for name, entry in COMMANDS.items()]
    context = click.Context(program)
    described += [(name, "Plug-ins", program.summary(context, name)) for name in plug_in_names()]
    rows = ((f"[`{name}`](#{name})", section, escaped(summary)) for name, section, summary in described)
    return table(("Command", "Group", "Purpose"), rows)


def details() -> str:
    """Return a section per command: usage, help, arguments and options."""
    context = click.Context(program, info_name="server-jobs")
    return "\n".join(_section(context, name) for name in program.list_commands(context))


def _section(parent: click.Context, name: str) -> str:
    command = program.get_command(parent, name)
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    return "\n".join((f"## {name}\n", block(usage), *_paragraphs(command.help or ""), _options(name, command, context)))


def _paragraphs(text: str) -> Iterator[str]:
    r"""Yield the help as Markdown. Click prints a paragraph after `\b` unchanged."""
    for paragraph in text.replace("\f", "").split("\n\n"):
        if paragraph.startswith("\b"):
            first, *lines = paragraph.removeprefix("\b").strip("\n").splitlines()
            yield f"{prose(first)}\n\n{block(_dedented(lines))}"
        else:
            yield f"{prose(paragraph)}\n"


def _dedented(lines: list[str]) -> str:
    return "\n".join(line.strip() for line in lines)


def prose(text: str) -> str:
    """Return help text as Markdown, with code spans around options. It may have code spans already."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if number % 2 else _OPTION.sub(r"`\1`", escaped(part)) for number, part in enumerate(parts))


def _options(name: str, command: click.Command, context: click.Context) -> str:
    rows = [_row(name, one, context) for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return table(("Option", "Variable", "Default", "Meaning"), rows) if rows else ""


def _row(command: str, option: click.Option, context: click.Context) -> tuple[str, str, str, str]:
    names = ", ".join((*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    extra = option.get_help_extra(context)
    limits = f" Range: {code(extra['range'])}." if "range" in extra else ""
    variable = variable_of(command, option)
    default = code(extra["default"]) if "default" in extra else ""
    return code(f"{names}{value}"), code(variable) if variable else "", default, _meaning(option) + limits


def _meaning(option: click.Option) -> str:
    return prose(sentence(option.help or ""))
