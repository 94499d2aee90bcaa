"""The name that a database holds, if its project names its databases.

`server-jobs migrate` writes it into a table with one row. A database without this table has no name.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import DatabaseError, SchemaMissingError
from .calls import Calls
from .rows import text_of

CheckName = Callable[[str | None], None]


class DatabaseName(Calls):
    check_name: CheckName | None = None
    """Called at each opening, with the name that the database holds. Its error is raised. None: no name is read."""

    async def read_name(self) -> str | None:
        """Return the name that the database holds; None if it has none."""
        try:
            rows = await self._run(self._statements.READ_NAME)
        except DatabaseError as error:
            if isinstance(error, SchemaMissingError) or "no such table" in str(error):
                return None
            raise
        return " and ".join(text_of(row["name"]) for row in rows) or None

    async def write_name(self, name: str) -> str:
        """Let the database hold this name, unless it holds one. Return the name that it holds then."""
        *_, rows = await self.database.run(
            self._call(self._statements.CREATE_NAME_TABLE),
            self._call(self._statements.WRITE_NAME, name=name),
            self._call(self._statements.READ_NAME),
        )
        return " and ".join(text_of(row["name"]) for row in rows)
