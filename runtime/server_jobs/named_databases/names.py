"""The name that a database holds, and the names of databases in errors."""

from __future__ import annotations

from ..errors import DatabaseError, InvalidOptionError


def check_held_name(name: str, variable: str, held: str | None) -> None:
    """Raise `DatabaseError` unless a database holds this name. `variable` has its URL."""
    if held is None:
        raise DatabaseError(
            f"{variable} leads to a database without a name, not to {name!r}; run `server-jobs migrate "
            f"--database {name}`, which lets it hold its name"
        )
    if held != name:
        raise DatabaseError(f"{variable} leads to the database {held!r}, not to {name!r}; correct its URL")


class Naming:
    """A context manager that names a database in the errors of a call, unless an error names its variable.

    It is no generator, because it surrounds each `later`.
    """

    def __init__(self, name: str, variable: str) -> None:
        self._name = name
        self._variable = variable

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DatabaseError | InvalidOptionError) and self._variable not in str(error):
            error.args = (f"database {self._name} ({self._variable}): {error}", *error.args[1:])
