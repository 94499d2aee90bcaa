"""The database that a connection of the application leads to."""

from __future__ import annotations

from typing import cast

Address = tuple[str, int, str]
"""The host or the folder of its socket, the port and the database of a PostgreSQL connection."""


def address_of(connection: object) -> Address | None:
    """Return the address of a connection of psycopg, psycopg2 or asyncpg; None if it is unknown."""
    if (info := getattr(connection, "info", None)) is not None:
        found: tuple[object, ...] = tuple(getattr(info, name, None) for name in ("host", "port", "dbname"))
    else:  # asyncpg has no public names for them
        place: object = getattr(connection, "_addr", None)
        if isinstance(place, str):  # a Unix socket
            folder, _, port = place.rpartition("/.s.PGSQL.")
            place = (folder, int(port))
        found = (
            *cast("tuple[object, ...]", place or ()),
            getattr(getattr(connection, "_params", None), "database", None),
        )
    match found:
        case (str() as host, int() as port_number, str() as database):
            return host, port_number, database
    return None
