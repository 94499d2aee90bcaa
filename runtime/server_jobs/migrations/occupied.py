"""Databases in which another program uses the names of our tables."""

from __future__ import annotations

from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect

from ..schema import jobs, metadata

_OF_OUR_TABLE_ONLY = "fencing_token"


class MigrationRefusedError(CommandError):
    """The migration changed nothing, because the database belongs to another program. Alembic prints no traceback."""


def check_tables(connection: Connection) -> None:
    """Raise `MigrationRefusedError` if a table or view has the name of one of ours.

    For a database in which no revision is recorded.
    """
    taken = [name for name in metadata.tables if inspect(connection).has_table(name)]
    if not taken:
        return
    if jobs.name in taken and _OF_OUR_TABLE_ONLY in _columns(connection):
        raise MigrationRefusedError(
            "the tables of server-jobs are there, but no revision is recorded: migrations of your application or "
            "plain SQL made them. Go on with those, or run `alembic stamp head` if the tables are as new as this "
            "project. Nothing was changed"
        )
    raise MigrationRefusedError(refusal(taken, a_separate_place(connection)))


def refusal(taken: list[str], remedy: str) -> str:
    """Return the message for a database where these names are taken."""
    return (
        f"the database has {', '.join(map(repr, taken))} already, which server-jobs did not create. "
        f"Nothing was changed. Give server-jobs {remedy}"
    )


def a_separate_place(connection: Connection) -> str:
    """Return how the user can keep our tables apart from the others in this database."""
    if connection.dialect.name == "postgresql":
        return (
            'its own schema: write schema = "server_jobs" under [tool.server-jobs] in pyproject.toml (any name '
            "that nobody uses), and run `server-jobs generate`"
        )
    return "its own file: set SERVER_JOBS_DATABASE_URL, for example to sqlite:///server-jobs.sqlite3"


def _columns(connection: Connection) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(jobs.name)}
