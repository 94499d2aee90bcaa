"""`python -m server_jobs_cli.worker.reloaded FOLDER MODULE ...`: `python -m MODULE ...` from the source of a project.

The module may import the project before it parses its options, as `flask` does. So this comes first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from runpy import run_module

from server_jobs.isolation.source_imports import import_from_source


def reloaded(command: Sequence[str], root: Path) -> list[str]:
    """Return a command `PYTHON -m MODULE ...` that compiles the modules below `root` from their source."""
    after = command.index("-m") + 1
    return [*command[:after], __name__, str(root), *command[after:]]


def main() -> None:
    """Run the module as `__main__`, with the arguments after it."""
    _, folder, module, *arguments = sys.argv
    import_from_source([folder])
    sys.argv[1:] = arguments
    run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
