"""Kinds of databases that plug-ins bring, by the schemes of their URLs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from ..domain.interfaces import Database
from ..plug_ins import Seam


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseKind:
    """A kind of database: an entry point of the group `server_jobs.databases`. Its module should import little.

    A database with another store than `SqlStore` has the method of `HasOwnStore`.
    """

    schemes: Collection[str]
    """Schemes of its URLs, such as `("shelf",)`. `sqlite` and `postgresql` are taken."""
    open: Callable[[str], Database | None]
    """Return the database of a URL with one of the schemes, not connected yet; None if the URL names something else.

    Raises `InvalidOptionError` for a wrong URL, and `DatabaseError` if a package is missing.
    """
    example: str | None = None
    """A URL for messages."""
    variable: str | None = None
    """An environment variable with a URL, read if neither the caller nor `SERVER_JOBS_DATABASE_URL` gives one."""


KINDS: Seam[DatabaseKind] = Seam(
    "server_jobs.databases", "a `DatabaseKind`", lambda value: isinstance(value, DatabaseKind)
)
