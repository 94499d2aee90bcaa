"""Commands that people copy into a shell, with values of rows."""

from __future__ import annotations

import shlex
from typing import Protocol


class Command(Protocol):
    """Writes an action on values of rows, such as `retry` of an id, for whoever reads the advice."""

    def __call__(self, action: str, /, *values: str) -> str: ...


def shell_command(action: str, /, *values: str) -> str:
    """Return a command of `server-jobs` in backticks.

    A shell takes each value as it is, and the command takes none of them for an option. `action` may end with an option
    that takes the value.
    """
    takes_value = action.rpartition(" ")[2].startswith("-")
    end_of_options = ["--"] if not takes_value and any(value.startswith("-") for value in values) else []
    return f"`server-jobs {action} {shlex.join([*end_of_options, *values])}`"
