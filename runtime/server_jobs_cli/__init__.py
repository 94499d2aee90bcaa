"""The command line, `server-jobs`. `commands` lists every command with its module.

===============================================  =======================================
to change                                        open
===============================================  =======================================
the list of commands, errors of all commands     `commands`, `program`, `command_plug_ins`
commands that show, change or run stored jobs    `jobs`
the worker                                       `worker`
serve and token                                  `serve`, `http_server`
migrate                                          `migrate`, and `plain_sql` for plug-ins
doctor                                           `doctor`
init, generate, check and explain                `generator`
shared options, output, the log, the workspace   `console`
===============================================  =======================================

This module imports only the standard library, so that it can report missing packages.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

_NOT_INSTALLED = """\
The command line needs the packages {missing}. Install them with:

  pip install 'server-jobs[{extra}]'
"""
_OBJECTS_BETWEEN_COLLECTIONS = 100_000
_EXTRAS = {
    **dict.fromkeys(("init", "new", "import", "generate", "check", "explain"), "generator"),
    "migrate": "worker",
    "serve": "serve",
    "mcp": "mcp",
}
"""The extras of commands that need more than `cli`, so that a new user installs once."""


def main() -> None:
    """Run the command in `sys.argv` and exit with its status. See `server-jobs --help`."""
    # Imports make many objects that stay. Most commands end before that many.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    _print_whatever_the_encoding()
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        import click  # noqa: F401  whether it is there is the question
        import rich  # noqa: F401  and this one

        from .program import program
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        command = next((one for one in sys.argv[1:] if not one.startswith("-")), "")
        sys.stderr.write(_NOT_INSTALLED.format(missing="click and rich", extra=_EXTRAS.get(command, "cli")))
        sys.exit(3)
    try:
        program(prog_name="server-jobs")
    finally:
        # Skip the last garbage collection at exit: it takes a tenth of the time of a short command.
        gc.freeze()


def _terminate(number: int, frame: FrameType | None) -> None:
    """Exit at once, as the signal ends any other process. Linux drops signals that process 1 does not handle."""
    del frame
    os._exit(128 + number)


def _print_whatever_the_encoding() -> None:
    """Print an escape for a character that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
