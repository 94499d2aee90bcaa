"""Connections of Django, and their aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from ..domain.record import Inserted
from ..errors import InvalidOptionError
from .insertion import Parameters
from .storing import Rows, Storing


def insert(connection: Any, storing: Storing) -> Sequence[Inserted]:  # noqa: ANN401  the library has no types
    """Store the jobs through this connection, or the connection of this thread with this alias."""
    if isinstance(connection, str) and connection not in connections:
        known = ", ".join(connections)
        raise InvalidOptionError(f"DATABASES of Django has no alias {connection!r}; there are {known}")
    opened = connections[connection] if isinstance(connection, str) else connection

    def execute(sql: str, parameters: Parameters) -> Rows:
        with opened.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: Rows = cursor.fetchall()
            return rows

    opened.ensure_connection()
    return storing.run(opened.vendor, "format", execute, connection=opened.connection)
