"""The command line, `server-jobs`. `commands` lists every command with its module.

===============================================  =======================================
to change                                        open
===============================================  =======================================
the list of commands, errors of all commands     `commands`, `program`
commands that show, change or run stored jobs    `jobs`
the worker                                       `worker`
serve and token                                  `serve`, `http_server`
migrate                                          `migrate`, and `plain_sql` for Turso
doctor                                           `doctor`
mcp                                              `agents`
init, generate, check and explain                `generator`
shared options, output, the log, the workspace   `console`
===============================================  =======================================

This module imports only the standard library, so that it can report missing packages.
"""

from __future__ import annotations

import gc
import sys
from io import TextIOWrapper

_NOT_INSTALLED = """\
The command line needs the packages {missing}. Install them with:

  pip install 'server-jobs[cli]'
"""


def main() -> None:
    """Run the command in `sys.argv` and exit with its status. See `server-jobs --help`."""
    _print_whatever_the_encoding()
    try:
        import click  # noqa: F401  whether it is there is the question
        import rich  # noqa: F401  and this one

        from .program import program
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write(_NOT_INSTALLED.format(missing="click and rich"))
        sys.exit(3)
    try:
        program(prog_name="server-jobs")
    finally:
        # Skip the last garbage collection at exit: it takes a tenth of the time of a short command.
        gc.freeze()


def _print_whatever_the_encoding() -> None:
    """Print an escape for a character that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
