"""Commands that plug-ins bring, by the entry points of the group `server_jobs.commands`."""

from __future__ import annotations

import click
from server_jobs.plug_ins import Seam

from .commands import COMMANDS

PLUG_INS: Seam[click.Command] = Seam(
    "server_jobs.commands", "a command of click", lambda value: isinstance(value, click.Command)
)
"""The commands of plug-ins. The name of a command above is taken."""


def command_names() -> list[str]:
    """Return the names of all commands, in the order of `--help`. Plug-ins come last."""
    return [*COMMANDS, *plug_in_names()]


def plug_in_names() -> list[str]:
    """Return the names of the commands that only plug-ins bring."""
    return [name for name in PLUG_INS.names() if name not in COMMANDS]
