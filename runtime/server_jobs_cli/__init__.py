"""The command line, `server-jobs`: one folder for each group of commands, over the runtime and the generator.

This module needs the standard library only, so that it can say which packages are missing.
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
    """Run the command that `sys.argv` names and exit with its status: see `server-jobs --help`."""
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
        # As it ends, Python goes through all that is there once more: a tenth of the time of a short command.
        gc.freeze()


def _print_whatever_the_encoding() -> None:
    """A character that the terminal's encoding lacks is printed as an escape, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
