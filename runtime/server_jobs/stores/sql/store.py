"""The store for SQL databases. Each method is one transaction with statements of the dialect."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import DatabaseError, SchemaMissingError
from ..real_database import check_real_database_allowed
from .attempts import Attempts
from .by_hand import ByHand
from .database_name import DatabaseName
from .enqueue import Enqueuing
from .history import History
from .maintenance import Maintenance
from .read import Reading
from .schedules import Schedules


class SqlStore(Schedules, ByHand, Enqueuing, Attempts, Maintenance, Reading, History, DatabaseName):
    """Keeps jobs in a SQL database.

    Statements take the current time from the clock of the database, so that the clocks of machines need not agree. In
    tests, `clock` replaces it.
    """

    async def open(self) -> None:
        check_real_database_allowed(self.database)
        await self.database.open()
        await self._check_tables()
        if self.check_name is not None:
            self.check_name(await self.read_name())

    async def _check_tables(self) -> None:
        if not self._dialect.checks_at_open:
            return  # the first statement reports a missing table
        try:
            await self._run(self._statements.PROBE)
        except DatabaseError as error:
            if "no such" in str(error):
                raise SchemaMissingError(str(error)) from error
            raise

    async def close(self) -> None:
        await self.database.close()

    async def ping(self) -> None:
        await self._run(self._statements.PING if self._dialect.checks_at_open else self._statements.PROBE)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        def woken(*, is_for_jobs: bool) -> None:
            if is_for_jobs:
                self._claims.expect()
            wake()

        return self.database.watch(woken)
