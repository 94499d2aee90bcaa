"""The name that a database holds, and the names of databases in errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DatabaseError, InvalidOptionError, ServerJobsError
from ..stores.sql.store import SqlStore


def check_held_name(name: str, variable: str, held: str | None) -> None:
    """Raise `DatabaseError` unless a database holds this name. `variable` has its URL."""
    if held is None:
        raise DatabaseError(
            f"{variable} leads to a database without a name, not to {name!r}; run `server-jobs migrate "
            f"--database {name}`, which lets it hold its name"
        )
    if held != name:
        raise DatabaseError(f"{variable} leads to the database {held!r}, not to {name!r}; correct its URL")


async def hold_name(store: SqlStore, name: str, variable: str) -> None:
    """Let a database hold its name, if it has none. Raises `DatabaseError` if it has another one."""
    check_held_name(name, variable, await store.write_name(name))


@contextmanager
def naming(name: str, variable: str) -> Iterator[None]:
    """Name the database in the errors of calls, also of its URL."""
    try:
        yield
    except (DatabaseError, InvalidOptionError) as error:
        name_in(error, name, variable)
        raise


def name_in(error: ServerJobsError, name: str, variable: str) -> None:
    """Name the database in an error, unless the error names its variable."""
    text = str(error)
    if variable not in text:
        error.args = (f"database {name} ({variable}): {text}", *error.args[1:])
