"""Commands that people copy into a shell, with values of rows."""

from __future__ import annotations

import shlex


def shell_command(action: str, *values: str) -> str:
    """Return a command of `server-jobs` in backticks.

    A shell takes each value as it is, and the command takes none of them for an option. `action` may end with an option
    that takes the value.
    """
    takes_value = action.rpartition(" ")[2].startswith("-")
    end_of_options = ["--"] if not takes_value and any(value.startswith("-") for value in values) else []
    return f"`server-jobs {action} {shlex.join([*end_of_options, *values])}`"
